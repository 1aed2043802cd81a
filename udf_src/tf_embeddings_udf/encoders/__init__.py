"""The seam between the planner and a kind of model: texts in, float32 rows out.

A new kind is one module with a class of this protocol and one line in `_KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from tf_embeddings_udf.errors import TfEmbeddingsError

if TYPE_CHECKING:
    import numpy as np

    from tf_embeddings_udf.manifest import Manifest

_KINDS = {
    "sentencepiece": "tf_embeddings_udf.encoders.sentencepiece",
    "text": "tf_embeddings_udf.encoders.text",
    "tokens": "tf_embeddings_udf.encoders.tokens",
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

    budget: int
    """The most that a batch of more than one row may cost."""

    counts_tokens: bool
    """Whether this kind can tell token counts and truncation."""

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Tokenise texts, each on its own: neighbours have no influence."""
        ...

    def run(self, payloads: Sequence[Any]) -> np.ndarray:
        """Return one float32 row for each payload, in the same order."""
        ...


def load_encoder(manifest: Manifest, folder: Path, threads: int) -> Encoder:
    """Load the model of an unpacked artefact; this imports TensorFlow and takes seconds.

    Raises:
        TfEmbeddingsError: the kind is unknown, or the model lacks what the manifest names.
    """
    module = _KINDS.get(manifest.kind)
    if module is None:
        known = ", ".join(sorted(_KINDS))
        raise TfEmbeddingsError(
            f"tf_embeddings: model '{manifest.model}' has an encoder of kind '{manifest.kind}', "
            f"and the installed tf_embeddings knows {known}. Install the tf_embeddings that "
            f"staged it."
        )
    load = cast("Callable[[Manifest, Path, int], Encoder]", import_module(module).load)
    return load(manifest, folder, threads)
