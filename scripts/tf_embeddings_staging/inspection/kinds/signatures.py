"""Which of what a model has to call is called: by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.graph import CALL, Model, Signature
from tf_embeddings_staging.inspection.kinds.choice import listed_signatures
from tf_embeddings_staging.options import Options

_PREFERRED = ("serving_default", "default")


def choose_signature(
    model: Model, options: Options, fits: Callable[[Signature], bool], *, is_kind_given: bool
) -> Signature:
    """Choose by name; a kind that was asked for leaves those alone that are of another."""
    if options.signature is not None:
        return named_signature(model, options.signature, fits)
    signatures = list(model.signatures.values())
    if not signatures:
        return _choose_call(model, fits)
    fitting = [one for one in signatures if fits(one)] if is_kind_given else []
    among = {one.name: one for one in fitting or signatures}
    for name in _PREFERRED:
        if name in among:
            return among[name]
    if len(among) == 1:
        return next(iter(among.values()))
    raise StagingError(
        f"the SavedModel has several signatures, and none is called "
        f"{' or '.join(map(repr, _PREFERRED))}: {listed_signatures(among.values())}. Say which "
        f"one embeds with --signature."
    )


def named_signature(model: Model, name: str, fits: Callable[[Signature], bool]) -> Signature:
    """Return the signature that was asked for, or `__call__`."""
    if name == CALL and model.calls:
        return _choose_call(model, fits)
    if name in model.signatures:
        return model.signatures[name]
    there = [*sorted(model.signatures), *([CALL] if model.calls else [])]
    raise StagingError(
        f"--signature {name}: the SavedModel has no such signature (it has: "
        f"{', '.join(there) or 'none'})."
    )


def only_or_preferred(fitting: Sequence[Signature], otherwise: str) -> Signature:
    """Return the one of a usual name, or the only one; `__call__` if there is no other.

    Raises:
        StagingError: there are several; `otherwise` ends the message.
    """
    named = [one for one in fitting if one.name != CALL]
    among = {one.name: one for one in reversed(named or fitting)}
    for name in _PREFERRED:
        if name in among:
            return among[name]
    if len(among) == 1:
        return next(iter(among.values()))
    raise StagingError(
        f"several signatures fit, and none is called {' or '.join(map(repr, _PREFERRED))}: "
        f"{listed_signatures(reversed(among.values()))}. {otherwise}"
    )


def ordered(model: Model) -> list[Signature]:
    """Return what can be called, the usual names first."""
    names = [name for name in _PREFERRED if name in model.signatures]
    others = [name for name in sorted(model.signatures) if name not in names]
    return [*(model.signatures[name] for name in [*names, *others]), *model.calls]


def _choose_call(model: Model, fits: Callable[[Signature], bool]) -> Signature:
    if not model.calls:
        raise StagingError(
            "the SavedModel has neither signatures nor a function '__call__'. Save it with a "
            "signature that embeds, for example with Keras 3's model.export."
        )
    fitting = [one for one in model.calls if fits(one)]
    if len({one.inputs[0].is_text for one in fitting}) > 1:
        raise StagingError(
            f"the function '{CALL}' can be called in several ways ({listed_signatures(fitting)}). "
            f"Say which kind of model is meant with --kind."
        )
    return fitting[0] if fitting else model.calls[0]
