"""What the kinds share that read a Hugging Face `tokenizer.json`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# An encoding weighs about 150 bytes a token until it is truncated: tokenize so many characters
# at a time, so that 2,048 rows of 100,000 characters do not need gigabytes.
_CHARACTERS_AT_A_TIME = 4_000_000


def load_tokenizer(path: Path) -> Any:  # noqa: ANN401 - tokenizers.Tokenizer
    """Load a tokenizer that uses no threads of its own: they do not survive a fork."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def encodings(tokenizer: Any, texts: Sequence[str]) -> Iterator[Any]:  # noqa: ANN401
    """Yield the encoding of each text, without special tokens."""
    # Without offsets; new in tokenizers 0.20.
    encode = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
    for some in _portions(texts):
        yield from encode(some, add_special_tokens=False)


def _portions(texts: Sequence[str]) -> Iterator[list[str]]:
    portion: list[str] = []
    characters = 0
    for text in texts:
        portion.append(text)
        characters += len(text)
        if characters >= _CHARACTERS_AT_A_TIME:
            yield portion
            portion, characters = [], 0
    if portion:
        yield portion
