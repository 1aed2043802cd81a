"""Recording the golden vectors of an artifact, and refusing a model with unusable vectors."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tf_embeddings_udf.encoders import KINDS as RUNTIME_KINDS
from tf_embeddings_udf.manifest import GOLDEN
from tf_embeddings_udf.verify import encoded, parse_golden, proves, score_size

from tf_embeddings_staging import process
from tf_embeddings_staging.building.known import quoted
from tf_embeddings_staging.building.probe import TEXTS, for_kind
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.kinds import KINDS
from tf_embeddings_staging.model import Model
from tf_embeddings_staging.options import Limits
from tf_embeddings_staging.progress import Report

if TYPE_CHECKING:
    from tf_embeddings_udf import Embedder

_UNIT_NORM_TOLERANCE = 1e-5
SAME = 1e-6
"""How far a component may differ between two batches, in parts of the vector's length."""

# A larger difference is not due to the order of sums: dropout and batch statistics change 1e-2.
_MOST_APART = 1e-4
# Machines and engines differ by less than this, models by 1e-2 and more.
_MOST_ELSEWHERE = 2e-5
_FEWEST_GOLDEN = 8


@dataclass(frozen=True)
class Recorded:
    """What a probe gave.

    Attributes:
        golden: the texts, vectors and token counts of golden.json.
        vectors: of all texts that have one.
        apart: how far a component differed between two batches, in parts of a vector's length.
        memory_bytes: the most that the process took; None if the system does not tell.
        measured_with: the versions of the packages that made the vectors.
    """

    golden: Mapping[str, Any]
    vectors: Mapping[str, Sequence[float]]
    apart: float
    memory_bytes: int | None
    measured_with: Mapping[str, str]


def record(
    model: Model,
    folder: Path,
    others: Sequence[str],
    work: Path,
    report: Report,
    limits: Limits,
) -> Recorded:
    """Embed the golden texts, and others, with the artifact that is unpacked in a folder.

    Raises:
        StagingError: a vector is missing, of the wrong length, not finite, or not what it should
            be.
    """
    own = for_kind(TEXTS, model.kind)
    texts = [*own, *(text for text in others if text not in own)]
    request = {"folder": str(folder), "texts": texts}
    outcome = process.run("probe", request, work, limits)
    vectors = dict(zip(texts, outcome["vectors"], strict=True))
    counts = dict(zip(texts, outcome["token_counts"], strict=True))
    without = [text for text, is_ok in zip(texts, outcome["ok"], strict=True) if not is_ok]
    problems = dict(zip(texts, outcome["problems"], strict=True))
    _require_enough(model, own, without, counts, problems, others)
    if without:
        listed = ", ".join(map(quoted, without))
        report.say(f"Left out of the golden vectors, as the model gives them none: {listed}")
    vectors = {text: vector for text, vector in vectors.items() if text not in without}
    check_vectors(vectors, model.dimensions, model.normalize)
    if RUNTIME_KINDS[model.kind].gives_scores:
        check_scores(vectors)
    if not outcome["apart"] <= _MOST_APART:
        raise StagingError(
            f"the vector of a text depends on the other texts of its batch (a component differs by "
            f"{outcome['apart']:.2g} of the vector's length). Save the model for inference, "
            f"without dropout and batch statistics."
        )
    good = [text for text in own if text in vectors]
    golden = {
        "texts": good,
        "vectors": [encoded(np.array(vectors[text], np.float32)) for text in good],
        "token_counts": [counts[text] for text in good],
    }
    return Recorded(
        golden, vectors, outcome["apart"], outcome["memory_bytes"], outcome["measured_with"]
    )


def check_golden_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: {folder, others} -> {problems}: are golden vectors what a model gives?

    `folder` is an unpacked artifact; `others` are artifacts of the same version. The answer has one
    item for the golden vectors of each, its own first: None if the model gives these vectors, or
    the first difference. The installed runtime runs the model.
    """
    from tf_embeddings_udf import TfEmbeddingsError, load

    folder = Path(request["folder"])
    goldens = [(folder / GOLDEN).read_bytes()]
    for other in request["others"]:
        with zipfile.ZipFile(other) as archive:
            goldens.append(archive.read(GOLDEN))
    try:
        embedder = load(folder)
        return {"problems": [_problem_with(embedder, parse_golden(raw)) for raw in goldens]}
    except TfEmbeddingsError as error:
        raise StagingError(str(error).removeprefix("tf_embeddings: ")) from None


def _problem_with(embedder: Embedder, golden: Mapping[str, Any]) -> str | None:
    if not proves(golden):
        return f"no text in its {GOLDEN} has a vector"
    outcomes = embedder.embed(golden["texts"])
    gives_scores = RUNTIME_KINDS[embedder.manifest.kind].gives_scores
    size = score_size([one for one in golden["vectors"] if one is not None]) if gives_scores else 0
    for row, (text, wanted, count) in enumerate(
        zip(golden["texts"], golden["vectors"], golden["token_counts"], strict=True)
    ):
        came = outcomes.embeddings[row] if outcomes.valid[row] else None
        came_count = int(outcomes.token_counts[row]) if outcomes.counted[row] else None
        if came_count != count:
            return f"{quoted(text)} has {came_count} tokens, not {count}"
        if came is None or wanted is None or len(came) != len(wanted):
            if came is wanted:
                continue
            lengths = [0 if one is None else len(one) for one in (came, wanted)]
            return f"the vector of {quoted(text)} has {lengths[0]} numbers, not {lengths[1]}"
        wanted = wanted.astype(np.float64)
        apart = float(np.abs(came - wanted).max() / (size or np.linalg.norm(wanted) or 1))
        if not apart <= _MOST_ELSEWHERE:
            return f"the vector of {quoted(text)} differs by {apart:.2g} of its length"
    return None


def require_same(recorded: Recorded) -> None:
    """Require that a model that runs row by row gives a text one vector.

    Raises:
        StagingError: it does not.
    """
    if recorded.apart > SAME:
        raise StagingError(
            f"the model gives the same text a different vector each time (a component differs by "
            f"{recorded.apart:.2g} of the vector's length). Save it for inference, without dropout "
            f"and random numbers."
        )


def _require_enough(
    model: Model,
    own: Sequence[str],
    without: Sequence[str],
    counts: Mapping[str, int | None],
    problems: Mapping[str, str | None],
    needed: Sequence[str],
) -> None:
    """Require a vector for each text, or for enough where a model may not know some scripts.

    `own` are the golden texts, `needed` others that must have one.

    A text of 0 tokens is blank, and nothing is wrong with a model that gives it no vector.
    """
    are_enough = len(set(own) - set(without)) >= _FEWEST_GOLDEN
    failed = [text for text in without if counts[text] != 0]
    may_lack = not failed or KINDS[model.kind].may_lack_scripts
    if may_lack and are_enough and not set(without) & set(needed):
        return
    others = f" and {len(without) - 1} other texts" if len(without) > 1 else ""
    if not failed:
        raise StagingError(
            f"the tokenizer has no tokens for {quoted(without[0])}{others}, and the model gives a "
            f"text without tokens no vector. Is it this model's own tokenizer?"
        )
    raise StagingError(
        f"the model gives no vector for {quoted(failed[0])}{others}: "
        f"{problems[failed[0]] or 'it is blank to the model.'}"
    )


def check_vectors(vectors: Mapping[str, Sequence[float]], dimensions: int, normalize: bool) -> None:
    """Require vectors of the right length, finite, and of length 1 if they must be.

    Raises:
        StagingError: naming the text.
    """
    for text, vector in vectors.items():
        if len(vector) != dimensions or not all(map(math.isfinite, vector)):
            raise StagingError(
                f"the model gives {len(vector)} numbers for {quoted(text)}, not {dimensions} "
                f"finite ones."
            )
        if normalize and abs(math.hypot(*vector) - 1) > _UNIT_NORM_TOLERANCE:
            raise StagingError(
                f"the vector of {quoted(text)} has the length {math.hypot(*vector):.6f}, not 1."
            )


def check_scores(vectors: Mapping[str, Sequence[float]]) -> None:
    """Require scores that depend on the texts.

    Raises:
        StagingError: they are all the same.
    """
    scores = {score for (score,) in vectors.values()}
    if len(scores) == 1:
        raise StagingError(
            f"the model gives every pair of texts the score {scores.pop():.6g}. Were the weights "
            f"of its classifier saved?"
        )
