"""Model2Vec on the table of a static encoder, with its defaults but for the limit of tokens."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from worker import Call, Way


def start(folder: str) -> Way:
    """Load the table and the tokenizer of a folder."""
    from model2vec import StaticModel
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    [table] = load_file(Path(folder) / "model.safetensors").values()
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    model = StaticModel(table.astype("float32"), tokenizer, normalize=False)

    def way(texts: Sequence[str]) -> Call:
        def call() -> np.ndarray:
            return model.encode(list(texts), max_length=None)

        return call

    return way
