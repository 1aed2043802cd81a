"""What a kind of encoder is found to be, and which of the outputs holds its vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.graph import Signature, Tensor
from tf_embeddings_staging.options import Options


@dataclass(frozen=True)
class Choice:
    """A kind of encoder, and its parameters.

    Attributes:
        signature: what is called.
        output: the output that holds the vectors.
        encoder: what the manifest's `encoder` holds.
    """

    kind: str
    signature: Signature
    output: Tensor
    encoder: Mapping[str, Any]
    why: str
    max_tokens: int | None = None
    normalize: bool = False
    prefix: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)
    extra_files: Mapping[str, str] = field(default_factory=dict)


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


def require_no_tokens(options: Options, kind: str, names: Sequence[str]) -> None:
    """Refuse options that only models of token ids have."""
    for name in names:
        if getattr(options, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise StagingError(
                f"{flag} is for models that take token ids, and this one is of kind {kind}: what "
                f"happens to its tokens is in its graph. Leave {flag} out."
            )


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
