"""Models that take strings, alone or behind a preprocessor."""

from __future__ import annotations

from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.graph import CALL, Model, Signature
from tf_embeddings_staging.inspection.kinds.choice import (
    Choice,
    choose_output,
    listed_signatures,
    require_no_tokens,
    why_output,
)
from tf_embeddings_staging.inspection.kinds.signatures import (
    named_signature,
    only_or_preferred,
    ordered,
)
from tf_embeddings_staging.options import Options

TAKES = "one tensor of strings, [n] or [n, 1]"


def fits(signature: Signature) -> bool:
    """Tell whether a signature takes one tensor of strings and nothing else."""
    return len(signature.inputs) == 1 and signature.inputs[0].is_text


def choose(model: Model, signature: Signature, options: Options) -> Choice:
    """Find the output."""
    require_no_tokens(options, "text", ("pooling", "max_tokens"))
    output = choose_output(signature, options)
    why = (
        f"{signature.label} takes strings, {signature.inputs[0]}, and "
        f"{why_output(signature, output, options)}."
    )
    encoder = {**parameters(model, signature), "output": output.name, "preprocessor": None}
    return Choice("text", signature, output, encoder, why)


def parameters(model: Model, signature: Signature) -> dict[str, Any]:
    """Return how something is called with texts, as the manifest says it."""
    text = signature.inputs[0]
    return {
        "tags": list(model.tags),
        "signature": signature.name,
        "input": text.name if signature.takes == "by name" else None,
        "rank": 2 if text.shape is not None and len(text.shape) == 2 else 1,
    }


def choose_behind(model: Model, options: Options, preprocessor: Model) -> Choice:
    """Find what the preprocessor gives that the model takes, and the output.

    Raises:
        StagingError: they do not fit, or an option does not.
    """
    if options.kind not in (None, "text"):
        raise StagingError(
            f"--kind {options.kind}: a model with --preprocessor takes strings, so its kind is "
            f"text. Leave --kind out."
        )
    require_no_tokens(options, "text", ("pooling", "max_tokens"))
    first = ordered(preprocessor)
    texts = [one for one in first if fits(one)]
    if not texts:
        raise StagingError(
            f"the preprocessor has nothing that takes one tensor of strings, [n] or [n, 1] (it "
            f"has: {listed_signatures(first) or 'nothing to call'})."
        )
    second = ordered(model)
    if options.signature is not None:
        second = [one for one in second if one.name == options.signature] or [
            named_signature(model, options.signature, lambda _: True)
        ]
    pairs = [(a, b) for b in second for a in texts if _feeds(a, b)]
    if not pairs:
        raise StagingError(
            f"the preprocessor does not give what the encoder takes, by name: it gives "
            f"{listed_signatures(texts, outputs=True)}, and the encoder takes "
            f"{listed_signatures(second)}."
        )
    signature = only_or_preferred(
        [after for _, after in pairs], "Say which one of the encoder embeds with --signature."
    )
    before = only_or_preferred(
        [before for before, after in pairs if after == signature],
        "Save the preprocessor with one of them alone.",
    )
    output = choose_output(signature, options)
    encoder = {
        "tags": list(model.tags),
        "signature": signature.name,
        "input": None,
        "rank": parameters(preprocessor, before)["rank"],
        "output": output.name,
        "preprocessor": {**parameters(preprocessor, before), "output": None},
    }
    why = (
        f"{before.label} of the preprocessor takes strings and gives what {signature.label} of the "
        f"encoder takes ({', '.join(str(one.name) for one in signature.inputs)}), and "
        f"{why_output(signature, output, options)}."
    )
    return Choice("text", signature, output, encoder, why)


def _feeds(before: Signature, after: Signature) -> bool:
    """Tell whether one gives by name all that the other takes; an object takes them as a dict."""
    given = {one.name: one.dtype for one in before.outputs}
    takes_names = after.takes == "a dict" if after.name == CALL else bool(after.inputs)
    return takes_names and all(given.get(one.name) == one.dtype for one in after.inputs)
