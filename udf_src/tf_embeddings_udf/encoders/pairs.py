"""Cross-encoders: models that score a query and a text together.

A function has one argument, so a pair is one text: the number of characters of the query, a colon,
the query and the text, as `as_text` and the macro `rerank` write it. Whatever the two hold, it
splits in one way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_udf.encoders import Prepared
from tf_embeddings_udf.encoders.tokenizing import encodings
from tf_embeddings_udf.encoders.tokens import TokensEncoder

if TYPE_CHECKING:
    from tf_embeddings_udf.engines import Engine
    from tf_embeddings_udf.manifest import Manifest

_LENGTH = re.compile(r"(0|[1-9][0-9]{0,9}):")


def as_text(query: str, text: str) -> str:
    """Return a pair as one text."""
    return f"{len(query)}:{query}{text}"


def as_pair(text: str) -> tuple[str, str]:
    """Return the query and the text that `as_text` joined.

    Raises:
        ValueError: it did not join them.
    """
    match = _LENGTH.match(text)
    end = match.end() + int(match[1]) if match else len(text) + 1
    if match is None or end > len(text):
        raise ValueError(
            "a cross-encoder takes pairs of texts, and this is one text; call rerank(query, text)"
        )
    return text[match.end() : end], text[end:]


class PairsEncoder(TokensEncoder):
    """BERT and its family with a classifier. A payload is an int array [2, tokens]: as theirs.

    A row is one number, the score of a pair.
    """

    def __init__(self, manifest: Manifest, folder: Path, engine: Engine) -> None:
        """Load the tokenizer."""
        super().__init__(manifest, folder, engine)
        self._special = self._tokenizer.num_special_tokens_to_add(is_pair=True)

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Tokenize the two sides, count both, and truncate the longer one first.

        A pair with a side that is blank, or has no tokens, is blank.

        Raises:
            ValueError: a text is not a pair.
        """
        pairs = [as_pair(text) for text in texts]
        pairs = [pair if _has_both(pair) else ("", "") for pair in pairs]
        # Side by side, in portions: all at once, they would need gigabytes (see `encodings`).
        sides = (encodings(self._tokenizer, [pair[side] for pair in pairs]) for side in (0, 1))
        return [self._prepared_pair(*both) for both in zip(*sides, strict=True)]

    def _prepared_pair(self, query: Any, text: Any) -> Prepared:  # noqa: ANN401 - Encodings
        if not len(query) or not len(text):
            return Prepared(payload=None, cost=0, token_count=0, is_truncated=False)
        count = len(query) + len(text) + self._special
        is_truncated = count > self._max_tokens
        whole = self._tokenizer.post_process(query, text)
        payload = np.array([whole.ids, whole.type_ids], np.int32)
        if is_truncated:
            # Not before `post_process`: it pairs what is cut of the one with what is cut of the
            # other, so that two long texts take as long as the product of their lengths.
            own = np.flatnonzero(np.array(whole.special_tokens_mask) == 0)
            kept = longest_first(len(query), len(text), self._max_tokens - self._special)
            payload = np.delete(payload, self._cut(own, len(query), kept), axis=1)
        return Prepared(payload, self._length or payload.shape[1], count, is_truncated)

    def _cut(self, own: np.ndarray, first: int, kept: tuple[int, int]) -> np.ndarray:
        """Return the places of the tokens that are cut, of `first` tokens of a query and a text."""
        sides = zip((own[:first], own[first:]), kept, strict=True)
        if self._direction == "left":
            return np.concatenate([side[: len(side) - length] for side, length in sides])
        return np.concatenate([side[length:] for side, length in sides])


def longest_first(query: int, text: int, most: int) -> tuple[int, int]:
    """Return how many tokens of each side remain where `most` do, as Hugging Face's tokenizers.

    https://github.com/huggingface/tokenizers/blob/main/tokenizers/src/utils/truncation.rs
    """
    shorter = min(query, text)
    longer = max(shorter, most - shorter)
    if shorter + longer > most:
        shorter, longer = most // 2, most - most // 2
    return (longer, shorter) if query > text else (shorter, longer)


def _has_both(pair: tuple[str, str]) -> bool:
    return all(side.strip() for side in pair)
