"""The seam between the planner and a kind of model: texts in, float32 rows out.

A new kind is one module with a class of this protocol and one entry in `KINDS`. Encoders speak
NumPy; an engine runs the model, see `tf_embeddings_udf.engines`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from tf_embeddings_udf.engines import LITERT, TENSORFLOW, load_engine
from tf_embeddings_udf.errors import TfEmbeddingsError

if TYPE_CHECKING:
    import numpy as np

    from tf_embeddings_udf.engines import Engine
    from tf_embeddings_udf.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a kind of encoder before a model of it is loaded.

    Attributes:
        encoder: its class, as `module:class`; the module is imported when a model is loaded.
        packages: the Python packages that it needs beside those of its engine.
        counts_tokens: whether it can tell token counts and truncation.
        engines: the engines that can run it.
        tokenizer: the encoder parameter that names the tokenizer's file in the model's folder;
            None where the tokenizer is in the model's graph.
        inputs: the encoder parameters that name an input of the model. The inputs of a model that
            was converted to LiteRT are named after them.
        gives_scores: whether a row is not a vector but one number, the score of a pair of texts,
            for which 0 is as good as any other.
        example: a text that any model of the kind takes.
    """

    encoder: str
    packages: tuple[str, ...]
    counts_tokens: bool = True
    engines: tuple[str, ...] = (LITERT, TENSORFLOW)
    tokenizer: str | None = None
    inputs: tuple[str, ...] = ()
    gives_scores: bool = False
    example: str = "test"


KINDS = {
    "pairs": Kind(
        "tf_embeddings_udf.encoders.pairs:PairsEncoder",
        packages=("numpy", "tokenizers"),
        tokenizer="tokenizer",
        inputs=("input_ids", "attention_mask", "token_type_ids"),
        gives_scores=True,
        example="4:testtest",
    ),
    "sentencepiece": Kind(
        "tf_embeddings_udf.encoders.sentencepiece:SentencePieceEncoder",
        packages=("numpy", "sentencepiece"),
        tokenizer="sentencepiece",
        inputs=("values", "indices", "dense_shape"),
    ),
    "static": Kind(
        "tf_embeddings_udf.encoders.static:StaticEncoder",
        packages=("numpy", "tokenizers"),
        tokenizer="tokenizer",
        inputs=("ids", "rows"),
    ),
    "text": Kind(
        "tf_embeddings_udf.encoders.text:TextEncoder",
        packages=("numpy",),
        counts_tokens=False,
        engines=(TENSORFLOW,),
    ),
    "tokens": Kind(
        "tf_embeddings_udf.encoders.tokens:TokensEncoder",
        packages=("numpy", "tokenizers"),
        tokenizer="tokenizer",
        inputs=("input_ids", "attention_mask", "token_type_ids"),
    ),
}
"""Every kind of encoder, by the name that a manifest and a pin give it."""


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

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Tokenize texts, each on its own: neighbors have no influence."""
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
    kind = KINDS.get(manifest.kind)
    if kind is None:
        known = ", ".join(sorted(KINDS))
        raise TfEmbeddingsError(
            f"tf_embeddings: model '{manifest.model}' has an encoder of kind '{manifest.kind}', "
            f"and the installed tf_embeddings knows {known}. Install the tf_embeddings that "
            f"staged it."
        )
    module, _, name = kind.encoder.partition(":")
    load = cast("Callable[[Manifest, Path, Engine], Encoder]", getattr(import_module(module), name))
    return load(manifest, folder, load_engine(manifest, folder, threads))
