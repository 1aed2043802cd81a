"""Encoders that average a table's vectors of a text's tokens, as Model2Vec and WordLlama do.

The model is a graph of that table. It takes the ids of many texts in a row, and the text that each
belongs to, and gives a sum for each text: nothing is padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_udf.encoders import Prepared
from tf_embeddings_udf.encoders.tokenizing import encodings, load_tokenizer
from tf_embeddings_udf.manifest import MODEL_FOLDER, is_safe_path

if TYPE_CHECKING:
    from tf_embeddings_udf.engines import Engine
    from tf_embeddings_udf.manifest import Manifest

MODEL2VEC, MODEL2VEC_09, SENTENCE_TRANSFORMERS = (
    "model2vec",
    "model2vec-0.9",
    "sentence-transformers",
)
RULES = (MODEL2VEC, MODEL2VEC_09, SENTENCE_TRANSFORMERS)
"""Whose way it is to drop unknown tokens and to cut long texts."""

ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda vectors: np.maximum(vectors, 0),
}
"""What may follow the mean."""

# Ids that the graph sums up at once: a longer text is cut into pieces, whose sums are added here,
# in float64. So a long text is as exact, and does not depend on the rest of its batch.
_PIECE = 128

# A longer list of ids is kept as an array: an int of Python weighs 36 bytes.
_MOST_IN_A_LIST = 512


class StaticEncoder:
    """A table of token vectors. A payload is a list or an int32 array [tokens]: a text's ids.

    Encoder parameters beside the names of inputs and files:
        rule: one of `RULES`. `model2vec-0.9` drops unknown tokens before it counts `max_tokens`.
        unknown: the id that is dropped; None keeps all.
        max_tokens: the tokens after which a text is cut; None: nowhere.
        max_characters: the characters after which it is cut before that; None: nowhere.
        cuts: `right` keeps the first tokens, `left` the last.
        activation: what is applied to the mean, a key of `ACTIVATIONS`; None: nothing.
    """

    # Ids of a batch. On two cores, with tables of 256 numbers, 2,048 to 8,192 are as fast, and
    # with 32,768 the sums take twice as long: the vectors of a batch no longer fit the cache.
    budget = 8192

    def __init__(self, manifest: Manifest, folder: Path, engine: Engine) -> None:
        """Load the tokenizer."""
        self.engine = engine
        self._ids = engine.input_named_by("ids")
        self._rows = engine.input_named_by("rows")
        if engine.parameter("rule") not in RULES:
            raise engine.says("rule", ", ".join(RULES))
        activation = engine.parameter("activation")
        if activation not in (None, *ACTIVATIONS):
            raise engine.says("activation", f"null, {', '.join(ACTIVATIONS)}")
        self._activation = ACTIVATIONS[activation] if activation else None
        self._unknown: int | None = engine.parameter("unknown")
        self._drops_first = engine.parameter("rule") == MODEL2VEC_09
        self._max_tokens: int | None = engine.parameter("max_tokens")
        self._max_characters: int | None = engine.parameter("max_characters")
        self._keeps_last = engine.parameter("cuts") == "left"
        path = engine.parameter("tokenizer")
        if not isinstance(path, str) or not is_safe_path(path):
            raise engine.says("tokenizer", "a path in the model's folder")
        self._tokenizer = load_tokenizer(folder / MODEL_FOLDER / path)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Tokenize, count, and keep the tokens that the rule keeps."""
        most = self._max_characters
        prepared = [self._prepared(one.ids) for one in encodings(self._tokenizer, texts)]
        if most is None:
            return prepared
        # The count is of the whole text; the tokens are those of the text that is cut.
        cut = [place for place, text in enumerate(texts) if len(text) > most]
        short = [texts[place][:most] for place in cut]
        for place, one in zip(cut, encodings(self._tokenizer, short), strict=True):
            kept = self._prepared(one.ids)
            count = prepared[place].token_count
            prepared[place] = Prepared(kept.payload, kept.cost, count, is_truncated=True)
        return prepared

    def run(self, payloads: Sequence[Any]) -> np.ndarray:
        """Return the mean of each payload's vectors."""
        counts = np.fromiter(map(len, payloads), np.intp, len(payloads))
        flat = self._flat(payloads, int(counts.sum()))
        if counts.max() <= _PIECE:
            sums = self._sums(flat, counts)
        else:
            sums = self._sums_of_pieces(flat, counts)
        means = (sums / counts[:, None]).astype(np.float32, copy=False)
        return self._activation(means) if self._activation else means

    def _flat(self, payloads: Sequence[Any], total: int) -> np.ndarray:
        """Return all ids in a row."""
        if isinstance(payloads[0], list) and isinstance(payloads[-1], list):
            return np.fromiter(chain.from_iterable(payloads), np.int32, total)
        return np.concatenate(payloads).astype(np.int32, copy=False)

    def _sums(self, flat: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return the sum of the vectors of the first `counts[0]` ids, of the next, and so on."""
        ids, of_ids = self._ids
        rows, of_rows = self._rows
        of_text = np.repeat(np.arange(len(counts), dtype=of_rows.dtype), counts)
        return self.engine({ids: flat.astype(of_ids.dtype, copy=False), rows: of_text})

    def _sums_of_pieces(self, flat: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Do the same where texts are long; no call gets more ids than fit the budget."""
        pieces = -(-counts // _PIECE)
        lengths = np.full(pieces.sum(), _PIECE)
        lengths[np.cumsum(pieces) - 1] = counts - (pieces - 1) * _PIECE
        ends = np.cumsum(lengths)
        sums: list[np.ndarray] = []
        done = first = 0
        while first < len(lengths):
            after = int(np.searchsorted(ends, done + self.budget, "right"))
            some = flat[done : ends[after - 1]]
            sums.append(self._sums(some, lengths[first:after]))
            first, done = after, int(ends[after - 1])
        of_pieces = np.concatenate(sums).astype(np.float64)
        return np.add.reduceat(of_pieces, np.cumsum(pieces) - pieces)

    def _prepared(self, ids: list[int]) -> Prepared:
        if self._drops_first:
            ids = self._known(ids)
        count = len(ids)
        most = self._max_tokens
        is_truncated = False
        if most is not None and count > most:
            is_truncated = True
            ids = ids[-most:] if self._keeps_last else ids[:most]
        if not self._drops_first:
            ids = self._known(ids)
        kept = ids if len(ids) <= _MOST_IN_A_LIST else np.array(ids, np.int32)
        return Prepared(kept, len(ids), count, is_truncated)

    def _known(self, ids: list[int]) -> list[int]:
        unknown = self._unknown
        return [one for one in ids if one != unknown] if unknown in ids else ids
