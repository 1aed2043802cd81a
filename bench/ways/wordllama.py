"""WordLlama's own package. It pads a call to its longest text, so the caller cuts batches."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from worker import Call, Way


def start(folder: str, batch: str) -> Way:
    """Load the table and the tokenizer of a folder."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
    from wordllama.config import Config
    from wordllama.inference import WordLlamaInference

    [table] = load_file(Path(folder) / "model.safetensors").values()
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    model, size = WordLlamaInference(table, Config.l2_supercat, tokenizer), int(batch)

    def way(texts: Sequence[str]) -> Call:
        def call() -> np.ndarray:
            starts = range(0, len(texts), size)
            return np.concatenate([model.embed(list(texts[at : at + size])) for at in starts])

        return call

    return way
