"""Models that take the ids of SentencePiece: Universal Sentence Encoder lite."""

from __future__ import annotations

from pathlib import Path

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import ASSETS
from tf_embeddings_staging.inspection.graph import Model, Signature
from tf_embeddings_staging.inspection.kinds.choice import (
    Choice,
    choose_output,
    require_no_tokens,
    why_output,
)
from tf_embeddings_staging.options import Options

_SPARSE = ("values", "indices", "dense_shape")
_MOST_BYTES = 2**28  # of a SentencePiece model; the largest that are published have 5 MB

TAKES = f"ids of SentencePiece as {', '.join(_SPARSE)}"


def fits(signature: Signature) -> bool:
    """Tell whether a signature takes ids as the parts of a sparse tensor."""
    named = {one.name: one for one in signature.inputs}
    return named.keys() == set(_SPARSE) and all(one.is_integers for one in named.values())


def choose(model: Model, signature: Signature, options: Options) -> Choice:
    """Find the SentencePiece model in the assets, and the output."""
    require_no_tokens(options, "sentencepiece", ("pooling",))
    path = _model_in(model.folder)
    output = choose_output(signature, options)
    encoder = {
        "tags": list(model.tags),
        "signature": signature.name,
        **{name: name for name in _SPARSE},
        "sentencepiece": path,
        "max_tokens": options.max_tokens,
        "output": output.name,
    }
    why = (
        f"{signature.label} takes the ids of SentencePiece as {', '.join(_SPARSE)}, '{path}' "
        f"is the one SentencePiece model, and {why_output(signature, output, options)}."
    )
    return Choice("sentencepiece", signature, output, encoder, why, options.max_tokens)


def _model_in(folder: Path) -> str:
    """Return the path of the one SentencePiece model in assets/."""
    assets = [path for path in sorted((folder / ASSETS).rglob("*")) if path.is_file()]
    found = [path for path in assets if _is_model(path)]
    if len(found) == 1:
        return found[0].relative_to(folder).as_posix()
    listed = ", ".join(path.relative_to(folder).as_posix() for path in found or assets)
    raise StagingError(
        f"the model takes the ids of SentencePiece, so '{ASSETS}' must hold exactly one "
        f"SentencePiece model; {'it has several' if found else 'none is there'} "
        f"({'it has: ' if not found else ''}{listed or 'no files'})."
    )


def _is_model(path: Path) -> bool:
    import sentencepiece

    if not 0 < path.stat().st_size <= _MOST_BYTES:
        return False
    try:
        sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    except (RuntimeError, ValueError, OSError):
        return False
    return True
