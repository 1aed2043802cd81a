"""Reading the folder of a sentence encoder, as Sentence Transformers saves it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from tf_embeddings_staging.conversion.dense_module import DenseModule, read_dense
from tf_embeddings_staging.conversion.families import Architecture
from tf_embeddings_staging.conversion.transformer import CONVERTER, read_config
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection import sentence_files, tokenizer_file
from tf_embeddings_staging.inspection.files import require_no_pointer, required
from tf_embeddings_staging.inspection.sentence_files import (
    FEWEST_TOKENS,
    TOKENIZER,
    read_object,
    read_optional,
)
from tf_embeddings_staging.model import Model
from tf_embeddings_staging.options import POOLINGS, Options

WEIGHTS = "model.safetensors"
_WHOLE = "Save the whole pipeline as one SavedModel, with one vector a text"
_NO_TOKENIZER = (
    "the converter needs the fast tokenizer. Save it there, with AutoTokenizer.from_pretrained"
    "(folder).save_pretrained(folder)."
)
_NO_WEIGHTS = (
    "weights in another format must be saved as safetensors. Load the encoder with Sentence "
    "Transformers, and save it with save_pretrained(folder)."
)
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


@dataclass(frozen=True)
class Scoring:
    """How a cross-encoder's score is made of what its classifier gives.

    Attributes:
        activation: `identity` or `sigmoid`.
        has_segments: whether the model is told which tokens are the second text's.
    """

    activation: str
    has_segments: bool

    def asked(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class EncoderFolder:
    """What a folder says about its encoder, and what a user says instead.

    Attributes:
        model: the record of it, as the SavedModel that `transformer_graph` writes.
        weights: its model.safetensors, or the files that its index names.
        tokenizer: its tokenizer.json.
        rewritten: what that must hold, if that is not what it holds.
        config: its architecture.
        pooling: how one vector is made of one a token.
        dense: the linear maps of that vector.
        prompts: the prefixes that the folder names, if one of them is to be chosen.
        scoring: how a cross-encoder makes a score; None for an encoder.
    """

    model: Model
    weights: tuple[Path, ...]
    tokenizer: Path
    rewritten: bytes | None
    config: Architecture
    pooling: str
    dense: tuple[DenseModule, ...]
    prompts: Mapping[str, str]
    scoring: Scoring | None = None
    task: ClassVar[str] = "convert"

    def architecture(self) -> dict[str, Any]:
        """Return what the vectors depend on beside weights and tokenizer."""
        return {
            "converter": CONVERTER,
            "pooling": self.pooling,
            **self.config.parameters(),
            **({"dense": [one.parameters() for one in self.dense]} if self.dense else {}),
            **({"scoring": self.scoring.asked()} if self.scoring else {}),
        }

    def files(self) -> dict[str, Path]:
        """Return the files that the vectors depend on, by the names that the version has."""
        return {
            **{path.name: path for path in self.weights},
            **{
                f"{place}/{one.path.name}/{one.weights.name}": one.weights
                for place, one in enumerate(self.dense)
            },
            TOKENIZER: self.tokenizer,
        }

    def request(self) -> dict[str, Any]:
        """Return what `transformer_graph.convert_task` takes, but for the target."""
        return {
            "config": asdict(self.config),
            "weights": [str(path) for path in self.weights],
            "pooling": self.pooling,
            "dense": [one.asked() for one in self.dense],
            "scoring": self.scoring and self.scoring.asked(),
        }

    @property
    def half_precision(self) -> str | None:
        """The type of half precision that the folder asks for, if it does."""
        return sentence_files.half_precision_of(self.weights[0].parent)

    def findings(self) -> dict[str, Any]:
        """Return what --inspect shows of it."""
        parameters = self.config.parameters()
        if self.scoring:
            return {
                "why": (
                    f"config.json says model_type '{parameters['model_type']}' with a classifier "
                    f"of one label: a cross-encoder, whose score is the classifier's "
                    f"{self.scoring.activation}."
                ),
                "encoder": {**parameters, **self.scoring.asked()},
            }
        return {
            "why": (
                f"config.json says model_type '{parameters['model_type']}', and the tokens' "
                f"vectors are pooled by their {self.pooling}."
            ),
            "encoder": {**parameters, "pooling": self.pooling, "prefix": self.model.prefix},
        }


def read_encoder_folder(folder: Path, options: Options | None = None) -> EncoderFolder:
    """Read config.json, modules.json and the others; weights and tokenizer must be there.

    Raises:
        StagingError: a file is missing or unreadable, or asks for what the converter cannot do, or
            an option does.
    """
    options = options or Options()
    _require_options_apply(folder, options)
    sentence_files.require_no_adapter(folder)
    transformer, pooling, following, normalize = _modules(folder, options.pooling)
    sentence_files.require_no_adapter(transformer)
    for place in {folder, transformer}:
        require_no_more_weights(place)
    label = f"'{_within(folder, transformer / 'config.json')}'"
    config = read_config(read_object(transformer / "config.json"), label)
    pooled = pooling / "config.json"
    pooled_label = str(_within(folder, pooled))
    mode = options.pooling or sentence_files.pooling_of(
        read_object(pooled),
        pooled_label,
        POOLINGS,
        f"the converter knows {_listed(POOLINGS)}. {_WHOLE}, or choose one with --pooling.",
    )
    tokenizer, rewritten = read_tokenizer(transformer)
    loaded = tokenizer_file.load(rewritten or tokenizer.read_bytes())
    tokenizer_file.require_fits(loaded, config.vocab_size)
    tokenizer_file.require_one_type(loaded)
    dense: list[DenseModule] = []
    for place in following:
        require_no_pointer(place / WEIGHTS)
        dense.append(read_dense(place, dense[-1].gives if dense else config.hidden_size))
    default, prompts = sentence_files.prompts_of(folder)
    prefix = default if options.prefix is None else options.prefix
    sentence_files.require_prefix_is_pooled(read_optional(pooled), pooled_label, mode, prefix)
    max_tokens = chosen_limit(transformer, config, options.max_tokens)
    model = Model(
        "tokens",
        saved_model_of(max_tokens),
        normalize=normalize if options.normalize is None else options.normalize,
        max_tokens=max_tokens,
        prefix=prefix,
    )
    model = model.giving(dense[-1].gives if dense else config.hidden_size)
    return EncoderFolder(
        model=model.keeping(sentence_files.truncate_dim_of(folder)),
        weights=weights_of(transformer),
        tokenizer=tokenizer,
        rewritten=rewritten,
        config=config,
        pooling=mode,
        dense=tuple(dense),
        prompts={} if default or options.prefix is not None else prompts,
    )


def saved_model_of(max_tokens: int) -> dict[str, Any]:
    """Return how the SavedModel that `transformer_graph` writes is called; it pools by itself."""
    return {
        "tags": ["serve"],
        "signature": "serving_default",
        "input_ids": "input_ids",
        "attention_mask": "attention_mask",
        "token_type_ids": None,
        "output": "embedding",
        "libraries": [],
        "tokenizer": TOKENIZER,
        "max_tokens": max_tokens,
        "pooling": None,
    }


def read_tokenizer(folder: Path) -> tuple[Path, bytes | None]:
    """Return the tokenizer.json of a folder, and what it must hold if that is something else.

    Raises:
        StagingError: it is missing, or works in a way that is not known.
    """
    tokenizer = required(folder / TOKENIZER, _NO_TOKENIZER)
    rewritten = tokenizer_file.rewritten(tokenizer, folder)
    normalizer = tokenizer_file.normalizer_of(tokenizer, rewritten)
    sentence_files.require_casing_agrees(folder, normalizer)
    return tokenizer, rewritten


def _require_options_apply(folder: Path, options: Options) -> None:
    """Refuse the options that only a SavedModel has."""
    if options.kind not in (None, "tokens"):
        raise StagingError(
            f"--kind {options.kind}: '{folder.name}' is the folder of a sentence encoder, "
            f"whose kind is tokens. Leave --kind out."
        )
    if options.static_rule is not None:
        raise StagingError(
            f"--static-rule {options.static_rule} is for static encoders, whose model is a table "
            f"of token vectors, and '{folder.name}' is a transformer. Leave --static-rule out."
        )
    for flag in options.flags("signature", "output", "preprocessor", "allow_ops"):
        raise StagingError(
            f"{flag} is for SavedModels, and '{folder.name}' is the folder of a sentence encoder, "
            f"whose graph is made here. Leave {flag} out."
        )
    if options.pooling not in (None, *POOLINGS):
        raise StagingError(
            f"--pooling {options.pooling}: for the folder of a sentence encoder, the "
            f"converter knows {_listed(POOLINGS)}."
        )


def _modules(folder: Path, chosen_pooling: str | None) -> tuple[Path, Path, list[Path], bool]:
    """Return the folders of transformer, pooling and Dense, and whether vectors are scaled."""
    modules = sentence_files.modules(folder)
    if modules is None:
        pooling = folder / sentence_files.POOLING
        if not (pooling / "config.json").is_file() and chosen_pooling is None:
            raise StagingError(
                f"the folder '{folder.name}' has neither modules.json nor 1_Pooling/config.json, "
                f"so nothing says how the tokens' vectors become one. Save the encoder with "
                f"Sentence Transformers, or say --pooling mean or --pooling cls."
            )
        sentence_files.require_usual_normalize(folder / sentence_files.NORMALIZE)
        return folder, pooling, [], (folder / sentence_files.NORMALIZE).is_dir()
    kinds = [kind for kind, _ in modules]
    plain = [kind for kind in kinds if kind != "Dense"]
    dense = [place for place, kind in enumerate(kinds) if kind == "Dense"]
    if plain not in sentence_files.PIPELINES or dense != [*range(2, 2 + len(dense))]:
        raise StagingError(
            f"'modules.json' asks for {' + '.join(kinds) or 'nothing'}; the converter knows "
            f"Transformer + Pooling, then any number of Dense, and at most Normalize after that. "
            f"{_WHOLE}."
        )
    paths = [folder / path for _, path in modules]
    for path in paths[2 + len(dense) :]:
        sentence_files.require_usual_normalize(path)
    return paths[0], paths[1], paths[2 : 2 + len(dense)], "Normalize" in kinds


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def chosen_limit(
    transformer: Path, config: Architecture, chosen: int | None, fewest: int = FEWEST_TOKENS
) -> int:
    """Return the limit that a user chose, or the folder's, never more than there are positions."""
    if chosen is None:
        limit = sentence_files.limit_of(transformer) or config.most_tokens
        return min(limit, config.most_tokens)
    if fewest <= chosen <= config.most_tokens:
        return chosen
    raise StagingError(
        f"--max-tokens {chosen}: this encoder takes from {fewest} to "
        f"{config.most_tokens} tokens, as many as it has positions."
    )


def require_no_more_weights(folder: Path) -> None:
    """Refuse weights beside the encoder's own; `model.fp16.safetensors` is a second form of these.

    Other formats are ignored, as transformers does where there are safetensors.
    """
    for path in sorted(folder.glob("*.safetensors")):
        if not path.name.startswith("model"):
            raise StagingError(
                f"'{path.name}' lies beside '{WEIGHTS}': what it does to the vectors is not known "
                f"here. Merge it into the model, or take it out."
            )


def weights_of(transformer: Path) -> tuple[Path, ...]:
    """Return the file of the weights, or those that its index names, as transformers saves them."""
    index = transformer / f"{WEIGHTS}.index.json"
    if (transformer / WEIGHTS).is_file() or not index.is_file():
        return (required(transformer / WEIGHTS, _NO_WEIGHTS),)
    named = read_object(index).get("weight_map")
    names = sorted({*named.values()}) if isinstance(named, dict) and named else []
    for name in names or [None]:
        if not isinstance(name, str) or not _SHARD.fullmatch(name):
            raise StagingError(
                f"'{index.name}' has no weight_map of tensors to files such as "
                f"model-00001-of-00002.safetensors. Download or save the folder again."
            )
    why = f"'{index.name}' names it. Download the rest of the folder."
    return tuple(required(transformer / name, why) for name in names)


def _within(folder: Path, path: Path) -> Path:
    return path.relative_to(folder)
