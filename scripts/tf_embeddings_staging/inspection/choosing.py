"""Which signature of a SavedModel is called, and which of its outputs holds the vectors.

Both are found by name and by shape, or asked for. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.graph import CALL, Graph, Signature, Tensor
from tf_embeddings_staging.options import Options

_PREFERRED = ("serving_default", "default")


def choose_signature(
    graph: Graph, options: Options, fits: Callable[[Signature], bool], *, is_kind_given: bool
) -> Signature:
    """Choose by name; where a kind was asked for, only signatures that fit it count."""
    if options.signature is not None:
        return named_signature(graph, options.signature, fits)
    signatures = list(graph.signatures.values())
    if not signatures:
        return _choose_call(graph, fits)
    fitting = [one for one in signatures if fits(one)] if is_kind_given else []
    among = {one.name: one for one in fitting or signatures}
    if chosen := _preferred_or_only(among):
        return chosen
    raise StagingError(
        f"the SavedModel has several signatures, and none is called "
        f"{' or '.join(map(repr, _PREFERRED))}: {listed_signatures(among.values())}. Say which "
        f"one embeds with --signature."
    )


def named_signature(graph: Graph, name: str, fits: Callable[[Signature], bool]) -> Signature:
    """Return the signature that was asked for, or `__call__`."""
    if name == CALL and graph.calls:
        return _choose_call(graph, fits)
    if name in graph.signatures:
        return graph.signatures[name]
    there = [*sorted(graph.signatures), *([CALL] if graph.calls else [])]
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
    if chosen := _preferred_or_only(among):
        return chosen
    raise StagingError(
        f"several signatures fit, and none is called {' or '.join(map(repr, _PREFERRED))}: "
        f"{listed_signatures(reversed(among.values()))}. {otherwise}"
    )


def _preferred_or_only(among: Mapping[str, Signature]) -> Signature | None:
    for name in _PREFERRED:
        if name in among:
            return among[name]
    return next(iter(among.values())) if len(among) == 1 else None


def ordered(graph: Graph) -> list[Signature]:
    """Return what can be called, the usual names first."""
    names = [name for name in _PREFERRED if name in graph.signatures]
    others = [name for name in sorted(graph.signatures) if name not in names]
    return [*(graph.signatures[name] for name in [*names, *others]), *graph.calls]


def _choose_call(graph: Graph, fits: Callable[[Signature], bool]) -> Signature:
    if not graph.calls:
        raise StagingError(
            "the SavedModel has neither signatures nor a function '__call__'. Save it with a "
            "signature that embeds, for example with Keras 3's model.export."
        )
    fitting = [one for one in graph.calls if fits(one)]
    if len({one.inputs[0].is_text for one in fitting}) > 1:
        raise StagingError(
            f"the function '{CALL}' can be called in several ways ({listed_signatures(fitting)}). "
            f"Say which kind of model is meant with --kind."
        )
    return fitting[0] if fitting else graph.calls[0]


def candidates(signature: Signature) -> list[Tensor]:
    """Return the outputs that could hold vectors: of a text [n, d], of its tokens [n, t, d]."""
    return [one for one in signature.outputs if one.is_floats and _may_be_vectors(one)]


def choose_output(signature: Signature, options: Options, rank: int = 2) -> Tensor:
    """Choose the output of vectors: the one that was asked for, or the only one of a rank."""
    if options.output is not None:
        return named_output(signature, options.output)
    fitting = [one for one in signature.outputs if one.is_floats and one.has_rank(rank)]
    if len(fitting) == 1:
        return fitting[0]
    wanted = "[n, dimensions]" if rank == 2 else "[n, tokens, dimensions]"
    gives = f"{signature.label} gives {listed(signature.outputs)}"
    if not fitting:
        raise StagingError(f"{gives}; it must give a tensor of floats {wanted}.")
    names = ", ".join(str(one.name) for one in fitting)
    raise StagingError(
        f"{gives}; more than one may hold the vectors. Say which one with --output ({names})."
    )


def named_output(signature: Signature, name: str) -> Tensor:
    """Return the output that was asked for."""
    for output in signature.outputs:
        if output.name == name and output.is_floats and _may_be_vectors(output):
            return output
    if [output.name for output in signature.outputs] == [None]:
        raise StagingError(
            f"--output {name}: {signature.label} gives one tensor, {signature.outputs[0]}, which "
            f"has neither key nor index. Leave --output out."
        )
    raise StagingError(
        f"--output {name}: {signature.label} gives {listed(signature.outputs)}; the output of "
        f"vectors must be one of those of floats, [n, dimensions]."
    )


def why_output(signature: Signature, output: Tensor, options: Options) -> str:
    """Return why an output was chosen, as a part of a sentence."""
    if output.name is None:
        return f"it gives {output}"
    if options.output is not None:
        return f"its output {output} was asked for"
    return f"of what it gives {output} is the one that can hold the vectors"


def listed(tensors: Iterable[Tensor]) -> str:
    """List tensors in a message."""
    return ", ".join(map(str, tensors)) or "nothing"


def listed_signatures(signatures: Iterable[Signature], *, outputs: bool = False) -> str:
    """List signatures in a message, with what they take, or with what they give."""
    return "; ".join(
        f"{one.name}: {listed(one.outputs if outputs else one.inputs)}" for one in signatures
    )


def _may_be_vectors(tensor: Tensor) -> bool:
    return tensor.has_rank(2) or tensor.has_rank(3)
