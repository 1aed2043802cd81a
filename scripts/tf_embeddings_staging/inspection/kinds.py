"""Which kind of encoder a SavedModel is, and how it is called: found, or asked for; never guessed.

Each kind has a function that says whether something callable is of it, and one that fills in the
manifest's `encoder`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection import neighbours
from tf_embeddings_staging.inspection.files import ASSETS
from tf_embeddings_staging.inspection.graph import CALL, Model, Signature, Tensor
from tf_embeddings_staging.inspection.neighbours import POOLINGS, TOKENIZER, Neighbours
from tf_embeddings_staging.options import Options

_PREFERRED = ("serving_default", "default")
_SPARSE = ("values", "indices", "dense_shape")
_OF_PREPROCESSOR = frozenset(("input_word_ids", "input_mask", "input_type_ids"))
_FEWEST_TOKENS = 3  # [CLS], [SEP], and one between them
_MOST_SENTENCEPIECE = 2**28  # bytes; the largest that are published have 5 MB


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
    extra_files: Mapping[str, str] = field(default_factory=dict)


def choose(model: Model, options: Options, preprocessor: Model | None = None) -> Choice:
    """Choose the kind, what to call, and what of its outputs to take.

    Raises:
        StagingError: nothing fits, or more than one thing does; the message lists what there is.
    """
    _require_options(options)
    if preprocessor is not None:
        return _choose_pair(model, options, preprocessor)
    if options.kind is not None and options.kind not in _KINDS:
        raise StagingError(
            f"--kind {options.kind}: there is no such kind; the kinds are "
            f"{', '.join(sorted(_KINDS))}."
        )
    fits = {options.kind: _KINDS[options.kind].fits} if options.kind else _FITS
    signature = _choose_signature(
        model, options, lambda one: any(fit(one) for fit in fits.values()), bool(options.kind)
    )
    for kind, fit in fits.items():
        if fit(signature):
            return _KINDS[kind].choose(model, signature, options)
    allowed = _KINDS[options.kind].takes if options.kind else _ALLOWED
    raise StagingError(
        f"{signature.label} takes {_listed(signature.inputs)}; it must take {allowed}."
    )


def candidates(signature: Signature) -> list[Tensor]:
    """Return the outputs that could hold vectors: of a text [n, d], of its tokens [n, t, d]."""
    return [one for one in signature.outputs if one.is_floats and _may_be_vectors(one)]


def _may_be_vectors(tensor: Tensor) -> bool:
    return tensor.has_rank(2) or tensor.has_rank(3)


def _require_options(options: Options) -> None:
    if options.pooling is not None and options.pooling not in POOLINGS:
        raise StagingError(
            f"--pooling {options.pooling}: there is no such pooling; it may be "
            f"{', '.join(POOLINGS)}."
        )


# --- what is called


def _choose_signature(
    model: Model, options: Options, fits: Callable[[Signature], bool], is_kind_given: bool
) -> Signature:
    """Choose by name; a kind that was asked for leaves those alone that are of another."""
    if options.signature is not None:
        return _named_signature(model, options.signature, fits)
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
        f"{' or '.join(map(repr, _PREFERRED))}: {_listed_signatures(among.values())}. Say which "
        f"one embeds with --signature."
    )


def _named_signature(model: Model, name: str, fits: Callable[[Signature], bool]) -> Signature:
    if name == CALL and model.calls:
        return _choose_call(model, fits)
    if name in model.signatures:
        return model.signatures[name]
    there = [*sorted(model.signatures), *([CALL] if model.calls else [])]
    raise StagingError(
        f"--signature {name}: the SavedModel has no such signature (it has: "
        f"{', '.join(there) or 'none'})."
    )


def _choose_call(model: Model, fits: Callable[[Signature], bool]) -> Signature:
    if not model.calls:
        raise StagingError(
            "the SavedModel has neither signatures nor a function '__call__'. Save it with a "
            "signature that embeds, for example with Keras 3's model.export."
        )
    fitting = [one for one in model.calls if fits(one)]
    return fitting[0] if fitting else model.calls[0]


# --- what it gives


def _choose_output(signature: Signature, options: Options, rank: int = 2) -> Tensor:
    if options.output is not None:
        return _named_output(signature, options.output)
    fitting = [one for one in signature.outputs if one.is_floats and one.has_rank(rank)]
    if len(fitting) == 1:
        return fitting[0]
    wanted = "[n, dimensions]" if rank == 2 else "[n, tokens, dimensions]"
    gives = f"{signature.label} gives {_listed(signature.outputs)}"
    if not fitting:
        raise StagingError(f"{gives}; it must give a tensor of floats {wanted}.")
    names = ", ".join(str(one.name) for one in fitting)
    raise StagingError(
        f"{gives}; more than one may hold the vectors. Say which one with --output ({names})."
    )


def _named_output(signature: Signature, name: str) -> Tensor:
    for output in signature.outputs:
        if output.name == name and output.is_floats and _may_be_vectors(output):
            return output
    raise StagingError(
        f"--output {name}: {signature.label} gives {_listed(signature.outputs)}; the output of "
        f"vectors must be one of those of floats, [n, dimensions]."
    )


def _why_output(signature: Signature, output: Tensor, options: Options) -> str:
    if output.name is None:
        return f"it gives {output}"
    if options.output is not None:
        return f"its output {output} was asked for"
    return f"of what it gives {output} is the one that can hold the vectors"


# --- text


def _is_text(signature: Signature) -> bool:
    return len(signature.inputs) == 1 and signature.inputs[0].is_text


def _choose_text(model: Model, signature: Signature, options: Options) -> Choice:
    _require_no_tokens(options, "text", ("pooling", "max_tokens"))
    output = _choose_output(signature, options)
    why = (
        f"{signature.label} takes strings, {signature.inputs[0]}, and "
        f"{_why_output(signature, output, options)}."
    )
    encoder = {**_text_parameters(model, signature), "output": output.name, "preprocessor": None}
    return Choice("text", signature, output, encoder, why)


def _text_parameters(model: Model, signature: Signature) -> dict[str, Any]:
    text = signature.inputs[0]
    return {
        "tags": list(model.tags),
        "signature": signature.name,
        "input": text.name if signature.takes == "by name" else None,
        "rank": 2 if text.shape is not None and len(text.shape) == 2 else 1,
    }


def _require_no_tokens(options: Options, kind: str, names: Sequence[str]) -> None:
    for name in names:
        if getattr(options, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise StagingError(
                f"{flag} is for models that take token ids, and this one is of kind {kind}: what "
                f"happens to its tokens is in its graph. Leave {flag} out."
            )


# --- a preprocessor of text, and the encoder behind it


def _choose_pair(model: Model, options: Options, preprocessor: Model) -> Choice:
    if options.kind not in (None, "text"):
        raise StagingError(
            f"--kind {options.kind}: a model with --preprocessor takes strings, so its kind is "
            f"text. Leave --kind out."
        )
    _require_no_tokens(options, "text", ("pooling", "max_tokens"))
    first = _ordered(preprocessor)
    texts = [one for one in first if _is_text(one)]
    if not texts:
        raise StagingError(
            f"the preprocessor has nothing that takes one tensor of strings, [n] or [n, 1] (it "
            f"has: {_listed_signatures(first) or 'nothing to call'})."
        )
    second = _ordered(model)
    if options.signature is not None:
        second = [one for one in second if one.name == options.signature] or [
            _named_signature(model, options.signature, lambda _: True)
        ]
    pairs = [(a, b) for b in second for a in texts if _feeds(a, b)]
    if not pairs:
        raise StagingError(
            f"the preprocessor does not give what the encoder takes, by name: it gives "
            f"{_listed_signatures(texts, outputs=True)}, and the encoder takes "
            f"{_listed_signatures(second)}."
        )
    before, signature = pairs[0]
    output = _choose_output(signature, options)
    encoder = {
        "tags": list(model.tags),
        "signature": signature.name,
        "input": None,
        "rank": _text_parameters(preprocessor, before)["rank"],
        "output": output.name,
        "preprocessor": {**_text_parameters(preprocessor, before), "output": None},
    }
    why = (
        f"{before.label} of the preprocessor takes strings and gives what {signature.label} of the "
        f"encoder takes ({', '.join(str(one.name) for one in signature.inputs)}), and "
        f"{_why_output(signature, output, options)}."
    )
    return Choice("text", signature, output, encoder, why)


def _ordered(model: Model) -> list[Signature]:
    """Return what can be called, the usual names first."""
    names = [name for name in _PREFERRED if name in model.signatures]
    others = [name for name in sorted(model.signatures) if name not in names]
    return [*(model.signatures[name] for name in [*names, *others]), *model.calls]


def _feeds(before: Signature, after: Signature) -> bool:
    """Tell whether one gives by name all that the other takes; an object takes them as a dict."""
    given = {one.name: one.dtype for one in before.outputs}
    takes_names = after.takes == "a dict" if after.name == CALL else bool(after.inputs)
    return takes_names and all(given.get(one.name) == one.dtype for one in after.inputs)


# --- SentencePiece


def _is_sentencepiece(signature: Signature) -> bool:
    named = {one.name: one for one in signature.inputs}
    return named.keys() == set(_SPARSE) and all(one.is_integers for one in named.values())


def _choose_sentencepiece(model: Model, signature: Signature, options: Options) -> Choice:
    _require_no_tokens(options, "sentencepiece", ("pooling",))
    path = _sentencepiece_model(model.folder)
    output = _choose_output(signature, options)
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
        f"is the one SentencePiece model, and {_why_output(signature, output, options)}."
    )
    return Choice("sentencepiece", signature, output, encoder, why, options.max_tokens)


def _sentencepiece_model(folder: Path) -> str:
    """Return the path of the one SentencePiece model in assets/."""
    assets = [path for path in sorted((folder / ASSETS).rglob("*")) if path.is_file()]
    found = [path for path in assets if _is_sentencepiece_model(path)]
    if len(found) == 1:
        return found[0].relative_to(folder).as_posix()
    listed = ", ".join(path.relative_to(folder).as_posix() for path in found or assets)
    raise StagingError(
        f"the model takes the ids of SentencePiece, so '{ASSETS}' must hold exactly one "
        f"SentencePiece model; {'it has several' if found else 'none is there'} "
        f"({'it has: ' if not found else ''}{listed or 'no files'})."
    )


def _is_sentencepiece_model(path: Path) -> bool:
    import sentencepiece

    if not 0 < path.stat().st_size <= _MOST_SENTENCEPIECE:
        return False
    try:
        sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    except (RuntimeError, ValueError, OSError):
        return False
    return True


# --- tokens


def _is_tokens(signature: Signature) -> bool:
    roles = _roles(signature)
    return roles is not None


def _roles(signature: Signature) -> tuple[str, str | None, str | None] | None:
    """Return which inputs are ids, mask and segments, by their names; None if they are not."""
    inputs = signature.inputs
    if not 1 <= len(inputs) <= 3 or signature.takes == "a dict":
        return None
    if not all(one.name and one.is_integers and one.has_rank(2) for one in inputs):
        return None
    names = [str(one.name) for one in inputs]
    masks = [name for name in names if "mask" in name.lower()]
    types = [name for name in names if _is_of_segments(name) and name not in masks]
    ids = [name for name in names if name not in (*masks, *types)]
    if len(ids) != 1 or len(masks) > 1 or len(types) > 1:
        return None
    return ids[0], masks[0] if masks else None, types[0] if types else None


def _is_of_segments(name: str) -> bool:
    return "type" in name.lower() or "segment" in name.lower()


def _choose_tokens(model: Model, signature: Signature, options: Options) -> Choice:
    beside = neighbours.find_neighbours(model.folder)
    if beside is None:
        raise StagingError(_lacks_tokenizer(signature))
    ids, mask, types = _roles(signature) or ("", None, None)
    output, pooling = _choose_pooled(signature, options, beside)
    max_tokens = _max_tokens(signature, options, beside)
    encoder = {
        "tags": list(model.tags),
        "signature": signature.name,
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": types,
        "output": output.name,
        "tokenizer": TOKENIZER,
        "max_tokens": max_tokens,
        "pooling": pooling,
    }
    pooled = f", pooled by {pooling}" if pooling else ""
    why = (
        f"{signature.label} takes token ids ({_listed(signature.inputs)}), '{TOKENIZER}' is there, "
        f"and {_why_output(signature, output, options)}{pooled}."
    )
    return Choice(
        kind="tokens",
        signature=signature,
        output=output,
        encoder=encoder,
        why=why,
        max_tokens=max_tokens,
        normalize=beside.normalize,
        extra_files={TOKENIZER: str(beside.tokenizer)},
    )


def _lacks_tokenizer(signature: Signature) -> str:
    takes = f"{signature.label} takes token ids ({_listed(signature.inputs)})"
    names = {one.name for one in signature.inputs}
    if names <= _OF_PREPROCESSOR:
        return (
            f"{takes}, as encoders do that come with a preprocessor. Name its SavedModel with "
            f"--preprocessor SOURCE."
        )
    return (
        f"{takes}, and there is no '{TOKENIZER}' {neighbours.places_named()}. Put it there, or "
        f"name the SavedModel that makes token ids of texts with --preprocessor SOURCE."
    )


def _choose_pooled(
    signature: Signature, options: Options, beside: Neighbours
) -> tuple[Tensor, str | None]:
    """Choose the output, and how one vector is made of one a token."""
    pooling = options.pooling or beside.pooling
    if options.output is not None:
        output = _named_output(signature, options.output)
        if output.shape is None:
            return output, options.pooling
        if len(output.shape) == 3:
            return output, pooling or _ask_for_pooling(signature, [output])
        if options.pooling is None:
            return output, None
        raise StagingError(
            f"--pooling {options.pooling}: the output {output} holds one vector a text, so there "
            f"is nothing to pool. Leave --pooling out."
        )
    of_tokens = [one for one in signature.outputs if one.is_floats and one.has_rank(3)]
    if pooling is not None and (options.pooling or of_tokens):
        return _choose_output(signature, options, 3), pooling
    of_texts = [one for one in signature.outputs if one.is_floats and one.has_rank(2)]
    if of_tokens and of_tokens != of_texts:
        return _ask_for_pooling(signature, of_tokens)
    return _choose_output(signature, options), None


def _ask_for_pooling(signature: Signature, of_tokens: Sequence[Tensor]) -> Any:  # noqa: ANN401
    of_texts = [one for one in candidates(signature) if one not in of_tokens]
    other = "".join(f", or --output {one.name} for one vector a text" for one in of_texts[:1])
    raise StagingError(
        f"{signature.label} gives {_listed(signature.outputs)}, and nothing says how the tokens' "
        f"vectors become one. Say --output {of_tokens[0].name} with --pooling mean, cls or "
        f"max{other}."
    )


def _max_tokens(signature: Signature, options: Options, beside: Neighbours) -> int:
    fixed = [one.shape[1] for one in signature.inputs if one.shape and one.shape[1] is not None]
    bounds = [*fixed, *([beside.positions] if beside.positions else [])]
    most = min(bounds, default=None)
    chosen = options.max_tokens
    if chosen is not None and not _FEWEST_TOKENS <= chosen <= (most or chosen):
        raise StagingError(
            f"--max-tokens {chosen}: this model takes from {_FEWEST_TOKENS} "
            f"{f'to {most}' if most else 'on'} tokens."
        )
    wanted = chosen or beside.limit or most
    if wanted is None:
        raise StagingError(
            "nothing says after how many tokens the model truncates: neither tokenizer_config.json "
            "nor config.json beside it, nor its signature. Say so with --max-tokens."
        )
    return min(wanted, most or wanted)


# --- the kinds


@dataclass(frozen=True)
class _Kind:
    fits: Callable[[Signature], bool]
    choose: Callable[[Model, Signature, Options], Choice]
    takes: str


_KINDS: Mapping[str, _Kind] = {
    "text": _Kind(_is_text, _choose_text, "one tensor of strings, [n] or [n, 1]"),
    "sentencepiece": _Kind(
        _is_sentencepiece, _choose_sentencepiece, f"ids of SentencePiece as {', '.join(_SPARSE)}"
    ),
    "tokens": _Kind(
        _is_tokens,
        _choose_tokens,
        "token ids [n, tokens], and perhaps a mask and type ids, as whole numbers",
    ),
}
_FITS = {name: kind.fits for name, kind in _KINDS.items()}
_ALLOWED = "; or ".join(kind.takes for kind in _KINDS.values())


def _listed(tensors: Iterable[Tensor]) -> str:
    return ", ".join(map(str, tensors)) or "nothing"


def _listed_signatures(signatures: Iterable[Signature], *, outputs: bool = False) -> str:
    return "; ".join(
        f"{one.name}: {_listed(one.outputs if outputs else one.inputs)}" for one in signatures
    )
