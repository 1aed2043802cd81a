"""Recomputing the golden vectors: does a model give here what it gave where it was staged?"""

from __future__ import annotations

import base64
import json
import math
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_udf.encoders import KINDS
from tf_embeddings_udf.errors import TfEmbeddingsError, stage_command
from tf_embeddings_udf.manifest import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from tf_embeddings_udf.embedder import Embedder
    from tf_embeddings_udf.manifest import Manifest
    from tf_embeddings_udf.planner import Outcomes


def report(embedder: Embedder, folder: Path) -> dict[str, Any]:
    """Embed the golden texts of an unpacked artifact and compare.

    Args:
        embedder: the model, loaded from the folder.
        folder: the unpacked artifact, as `unpack` returns it: its name ends with the build.

    Returns:
        model, version, build; `texts`, how many there are; `largest_difference` of a component,
        over all texts, and of a score in parts of `score_size`; `mismatches`, the places, from 0,
        of texts that have a vector on one side only, or one of another length, or another number
        of tokens: with any, the largest difference is None. Then what computed it: the `engine`
        and its `engine_version`, versions of `python` and `numpy`, the `processor`, and
        `memory_bytes`, the most that the process has had so far, None where the system does not
        tell. All values are plain Python, ready for JSON.

    Raises:
        TfEmbeddingsError: the artifact has no golden vectors, or the model fails on any text.
    """
    golden = _golden(embedder.manifest, folder)
    outcomes = embedder.embed(golden["texts"])
    largest, mismatches = _compare(outcomes, golden["vectors"], golden["token_counts"])
    import numpy as np

    if KINDS[embedder.manifest.kind].gives_scores:
        largest /= score_size([one for one in golden["vectors"] if one is not None])

    return {
        "model": embedder.manifest.model,
        "version": embedder.manifest.version,
        "build": folder.name.rpartition("-")[2],
        "texts": len(golden["texts"]),
        "largest_difference": None if mismatches else largest,
        "mismatches": mismatches,
        "engine": embedder.engine.name,
        "engine_version": embedder.engine.version,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "processor": _processor(),
        "memory_bytes": peak_memory(),
    }


def _golden(manifest: Manifest, folder: Path) -> dict[str, Any]:
    what = "holds no golden vectors"
    if (folder / GOLDEN).is_file():
        try:
            golden = parse_golden((folder / GOLDEN).read_bytes())
            if proves(golden):
                return golden
        except ValueError:
            what = f"holds a {GOLDEN} that is damaged"
    raise TfEmbeddingsError(
        f"tf_embeddings: the artifact {folder.name} {what}, so there is nothing to verify it by. "
        f"Stage the model again with: {stage_command(manifest.model)}"
    )


def parse_golden(raw: bytes) -> dict[str, Any]:
    """Return what a golden.json holds, its vectors as arrays; the build does not vouch for it.

    Raises:
        ValueError: it is not what staging writes.
    """
    try:
        golden = json.loads(raw)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(golden, dict):
        raise ValueError("it is not an object")
    texts, vectors, counts = (golden.get(name) for name in ("texts", "vectors", "token_counts"))
    versions, memory = golden.get("measured_with", {}), golden.get("memory_bytes")
    if not (
        isinstance(texts, list)
        and isinstance(vectors, list)
        and isinstance(counts, list)
        and len(texts) == len(vectors) == len(counts)
        and all(text is None or isinstance(text, str) for text in texts)
        and all(vector is None or isinstance(vector, str) for vector in vectors)
        and all(count is None or type(count) is int for count in counts)
        and isinstance(versions, dict)
        and (memory is None or type(memory) is int)
    ):
        raise ValueError("it does not hold texts, vectors and token counts")
    return {**golden, "vectors": [None if one is None else decoded(one) for one in vectors]}


def proves(golden: Mapping[str, Any]) -> bool:
    """Tell whether there is a golden vector: without one, every model would pass."""
    return any(vector is not None for vector in golden["vectors"])


def encoded(vector: np.ndarray) -> str:
    """Return a vector as golden.json holds it: base64 of little-endian float32.

    Its length does not depend on the numbers, so neither does an artifact's size.
    """
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def decoded(text: str) -> np.ndarray:
    """Return the vector of `encoded`."""
    import numpy as np

    return np.frombuffer(base64.b64decode(text, validate=True), "<f4")


def score_size(scores: Sequence[np.ndarray] | np.ndarray) -> float:
    """Return the size of the scores that a model gives, which its arithmetic is as exact as.

    A score of 0.01 is the sum of numbers of the size of a score of 10, so it is not more exact.
    """
    return max(1.0, *(abs(float(score[0])) for score in scores))


def _compare(
    outcomes: Outcomes, vectors: list[np.ndarray | None], token_counts: list[int | None]
) -> tuple[float, list[int]]:
    """Return the largest difference of a component, and the texts that cannot be compared."""
    import numpy as np

    largest, mismatches = 0.0, []
    for row, (expected, count) in enumerate(zip(vectors, token_counts, strict=True)):
        came = outcomes.embeddings[row] if outcomes.valid[row] else None
        came_count = int(outcomes.token_counts[row]) if outcomes.counted[row] else None
        if expected is None and came is None and came_count == count:
            continue
        if expected is None or came is None or len(expected) != len(came) or came_count != count:
            mismatches.append(row)
            continue
        difference = float(np.abs(came.astype(np.float64) - expected).max())
        if not math.isfinite(difference):
            mismatches.append(row)
            continue
        largest = max(largest, difference)
    return largest, mismatches


def _processor() -> str:
    """Return the machine's kind and, where Linux says it, the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return ", ".join([platform.machine(), *names[:1]])


def peak_memory() -> int | None:
    """Return the most memory that this process had at once, in bytes; None if that is not known."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage counts what the parent had before exec, too
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(encoding="utf-8"), re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
