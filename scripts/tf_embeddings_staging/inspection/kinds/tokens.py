"""Models that take token ids, with a tokenizer.json beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection import neighbors
from tf_embeddings_staging.inspection.graph import Model, Signature, Tensor
from tf_embeddings_staging.inspection.kinds.choice import (
    Choice,
    candidates,
    choose_output,
    listed,
    named_output,
    why_output,
)
from tf_embeddings_staging.inspection.neighbors import Neighbors
from tf_embeddings_staging.inspection.sentence_files import (
    FEWEST_TOKENS,
    TOKENIZER,
    TOKENIZER_SETTINGS,
)
from tf_embeddings_staging.options import Options

_OF_PREPROCESSOR = frozenset(("input_word_ids", "input_mask", "input_type_ids"))

TAKES = "token ids [n, tokens], and perhaps a mask and type ids, as whole numbers"


def fits(signature: Signature) -> bool:
    """Tell whether a signature takes token ids, and perhaps a mask and segment ids."""
    return _roles(signature) is not None


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


def choose(model: Model, signature: Signature, options: Options) -> Choice:
    """Find the tokenizer and its limit, the output, and how it is pooled."""
    beside = neighbors.find_neighbors(model.folder, model.root, options)
    if beside is None:
        raise StagingError(_lacks_tokenizer(signature))
    ids, mask, types = _roles(signature) or ("", None, None)
    output, pooling = _choose_pooled(signature, options, beside)
    beside.require_prefix_is_pooled(pooling)
    max_tokens = _max_tokens(signature, options, beside)
    if beside.pads_left and (length := _length(signature)):
        raise StagingError(
            f"'{TOKENIZER_SETTINGS}' says padding_side left, and {signature.label} takes rows of "
            f"{length} tokens, which the runtime pads on the right. Save the model with rows of "
            f"any length, [None, None]."
        )
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
        f"{signature.label} takes token ids ({listed(signature.inputs)}), '{TOKENIZER}' is there, "
        f"and {why_output(signature, output, options)}{pooled}."
    )
    return Choice(
        kind="tokens",
        signature=signature,
        output=output,
        encoder=encoder,
        why=why,
        max_tokens=max_tokens,
        normalize=beside.normalize,
        prefix=beside.prefix,
        prompts=beside.prompts,
        extra_files={TOKENIZER: str(beside.tokenizer)},
    )


def _lacks_tokenizer(signature: Signature) -> str:
    takes = f"{signature.label} takes token ids ({listed(signature.inputs)})"
    names = {one.name for one in signature.inputs}
    if names <= _OF_PREPROCESSOR:
        return (
            f"{takes}, as encoders do that come with a preprocessor. Name its SavedModel with "
            f"--preprocessor SOURCE."
        )
    return (
        f"{takes}, and there is no '{TOKENIZER}' {neighbors.places_named()}. Put it there, or "
        f"name the SavedModel that makes token ids of texts with --preprocessor SOURCE."
    )


def _choose_pooled(
    signature: Signature, options: Options, beside: Neighbors
) -> tuple[Tensor, str | None]:
    """Choose the output, and how one vector is made of one a token."""
    pooling = beside.pooling
    if options.output is not None:
        output = named_output(signature, options.output)
        if output.shape is None:
            if options.pooling:
                beside.require_pooling_is_all()
            return output, options.pooling
        if len(output.shape) == 3:
            beside.require_pooling_is_all()
            return output, pooling or _ask_for_pooling(signature, [output])
        if options.pooling is None:
            return output, None
        raise StagingError(
            f"--pooling {options.pooling}: the output {output} holds one vector a text, so there "
            f"is nothing to pool. Leave --pooling out."
        )
    of_tokens = [one for one in signature.outputs if one.is_floats and one.has_rank(3)]
    if pooling is not None and (options.pooling or of_tokens):
        output = choose_output(signature, options, 3)
        beside.require_pooling_is_all()
        return output, pooling
    of_texts = [one for one in signature.outputs if one.is_floats and one.has_rank(2)]
    if of_tokens and of_tokens != of_texts:
        beside.require_pooling_is_all()
        return _ask_for_pooling(signature, of_tokens)
    return choose_output(signature, options), None


def _ask_for_pooling(signature: Signature, of_tokens: Sequence[Tensor]) -> Any:  # noqa: ANN401
    of_texts = [one for one in candidates(signature) if one not in of_tokens]
    other = "".join(f", or --output {one.name} for one vector a text" for one in of_texts[:1])
    raise StagingError(
        f"{signature.label} gives {listed(signature.outputs)}, and nothing says how the tokens' "
        f"vectors become one. Say --output {of_tokens[0].name} with --pooling mean, cls or "
        f"max{other}."
    )


def _length(signature: Signature) -> int | None:
    """Return the length of the rows that a signature takes, if it is always the same."""
    fixed = [one.shape[1] for one in signature.inputs if one.shape and one.shape[1] is not None]
    return min(fixed, default=None)


def _max_tokens(signature: Signature, options: Options, beside: Neighbors) -> int:
    fixed = _length(signature)
    bounds = [*([fixed] if fixed else []), *([beside.positions] if beside.positions else [])]
    most = min(bounds, default=None)
    chosen = options.max_tokens
    if chosen is not None and not FEWEST_TOKENS <= chosen <= (most or chosen):
        raise StagingError(
            f"--max-tokens {chosen}: this model takes from {FEWEST_TOKENS} "
            f"{f'to {most}' if most else 'on'} tokens."
        )
    wanted = chosen or beside.limit or most
    if wanted is None:
        raise StagingError(
            "nothing says after how many tokens the model truncates: neither tokenizer_config.json "
            "nor config.json beside it, nor its signature. Say so with --max-tokens."
        )
    return min(wanted, most or wanted)
