"""Which kind of encoder a SavedModel is, and how it is called: found, or asked for; never guessed.

Each kind is a module: `fits` says whether something callable is of it, `choose` fills in the
manifest's `encoder`, and `TAKES` says in words what it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.graph import Model, Signature
from tf_embeddings_staging.inspection.kinds import sentencepiece, text, tokens
from tf_embeddings_staging.inspection.kinds.choice import (
    Choice,
    candidates,
    listed,
    listed_signatures,
)
from tf_embeddings_staging.inspection.kinds.signatures import choose_signature, ordered
from tf_embeddings_staging.inspection.neighbors import POOLINGS
from tf_embeddings_staging.options import Options

__all__ = ["Choice", "candidates", "choose"]


@dataclass(frozen=True)
class _Kind:
    fits: Callable[[Signature], bool]
    choose: Callable[[Model, Signature, Options], Choice]
    takes: str


_KINDS: Mapping[str, _Kind] = {
    "text": _Kind(text.fits, text.choose, text.TAKES),
    "sentencepiece": _Kind(sentencepiece.fits, sentencepiece.choose, sentencepiece.TAKES),
    "tokens": _Kind(tokens.fits, tokens.choose, tokens.TAKES),
}


def choose(model: Model, options: Options, preprocessor: Model | None = None) -> Choice:
    """Choose the kind, what to call, and what of its outputs to take.

    Raises:
        StagingError: nothing fits, or more than one thing does; the message lists what there is.
    """
    _require_options(options)
    if preprocessor is not None:
        return text.choose_behind(model, options, preprocessor)
    kinds = {options.kind: _KINDS[options.kind]} if options.kind else _KINDS
    signature = choose_signature(
        model,
        options,
        lambda one: any(kind.fits(one) for kind in kinds.values()),
        is_kind_given=options.kind is not None,
    )
    for kind in kinds.values():
        if kind.fits(signature):
            return kind.choose(model, signature, options)
    allowed = "; or ".join(kind.takes for kind in kinds.values())
    raise StagingError(
        f"{signature.label} takes {listed(signature.inputs)}; it must take {allowed}."
        f"{_others(model, kinds.values())}"
    )


def _others(model: Model, kinds: Iterable[_Kind]) -> str:
    """Return which signatures would fit, as a sentence that follows one."""
    fitting = [one for one in ordered(model) if any(kind.fits(one) for kind in kinds)]
    if not fitting:
        return ""
    return f" Others do ({listed_signatures(fitting)}): say which one embeds with --signature."


def _require_options(options: Options) -> None:
    if options.kind not in (None, *_KINDS):
        raise StagingError(
            f"--kind {options.kind}: there is no such kind; the kinds are "
            f"{', '.join(sorted(_KINDS))}."
        )
    if options.pooling not in (None, *POOLINGS):
        raise StagingError(
            f"--pooling {options.pooling}: there is no such pooling; it may be "
            f"{', '.join(POOLINGS)}."
        )
