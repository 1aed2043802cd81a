"""Reading the folder of a static encoder: a table of token vectors, and a tokenizer.

Model2Vec, Sentence Transformers' StaticEmbedding and WordLlama are that. They differ in what they
do to unknown tokens and to long texts, so one folder can mean up to three things: see `RULES`.
https://github.com/MinishLab/model2vec/blob/main/model2vec/persistence/persistence.py
https://github.com/huggingface/sentence-transformers (StaticEmbedding)
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tf_embeddings_udf.encoders.static import (
    ACTIVATIONS,
    MODEL2VEC,
    MODEL2VEC_09,
    RULES,
    SENTENCE_TRANSFORMERS,
)

from tf_embeddings_staging.conversion.dense_module import DenseModule, read_dense
from tf_embeddings_staging.conversion.families import AGAIN
from tf_embeddings_staging.conversion.static_table import (
    CONVERTER,
    OWN,
    Table,
    has_table,
    read_table,
)
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection import sentence_files
from tf_embeddings_staging.inspection.files import require_no_pointer, required
from tf_embeddings_staging.inspection.sentence_files import TOKENIZER, read_object, read_optional
from tf_embeddings_staging.model import Model
from tf_embeddings_staging.options import Options

WEIGHTS = "model.safetensors"
MODULE = "StaticEmbedding"
NESTED = f"0_{MODULE}"

_CONFIG, _SETTINGS = "config.json", "config_sentence_transformers.json"
# https://github.com/MinishLab/model2vec/blob/main/model2vec/model.py (DEFAULT_MAX_LENGTH)
_MAX_LENGTH = 512


@dataclass(frozen=True)
class StaticFolder:
    """What a folder says about its static encoder, and what a user says instead.

    Attributes:
        model: the record of it, as the SavedModel that `static_graph` writes.
        weights: its model.safetensors.
        table: what is in there.
        tokenizer: its tokenizer.json, which is taken as it is.
        dense: the linear maps of the mean.
        prompts: the prefixes that the folder names, if one of them is to be chosen.
    """

    model: Model
    weights: Path
    table: Table
    tokenizer: Path
    dense: tuple[DenseModule, ...]
    prompts: Mapping[str, str]
    rewritten: ClassVar[None] = None
    half_precision: ClassVar[None] = None
    task: ClassVar[str] = "convert_static"

    def architecture(self) -> dict[str, Any]:
        """Return what the vectors depend on beside weights, tokenizer and the rule."""
        dense = {"dense": [one.parameters() for one in self.dense]} if self.dense else {}
        return {"static_converter": CONVERTER, "tensor": self.table.name, **dense}

    def files(self) -> dict[str, Path]:
        """Return the files that the vectors depend on, by the names that the version has."""
        return {
            WEIGHTS: self.weights,
            **{
                f"{place}/{one.path.name}/{one.weights.name}": one.weights
                for place, one in enumerate(self.dense)
            },
            TOKENIZER: self.tokenizer,
        }

    def request(self) -> dict[str, Any]:
        """Return what `static_graph.convert_static_task` takes, but for the target."""
        return {
            "weights": str(self.weights),
            "table": self.table.asked(),
            "dense": [one.asked() for one in self.dense],
        }

    def findings(self) -> dict[str, Any]:
        """Return what --inspect shows of it."""
        encoder, table = self.model.encoder, self.table
        unknown = "no token" if encoder["unknown"] is None else f"token {encoder['unknown']}"
        shown = {
            "rule": encoder["rule"],
            "drops": unknown,
            "max_characters": encoder["max_characters"],
            "table": f"{table.type} {list(table.shape)}",
            "extras": ", ".join(table.extras),
            "prefix": self.model.prefix,
        }
        return {
            "why": (
                f"'{WEIGHTS}' is a table of token vectors, '{table.name}', whose mean is taken by "
                f"the rule of {encoder['rule']}."
            ),
            "encoder": {name: value for name, value in shown.items() if value not in (None, "")},
        }


def is_static_folder(folder: Path) -> bool:
    """Tell whether a folder is that of a static encoder."""
    if (folder / "modules.json").is_file():
        modules = sentence_files.modules(folder)
        return bool(modules) and modules[0][0] == MODULE
    return any(has_table(place / WEIGHTS) for place in (folder, folder / NESTED))


def read_static_folder(folder: Path, options: Options | None = None) -> StaticFolder:
    """Read the folder of a static encoder.

    Raises:
        StagingError: a file is missing or unreadable, or asks for what the converter cannot do, or
            an option does.
    """
    options = options or Options()
    _require_options_apply(folder, options)
    sentence_files.require_no_adapter(folder)
    modules = sentence_files.modules(folder)
    place = _place(folder, modules)
    weights = required(
        place / WEIGHTS, f"a static encoder is a table of token vectors in it. {AGAIN}"
    )
    tokenizer = required(place / TOKENIZER, f"a static encoder's tokenizer is in it. {AGAIN}")
    table = read_table(weights)
    rule = options.static_rule or _rule(folder, modules, table)
    settings = _settings(folder, table)
    following = [(kind, folder / path) for kind, path in modules[1:]] if modules else []
    dense, normalizes = _following(following, table.dimensions)
    is_own = _is_model2vec(rule) and table.name == OWN
    if modules is None or is_own:
        normalizes = _normalizes(settings)
    tokens = _Tokenizer.read(tokenizer)
    tokens.require_fits(table)
    default, prompts = sentence_files.prompts_of(folder) if modules else ("", {})
    prefix = default if options.prefix is None else options.prefix
    if is_own:
        _require_no_more(rule, dense, prefix if options.prefix is None else "")
    max_tokens, cuts = _limit(rule, settings, tokens, options.max_tokens)
    encoder = {
        "tags": ["serve"],
        "signature": "serving_default",
        "ids": "ids",
        "rows": "rows",
        "output": "embedding",
        "libraries": [],
        "tokenizer": TOKENIZER,
        "rule": rule,
        "unknown": tokens.dropped_by(rule),
        "max_tokens": max_tokens,
        "max_characters": tokens.most_characters(max_tokens) if _is_model2vec(rule) else None,
        "cuts": cuts,
        "activation": _activation(dense),
    }
    kept = sentence_files.truncate_dim_of(folder) if rule == SENTENCE_TRANSFORMERS else None
    model = Model(
        "static",
        encoder,
        normalize=normalizes if options.normalize is None else options.normalize,
        max_tokens=max_tokens,
        prefix=prefix,
    )
    return StaticFolder(
        model=model.giving(dense[-1].gives if dense else table.dimensions).keeping(kept),
        weights=weights,
        table=table,
        tokenizer=tokenizer,
        dense=tuple(dense),
        prompts={} if default or options.prefix is not None else prompts,
    )


def _require_options_apply(folder: Path, options: Options) -> None:
    """Refuse the options that a static encoder does not have."""
    what = f"'{folder.name}' is the folder of a static encoder"
    if options.kind not in (None, "static"):
        raise StagingError(
            f"--kind {options.kind}: {what}, whose kind is static. Leave --kind out."
        )
    if options.static_rule not in (None, *RULES):
        raise StagingError(
            f"--static-rule {options.static_rule}: there is no such rule; it may be "
            f"{', '.join(RULES)}."
        )
    for flag in options.flags("signature", "output", "pooling", "preprocessor", "allow_ops"):
        raise StagingError(
            f"{flag}: {what}, which has none to choose: its vectors are the mean of a table's. "
            f"Leave {flag} out."
        )


def _place(folder: Path, modules: list[tuple[str, str]] | None) -> Path:
    """Return the folder of table and tokenizer, in the order in which Model2Vec tries them."""
    if modules:
        return folder / modules[0][1]
    return folder if (folder / WEIGHTS).is_file() else folder / NESTED


def _rule(folder: Path, modules: list[tuple[str, str]] | None, table: Table) -> str:
    """Return whose rule a folder is saved for."""
    if table.name == OWN and (folder / _CONFIG).is_file():
        return MODEL2VEC
    if modules:
        return SENTENCE_TRANSFORMERS
    if any((folder / name).is_file() for name in (_CONFIG, _SETTINGS)):
        return MODEL2VEC
    raise StagingError(
        f"the folder '{folder.name}' has a table of token vectors, and neither '{_CONFIG}' nor "
        f"'modules.json' says what happens to unknown tokens and long texts. Say so with "
        f"--static-rule {', '.join(RULES[:-1])} or {RULES[-1]}; WordLlama's is the last."
    )


def _is_model2vec(rule: str) -> bool:
    return rule in (MODEL2VEC, MODEL2VEC_09)


def _require_no_more(rule: str, dense: list[DenseModule], prompt: str) -> None:
    """Refuse what only Sentence Transformers does, of a folder that Model2Vec reads."""
    if dense:
        raise StagingError(
            f"'modules.json' asks for Dense, and the rule is {rule}: Model2Vec reads no Dense. "
            f"Take it out, or choose --static-rule {SENTENCE_TRANSFORMERS}."
        )
    if prompt:
        raise StagingError(
            f"'{_SETTINGS}' puts the prompt {prompt!r} before texts, and the rule is {rule}: "
            f'Model2Vec reads no prompts. Say --prefix "", or choose --static-rule '
            f"{SENTENCE_TRANSFORMERS}."
        )


def _settings(folder: Path, table: Table) -> Mapping[str, Any]:
    """Return the file that Model2Vec reads: its own, or Sentence Transformers'."""
    if table.name == OWN and (folder / _CONFIG).is_file():
        return read_object(folder / _CONFIG)
    return read_optional(folder / _SETTINGS)


def _normalizes(settings: Mapping[str, Any]) -> bool:
    value = settings.get("normalize", False)
    if value in (True, False, None):
        return bool(value)
    raise StagingError(
        f"the encoder's settings say normalize {value!r}, not true or false. {AGAIN}"
    )


def _following(modules: list[tuple[str, Path]], takes: int) -> tuple[list[DenseModule], bool]:
    """Return the Dense modules that follow the table, and whether vectors are scaled."""
    kinds = [kind for kind, _ in modules]
    plain = [kind for kind in kinds if kind != "Dense"]
    if plain not in ([], ["Normalize"]) or "Normalize" in kinds[:-1]:
        raise StagingError(
            f"'modules.json' asks for {' + '.join([MODULE, *kinds])}; the converter knows "
            f"{MODULE}, then any number of Dense, and at most Normalize after that. Use the "
            f"encoder with Sentence Transformers."
        )
    dense: list[DenseModule] = []
    for kind, place in modules:
        if kind == "Normalize":
            sentence_files.require_usual_normalize(place)
            continue
        require_no_pointer(place / WEIGHTS)
        dense.append(read_dense(place, dense[-1].gives if dense else takes))
    for one in dense[:-1]:
        if one.activation != "identity":
            raise StagingError(
                f"'{one.path.name}/config.json' has the activation {one.activation}, and another "
                f"Dense follows: behind a table, the converter knows an activation of the last "
                f"Dense only. Use the encoder with Sentence Transformers."
            )
    return dense, "Normalize" in kinds


def _activation(dense: list[DenseModule]) -> str | None:
    """Return what the runtime applies to the mean: the maps themselves are in the table."""
    last = dense[-1].activation if dense else "identity"
    if last == "identity":
        return None
    if last in ACTIVATIONS:
        return last
    raise StagingError(
        f"'{dense[-1].path.name}/config.json' has the activation {last}; behind a table, the "
        f"converter knows identity, {' and '.join(ACTIVATIONS)}."
    )


@dataclass(frozen=True)
class _Tokenizer:
    """What of a tokenizer.json the rules depend on.

    Attributes:
        unknown: the id of its unknown token, if it has one.
        is_unigram: whether its model is a Unigram.
        highest: its highest id.
        median: the median length of its tokens, in characters.
        limit: the tokens after which it truncates; None: nowhere.
        cuts: the side that it cuts.
    """

    unknown: int | None
    is_unigram: bool
    highest: int
    median: int
    limit: int | None
    cuts: str

    @classmethod
    def read(cls, path: Path) -> _Tokenizer:
        """Read it, with the library that runs it.

        Raises:
            StagingError: it cannot be read.
        """
        from tokenizers import Tokenizer

        try:
            loaded = Tokenizer.from_file(str(path))
            # As it is loaded: a file may leave the type of its model out.
            model = json.loads(loaded.to_str())["model"]
        except Exception as error:  # tokenizers raises nothing more special
            raise StagingError(f"'{path.name}' is not a tokenizer ({error}). {AGAIN}") from None
        vocabulary = loaded.get_vocab()
        is_unigram = model.get("type") == "Unigram"
        token = model.get("unk_token")
        named = None if token is None else loaded.token_to_id(token)
        truncation = loaded.truncation or {}
        return cls(
            unknown=model.get("unk_id") if is_unigram else named,
            is_unigram=is_unigram,
            highest=max(vocabulary.values(), default=-1),
            median=int(statistics.median(map(len, vocabulary))) if vocabulary else 0,
            limit=truncation.get("max_length"),
            cuts=str(truncation.get("direction", "right")).lower(),
        )

    def require_fits(self, table: Table) -> None:
        """Refuse a tokenizer of more tokens than the table has.

        Raises:
            StagingError: it has more.
        """
        if self.highest >= table.tokens:
            raise StagingError(
                f"'{TOKENIZER}' has ids up to {self.highest}, and the table is of {table.tokens} "
                f"tokens. Is it this model's own tokenizer?"
            )

    def dropped_by(self, rule: str) -> int | None:
        """Return the id that a rule drops. Up to 0.9, Model2Vec did not find a Unigram's."""
        if rule == SENTENCE_TRANSFORMERS or (rule == MODEL2VEC_09 and self.is_unigram):
            return None
        return self.unknown

    def most_characters(self, max_tokens: int | None) -> int | None:
        """Return the characters after which Model2Vec cuts a text."""
        return None if max_tokens is None else max_tokens * self.median


def _limit(
    rule: str, settings: Mapping[str, Any], tokens: _Tokenizer, chosen: int | None
) -> tuple[int | None, str]:
    """Return the tokens after which a text is cut, and the side that is cut."""
    if rule == SENTENCE_TRANSFORMERS:
        return chosen or tokens.limit, tokens.cuts
    if rule == MODEL2VEC_09 and tokens.limit is not None:
        raise StagingError(
            f"'{TOKENIZER}' truncates at {tokens.limit} tokens: by the rule {MODEL2VEC_09}, that "
            f"comes before unknown tokens are dropped, and another cut after. Set its truncation "
            f"to null, or choose the rule {MODEL2VEC}."
        )
    if chosen is not None:
        return chosen, "right"
    limit = settings.get("max_length", _MAX_LENGTH) if rule == MODEL2VEC else _MAX_LENGTH
    if limit is None or (type(limit) is int and limit > 0):
        return limit, "right"
    raise StagingError(
        f"the encoder's settings say max_length {limit!r}, not a whole number of at least 1 or "
        f"null. Say how many tokens with --max-tokens."
    )
