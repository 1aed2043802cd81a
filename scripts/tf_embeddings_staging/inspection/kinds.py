"""The kinds of encoder: how a SavedModel of each is recognized, and its parameters found.

A new kind is one class here, in `KINDS`, and one entry of the same name in the runtime's `KINDS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection import neighbors
from tf_embeddings_staging.inspection.choosing import (
    candidates,
    choose_output,
    choose_signature,
    listed,
    listed_signatures,
    named_output,
    named_signature,
    only_or_preferred,
    ordered,
    why_output,
)
from tf_embeddings_staging.inspection.files import ASSETS
from tf_embeddings_staging.inspection.graph import CALL, Graph, Signature, Tensor
from tf_embeddings_staging.inspection.neighbors import RUNTIME_POOLINGS, Neighbors
from tf_embeddings_staging.inspection.sentence_files import (
    FEWEST_TOKENS,
    TOKENIZER,
    TOKENIZER_SETTINGS,
)
from tf_embeddings_staging.model import Model
from tf_embeddings_staging.options import POOLINGS, Options


@dataclass(frozen=True)
class Choice:
    """What a SavedModel is found to be, and why.

    Attributes:
        model: the record of it, as far as its files tell.
        signature: what is called.
        output: the output that holds the vectors.
        why: one sentence: what made it this kind, this signature and this output.
        prompts: the prompts beside it, if none is the default and the user says nothing.
        extra_files: files from outside the SavedModel that belong into it, by their path there.
    """

    model: Model
    signature: Signature
    output: Tensor
    why: str
    prompts: Mapping[str, str] = field(default_factory=dict)
    extra_files: Mapping[str, Path] = field(default_factory=dict)


class Kind:
    """A kind of encoder."""

    may_lack_scripts = True
    """Whether a sound model may give no vector for texts in some scripts."""

    def token_ids(self, tokenizer: Path, text: str) -> list[int] | None:
        """Return the token ids of a text, to compare with published ones; None: not compared."""
        return None


class OfSavedModel(Kind, ABC):
    """How a kind is recognized in a SavedModel."""

    takes: str
    """What a signature of this kind takes, in words."""

    @abstractmethod
    def fits(self, signature: Signature) -> bool:
        """Tell whether a signature is of this kind."""

    @abstractmethod
    def choose(self, graph: Graph, signature: Signature, options: Options) -> Choice:
        """Find the parameters of a signature that fits.

        Raises:
            StagingError: a file is missing, the user must choose, or an option does not fit.
        """


class Text(OfSavedModel):
    """Models that take strings, by themselves or behind a preprocessor."""

    takes = "one tensor of strings, [n] or [n, 1]"

    def fits(self, signature: Signature) -> bool:
        """Tell whether it takes one tensor of strings and nothing else."""
        return len(signature.inputs) == 1 and signature.inputs[0].is_text

    def choose(self, graph: Graph, signature: Signature, options: Options) -> Choice:
        """Find the output."""
        _require_no_tokens(options, "text", "pooling", "max_tokens")
        output = choose_output(signature, options)
        why = (
            f"{signature.label} takes strings, {signature.inputs[0]}, and "
            f"{why_output(signature, output, options)}."
        )
        called = _called_with_text(graph, signature)
        model = Model("text", {**called, "output": output.name, "preprocessor": None})
        return Choice(model, signature, output, why)

    def choose_behind(self, graph: Graph, options: Options, preprocessor: Graph) -> Choice:
        """Find what the preprocessor gives that the model takes, and the output.

        Raises:
            StagingError: they do not fit, or an option does not.
        """
        if options.kind not in (None, "text"):
            raise StagingError(
                f"--kind {options.kind}: a model with --preprocessor takes strings, so its kind is "
                f"text. Leave --kind out."
            )
        _require_no_tokens(options, "text", "pooling", "max_tokens")
        first = ordered(preprocessor)
        texts = [one for one in first if self.fits(one)]
        if not texts:
            raise StagingError(
                f"the preprocessor has nothing that takes {self.takes} (it has: "
                f"{listed_signatures(first) or 'nothing to call'})."
            )
        second = ordered(graph)
        if options.signature is not None:
            second = [one for one in second if one.name == options.signature] or [
                named_signature(graph, options.signature, lambda _: True)
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
            "Save the preprocessor with only one of them.",
        )
        output = choose_output(signature, options)
        called = _called_with_text(preprocessor, before)
        encoder = {
            "tags": list(graph.tags),
            "signature": signature.name,
            "input": None,
            "rank": called["rank"],
            "output": output.name,
            "preprocessor": {**called, "output": None},
        }
        why = (
            f"{before.label} of the preprocessor takes strings and gives what {signature.label} of "
            f"the encoder takes ({', '.join(str(one.name) for one in signature.inputs)}), and "
            f"{why_output(signature, output, options)}."
        )
        return Choice(Model("text", encoder), signature, output, why)


def _called_with_text(graph: Graph, signature: Signature) -> dict[str, Any]:
    """Return how something is called with texts, as the manifest says it."""
    text = signature.inputs[0]
    return {
        "tags": list(graph.tags),
        "signature": signature.name,
        "input": text.name if signature.takes == "by name" else None,
        "rank": 2 if text.shape is not None and len(text.shape) == 2 else 1,
    }


def _feeds(before: Signature, after: Signature) -> bool:
    """Tell whether one gives by name all that the other takes; an object takes them as a dict."""
    given = {one.name: one.dtype for one in before.outputs}
    takes_names = after.takes == "a dict" if after.name == CALL else bool(after.inputs)
    return takes_names and all(given.get(one.name) == one.dtype for one in after.inputs)


class SentencePiece(OfSavedModel):
    """Models that take the ids of SentencePiece: Universal Sentence Encoder lite."""

    _SPARSE = ("values", "indices", "dense_shape")
    _MOST_BYTES = 2**28  # of a SentencePiece model; the largest published ones have 5 MB

    takes = f"ids of SentencePiece as {', '.join(_SPARSE)}"

    def fits(self, signature: Signature) -> bool:
        """Tell whether it takes ids as the parts of a sparse tensor."""
        named = {one.name: one for one in signature.inputs}
        return named.keys() == set(self._SPARSE) and all(one.is_integers for one in named.values())

    def choose(self, graph: Graph, signature: Signature, options: Options) -> Choice:
        """Find the SentencePiece model in the assets, and the output."""
        _require_no_tokens(options, "sentencepiece", "pooling")
        path = self._model_in(graph.folder)
        output = choose_output(signature, options)
        encoder = {
            "tags": list(graph.tags),
            "signature": signature.name,
            **{name: name for name in self._SPARSE},
            "sentencepiece": path,
            "max_tokens": options.max_tokens,
            "output": output.name,
        }
        why = (
            f"{signature.label} takes the ids of SentencePiece as {', '.join(self._SPARSE)}, "
            f"'{path}' is the one SentencePiece model, and "
            f"{why_output(signature, output, options)}."
        )
        model = Model("sentencepiece", encoder, max_tokens=options.max_tokens)
        return Choice(model, signature, output, why)

    def token_ids(self, tokenizer: Path, text: str) -> list[int]:
        """Return the ids of a text's pieces."""
        from sentencepiece import SentencePieceProcessor

        return SentencePieceProcessor(model_file=str(tokenizer)).encode(text)

    def _model_in(self, folder: Path) -> str:
        """Return the path of the one SentencePiece model in assets/."""
        assets = [path for path in sorted((folder / ASSETS).rglob("*")) if path.is_file()]
        found = [path for path in assets if self._is_model(path)]
        if len(found) == 1:
            return found[0].relative_to(folder).as_posix()
        listed = ", ".join(path.relative_to(folder).as_posix() for path in found or assets)
        raise StagingError(
            f"the model takes the ids of SentencePiece, so '{ASSETS}' must hold exactly one "
            f"SentencePiece model; {'it has several' if found else 'none is there'} "
            f"({'it has: ' if not found else ''}{listed or 'no files'})."
        )

    def _is_model(self, path: Path) -> bool:
        import sentencepiece

        if not 0 < path.stat().st_size <= self._MOST_BYTES:
            return False
        try:
            sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
        except (RuntimeError, ValueError, OSError):
            return False
        return True


class Tokens(OfSavedModel):
    """Models that take token ids, with a tokenizer.json beside them."""

    takes = "token ids [n, tokens], and perhaps a mask and type ids, as whole numbers"
    may_lack_scripts = False  # its tokenizer has [UNK] for what it does not know

    def fits(self, signature: Signature) -> bool:
        """Tell whether it takes token ids, and perhaps a mask and segment ids."""
        return _roles(signature) is not None

    def choose(self, graph: Graph, signature: Signature, options: Options) -> Choice:
        """Find the tokenizer and its limit, the output, and how it is pooled."""
        beside = neighbors.find_neighbors(graph.folder, graph.root, options)
        if beside is None:
            raise StagingError(_lacks_tokenizer(signature))
        ids, mask, types = _roles(signature) or ("", None, None)
        output, pooling = _choose_pooled(signature, options, beside)
        beside.require_prefix_is_pooled(pooling)
        max_tokens = _max_tokens(signature, options, beside)
        if beside.pads_left and (length := _length(signature)):
            raise StagingError(
                f"'{TOKENIZER_SETTINGS}' says padding_side left, and {signature.label} takes rows "
                f"of {length} tokens, which the runtime pads on the right. Save the model with "
                f"rows of any length, [None, None]."
            )
        encoder = {
            "tags": list(graph.tags),
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
            f"{signature.label} takes token ids ({listed(signature.inputs)}), '{TOKENIZER}' is "
            f"there, and {why_output(signature, output, options)}{pooled}."
        )
        model = Model(
            "tokens",
            encoder,
            normalize=beside.normalize,
            max_tokens=max_tokens,
            prefix=beside.prefix,
        )
        files = {TOKENIZER: beside.tokenizer}
        return Choice(model, signature, output, why, beside.prompts, files)


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


_OF_PREPROCESSOR = frozenset(("input_word_ids", "input_mask", "input_type_ids"))


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


class OfFolder(Kind):
    """A kind of models that come as folders that are converted: no SavedModel is one."""

    folder: str
    """What a model of this kind is, in words."""


class Static(OfFolder):
    """Static encoders."""

    folder = "a static encoder is a folder with its table in model.safetensors"

    def token_ids(self, tokenizer: Path, text: str) -> list[int]:
        """Return the ids of a text's tokens."""
        from tokenizers import Tokenizer

        loaded = Tokenizer.from_file(str(tokenizer))
        loaded.no_truncation()
        return loaded.encode(text, add_special_tokens=False).ids


class Pairs(OfFolder):
    """Cross-encoders."""

    folder = "a cross-encoder is a folder with config.json and model.safetensors"
    may_lack_scripts = False


KINDS: Mapping[str, Kind] = {
    "pairs": Pairs(),
    "static": Static(),
    "text": Text(),
    "sentencepiece": SentencePiece(),
    "tokens": Tokens(),
}
"""Every kind of encoder, in the order in which a signature is tried."""


def choose(graph: Graph, options: Options, preprocessor: Graph | None = None) -> Choice:
    """Choose the kind, what to call, and what of its outputs to take.

    Raises:
        StagingError: nothing fits, or more than one thing does; the message lists what there is.
    """
    _require_options(options)
    if preprocessor is not None:
        return Text().choose_behind(graph, options, preprocessor)
    kinds = {name: kind for name, kind in KINDS.items() if isinstance(kind, OfSavedModel)}
    kinds = {options.kind: kinds[options.kind]} if options.kind else kinds
    signature = choose_signature(
        graph,
        options,
        lambda one: any(kind.fits(one) for kind in kinds.values()),
        is_kind_given=options.kind is not None,
    )
    for kind in kinds.values():
        if kind.fits(signature):
            return kind.choose(graph, signature, options)
    allowed = "; or ".join(kind.takes for kind in kinds.values())
    raise StagingError(
        f"{signature.label} takes {listed(signature.inputs)}; it must take {allowed}."
        f"{_others(graph, kinds.values())}"
    )


def _others(graph: Graph, kinds: Iterable[OfSavedModel]) -> str:
    """Return which signatures would fit, as a sentence that follows one."""
    fitting = [one for one in ordered(graph) if any(kind.fits(one) for kind in kinds)]
    if not fitting:
        return ""
    return f" Others do ({listed_signatures(fitting)}): say which one embeds with --signature."


def _require_options(options: Options) -> None:
    if options.kind not in (None, *KINDS):
        raise StagingError(
            f"--kind {options.kind}: there is no such kind; the kinds are "
            f"{', '.join(sorted(KINDS))}."
        )
    if options.kind is not None and isinstance(kind := KINDS[options.kind], OfFolder):
        raise StagingError(
            f"--kind {options.kind}: this is a SavedModel, and {kind.folder}. Leave --kind out, or "
            f"give that folder as SOURCE."
        )
    if options.static_rule is not None:
        raise StagingError(
            f"--static-rule {options.static_rule} is for static encoders, and this is a "
            f"SavedModel: what happens to its tokens is in its graph. Leave --static-rule out."
        )
    if options.pooling not in (None, *RUNTIME_POOLINGS):
        raise StagingError(
            f"--pooling {options.pooling}: the tokens' vectors of a SavedModel can be pooled by "
            f"{', '.join(RUNTIME_POOLINGS)}. Choose one of these, or give the encoder's folder as "
            f"Sentence Transformers saves it, which can be pooled by {', '.join(POOLINGS)}."
        )


def _require_no_tokens(options: Options, kind: str, *names: str) -> None:
    """Refuse options that only models of token ids have."""
    for flag in options.flags(*names):
        raise StagingError(
            f"{flag} is for models that take token ids, and this one is of kind {kind}: what "
            f"happens to its tokens is in its graph. Leave {flag} out."
        )
