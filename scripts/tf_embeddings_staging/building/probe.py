"""The probe: an artifact is run as the warehouse will run it, before it is packed.

`TEXTS` are the golden texts, whose vectors travel with each artifact: a new machine must reproduce
them. This module only imports the runtime of the artifact that it probes.
"""

from __future__ import annotations

import importlib.metadata
import math
import random
import sys
import traceback
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.sentences import in_one_sentence

if TYPE_CHECKING:
    import numpy as np
    from tf_embeddings_udf import Embedder
    from tf_embeddings_udf.encoders import Encoder
    from tf_embeddings_udf.planner import Outcomes

_SENTENCES = (
    "The ferry leaves the harbour at six in the morning and comes back after dark.",
    "Nobody at the market could say who had painted the old wall blue.",
    "A warehouse keeps what a business has learned, row by row, for those who ask later.",
    "Rain fell on the slate roofs until the gutters sang.",
    "Her grandfather repaired clocks, and never once asked what the time was.",
    "The committee will publish its report on water quality in the spring.",
)

TEXTS: tuple[str, ...] = (
    "elephant",
    "How old are you?",
    "The quick brown fox jumps over the lazy dog.",
    # Longer than the limit of any known model: more than 2,000 tokens.
    " ".join(_SENTENCES * 24),
    "Der Fährmann grüßte höflich, doch niemand antwortete; ça m'étonne.",
    "Завтра мы поедем к морю.",
    "Σήμερα η θάλασσα είναι ήρεμη.",
    "سنسافر غدا إلى البحر.",
    "מחר ניסע אל הים.",
    "कल हम समुद्र जाएँगे।",
    "明日は海へ行きます。",
    "내일 우리는 바다에 갑니다.",
    "我们明天去海边。",
    "🐘🚢 👩\u200d🚀",
    "3.14159 and 2,718 on 2024-02-29",
)

# Words of a text: from one to more than any model sees.
_WORDS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 400)

_SEEDS, _MIXED = (1, 2, 3), 40
_ALONE = 30


def for_kind(texts: Sequence[str], kind: str) -> list[str]:
    """Return texts as a kind of model takes them: for a cross-encoder, each behind another one."""
    from tf_embeddings_udf.encoders import KINDS
    from tf_embeddings_udf.encoders.pairs import as_text

    if not KINDS[kind].gives_scores:
        return list(texts)
    return [as_text(texts[place - 1], text) for place, text in enumerate(texts)]


def sizes(vectors: np.ndarray, kind: str) -> np.ndarray:
    """Return what a difference of each row's components is measured by, float64 [n].

    A vector's length; of scores, the size that they have, see `score_size`.
    """
    import numpy as np
    from tf_embeddings_udf.encoders import KINDS
    from tf_embeddings_udf.verify import score_size

    if KINDS[kind].gives_scores:
        return np.full(len(vectors), score_size(vectors))
    return np.linalg.norm(vectors.astype(np.float64), axis=1)


def probe_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Embed texts with an unpacked artifact, by the artifact's own runtime.

    It runs on one thread, so that the vectors do not depend on how busy the machine is. Then it
    embeds columns as a warehouse does, see `_apart`, and a full batch of long texts, see
    `full_batch`. Vectors and memory depend on the machine, so neither is a part of the build.
    """
    folder = Path(request["folder"])
    sys.path.insert(0, str(folder))
    import tf_embeddings_udf as runtime

    if Path(runtime.__file__ or "").parent.parent != folder:
        raise StagingError(f"the probe did not run the artifact's runtime: {runtime.__file__}")
    from tf_embeddings_udf.encoders import load_encoder
    from tf_embeddings_udf.engines import LITERT
    from tf_embeddings_udf.planner import Planner
    from tf_embeddings_udf.verify import peak_memory

    try:
        manifest = runtime.read_manifest(folder)
        encoder = load_encoder(manifest, folder, threads=1)
        embedder = runtime.Embedder(manifest, Planner(encoder, manifest))
        texts = request["texts"]
        outcomes = embedder.embed(texts)
        problems = [
            _problem(encoder, manifest.prefix + text) if status == "error" else None
            for text, status in zip(texts, outcomes.statuses, strict=True)
        ]
        mixed = [mixed_texts(_MIXED, seed, manifest.kind) for seed in _SEEDS]
        full = full_batch(encoder, manifest.max_tokens, manifest.kind)
        columns = [texts, *mixed, full]
        every = list(chain.from_iterable(columns))
        together = embedder.embed(every)
        singly = [[row] for row in range(0, len(every), max(1, len(every) // _ALONE))]
        ends = list(accumulate(map(len, columns), initial=0))
        apart = _apart(embedder, every, together, [*singly, *map(range, ends, ends[1:])])
        memory_bytes = peak_memory()
        if encoder.engine.name == LITERT:  # A batch by itself runs on all cores, elsewhere.
            encoder = load_encoder(manifest, folder, threads=0)
            wide = runtime.Embedder(manifest, Planner(encoder, manifest))
            apart = max(apart, _apart(wide, every, together, singly))
    except runtime.TfEmbeddingsError as error:
        raise _staging_error(error) from None
    return {
        # The shortest digits that give the same float32 again.
        "vectors": [[float(str(x)) for x in vector] for vector in outcomes.embeddings],
        "ok": outcomes.valid.tolist(),
        "problems": problems,
        "token_counts": [
            int(count) if counted else None
            for count, counted in zip(outcomes.token_counts, outcomes.counted, strict=True)
        ],
        "apart": apart,
        "memory_bytes": memory_bytes,
        "measured_with": _versions(manifest.packages),
    }


def mixed_texts(count: int, seed: int, kind: str) -> Sequence[str]:
    """Return texts of all lengths and scripts, made of the words of the golden ones."""
    words = [word for text in TEXTS for word in set(text.split())]
    chance = random.Random(seed)
    words.sort()
    texts = [" ".join(chance.choices(words, k=chance.choice(_WORDS))) for _ in range(count)]
    return for_kind(texts, kind)


def _apart(
    embedder: Embedder, texts: Sequence[str], together: Outcomes, parts: Sequence[Sequence[int]]
) -> float:
    """Return how far the vectors of one text are from each other, in other batches.

    All texts were embedded `together`, and here each part of them is: the same text stands in
    batches of other lengths and of other sizes. The largest difference of a component is in parts
    of the row's size, see `sizes`; infinite where one batch gives a vector and another none.
    """
    import numpy as np

    largest = 0.0
    sizes_together = sizes(together.embeddings, embedder.manifest.kind)
    for part in parts:
        rows = np.array(part)
        came = embedder.embed([texts[row] for row in part])
        if (came.valid != together.valid[rows]).any():
            return math.inf
        rows = rows[came.valid]
        wanted = together.embeddings[rows].astype(np.float64)
        differences = np.abs(came.embeddings[came.valid] - wanted).max(1, initial=0)
        largest = max([largest, *(differences / sizes_together[rows]).tolist()])
    return largest


def _problem(encoder: Encoder, text: str) -> str:
    """Return why a text has no vector, and what to do: the runtime says that it has none."""
    try:
        (prepared,) = encoder.prepare([text])
        (vector,) = encoder.run([prepared.payload])
    except Exception as error:
        return (
            f"it fails ({in_one_sentence(error).rstrip('.')}). Call the model itself with that "
            f"text, and save it so that it takes any."
        )
    if vector.any():
        return (
            "what comes out is not finite (NaN or infinite). Call the model itself with that text: "
            "look for a division by zero, an overflow, or weights that are not finite, and save it "
            "again."
        )
    return (
        "what comes out is all zeros. Were its weights saved, and is it the output of vectors? "
        "--inspect shows the outputs, and --output chooses another."
    )


def _staging_error(error: Exception) -> StagingError:
    """Return what the runtime says: for the laptop, where it speaks to the warehouse."""
    if error.__cause__ is None:
        return StagingError(str(error), traceback.format_exc())
    return StagingError(
        f"the model fails on every text ({in_one_sentence(error.__cause__).rstrip('.')}). Does it "
        f"run with the TensorFlow that is installed here? --debug shows all that it said.",
        traceback.format_exc(),
    )


def full_batch(encoder: Encoder, max_tokens: int | None, kind: str) -> list[str]:
    """Return texts that fill one batch of the planner, each as long as the model sees.

    If the model has a limit, no column takes more memory than this. If no limit is known, the texts
    are as long as the longest golden text, and longer ones take more: in a Transformer, with the
    square of their length.
    """
    text = max(TEXTS, key=len)
    (prepared,) = encoder.prepare(for_kind([text], kind))
    if max_tokens and prepared.token_count:
        text = " ".join([text] * (max_tokens // prepared.token_count + 1))
    # Numbered, because equal texts are embedded once; all numbers have the same length.
    (prepared,) = encoder.prepare(for_kind([f"0000 {text}"], kind))
    count = max(1, encoder.budget // max(1, prepared.cost))
    return for_kind([f"{number:04} {text}" for number in range(count)], kind)


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in packages}
