"""The seam between the planner and a kind of model: texts in, float32 rows out.

A new kind is one module with a class of this protocol and one line in `_KINDS`. Encoders speak
NumPy; what runs the model is an engine, see `tf_embeddings_udf.engines`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from tf_embeddings_udf.engines import load_engine
from tf_embeddings_udf.errors import TfEmbeddingsError

if TYPE_CHECKING:
    import numpy as np

    from tf_embeddings_udf.engines import Engine
    from tf_embeddings_udf.manifest import Manifest

_KINDS = {
    "sentencepiece": ("tf_embeddings_udf.encoders.sentencepiece", "SentencePieceEncoder"),
    "text": ("tf_embeddings_udf.encoders.text", "TextEncoder"),
    "tokens": ("tf_embeddings_udf.encoders.tokens", "TokensEncoder"),
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """One text, ready for the model.

    Attributes:
        payload: what the encoder's `run` takes.
        cost: its length in the unit of the encoder's budget; rows of one batch are padded to the
            longest, so a batch costs its longest row times its rows. 0: no tokens, a blank.
        token_count: tokens of the whole text, special ones included, before truncation; None
            where the kind cannot tell.
        is_truncated: whether the model sees less than the whole text; None where it cannot tell.
    """

    payload: Any
    cost: int
    token_count: int | None
    is_truncated: bool | None


class Encoder(Protocol):
    """One kind of model. Its methods may be called by several threads at once."""

    engine: Engine
    """What runs the model."""

    budget: int
    """The most that a batch of more than one row may cost."""

    counts_tokens: bool
    """Whether this kind can tell token counts and truncation."""

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Tokenise texts, each on its own: neighbors have no influence."""
        ...

    def run(self, payloads: Sequence[Any]) -> np.ndarray:
        """Return one float32 row for each payload, in the same order."""
        ...


def load_encoder(manifest: Manifest, folder: Path, threads: int) -> Encoder:
    """Load the model of an unpacked artifact.

    Args:
        manifest: the artifact's.
        folder: where it is unpacked.
        threads: how many the model may use; 0 for all cores.

    Raises:
        TfEmbeddingsError: the kind or the engine is unknown, or the model lacks what the manifest
            names.
        ModuleNotFoundError: a package is not installed.
    """
    if manifest.kind not in _KINDS:
        known = ", ".join(sorted(_KINDS))
        raise TfEmbeddingsError(
            f"tf_embeddings: model '{manifest.model}' has an encoder of kind '{manifest.kind}', "
            f"and the installed tf_embeddings knows {known}. Install the tf_embeddings that "
            f"staged it."
        )
    module, name = _KINDS[manifest.kind]
    load = cast("Callable[[Manifest, Path, Engine], Encoder]", getattr(import_module(module), name))
    return load(manifest, folder, load_engine(manifest, folder, threads))
