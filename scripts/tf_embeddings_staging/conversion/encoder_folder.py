"""Reading the folder of a sentence encoder, as Sentence Transformers saves it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_embeddings_staging.conversion.bert import CONVERTER, POOLINGS, BertConfig, read_config
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Options

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"

# The module that reads texts, the one that makes one vector of many, the one that scales it.
_MODULES = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])


# [CLS], [SEP], and a token between them.
_FEWEST_TOKENS = 3


@dataclass(frozen=True)
class EncoderFolder:
    """What a folder says about its encoder, and what a user says instead.

    Attributes:
        prefix: what is put before each text; "" if nothing is.
        prompts: the prefixes that the folder names, if one of them is to be chosen.
    """

    weights: Path
    tokenizer: Path
    config: BertConfig
    pooling: str
    normalize: bool
    max_tokens: int
    prefix: str
    prompts: Mapping[str, str]

    def architecture(self) -> dict[str, Any]:
        """Return what beside weights and tokenizer has a say in the vectors."""
        return {
            "converter": CONVERTER,
            "pooling": self.pooling,
            **self.config.parameters(),
        }


def is_encoder_folder(folder: Path) -> bool:
    """Tell whether a folder is meant as a sentence encoder's."""
    return any((folder / name).is_file() for name in ("modules.json", "config.json"))


def read_encoder_folder(folder: Path, options: Options | None = None) -> EncoderFolder:
    """Read config.json, modules.json and the others; weights and tokenizer must be there.

    Raises:
        StagingError: a file is missing or unreadable, or asks for what the converter cannot do, or
            an option does.
    """
    options = options or Options()
    _require_options_apply(folder, options)
    transformer, pooling, normalize = _modules(folder, options.pooling)
    label = f"'{_within(folder, transformer / 'config.json')}'"
    config = read_config(_read_object(transformer / "config.json"), label)
    mode = options.pooling or _pooling_mode(
        _read_object(pooling / "config.json"), _within(folder, pooling)
    )
    tokenizer = _required(transformer / TOKENIZER, "the converter needs the fast tokenizer")
    _require_casing_agrees(transformer, tokenizer)
    default, prompts = _prompts(folder)
    prefix = default if options.prefix is None else options.prefix
    _require_prefix_is_pooled(folder, pooling, mode, prefix)
    return EncoderFolder(
        weights=_weights(transformer),
        tokenizer=tokenizer,
        config=config,
        pooling=mode,
        normalize=normalize if options.normalize is None else options.normalize,
        max_tokens=_chosen_limit(transformer, config, options.max_tokens),
        prefix=prefix,
        prompts={} if default or options.prefix is not None else prompts,
    )


def _require_options_apply(folder: Path, options: Options) -> None:
    """Refuse the options that only a SavedModel has."""
    if options.kind not in (None, "tokens"):
        raise StagingError(
            f"--kind {options.kind}: '{folder.name}' is the folder of a BERT sentence encoder, "
            f"whose kind is tokens. Leave --kind out."
        )
    given = {
        "--signature": options.signature,
        "--output": options.output,
        "--preprocessor": options.preprocessor,
        "--allow-op": options.allow_ops or None,
    }
    for flag, value in given.items():
        if value is not None:
            raise StagingError(
                f"{flag} is for SavedModels, and '{folder.name}' is the folder of a BERT sentence "
                f"encoder, whose graph is made here. Leave {flag} out."
            )
    if options.pooling not in (None, *POOLINGS):
        raise StagingError(
            f"--pooling {options.pooling}: for the folder of a BERT sentence encoder, the "
            f"converter knows {' and '.join(POOLINGS)}."
        )


def _modules(folder: Path, chosen_pooling: str | None) -> tuple[Path, Path, bool]:
    """Return the folders of the transformer and the pooling, and whether vectors are scaled."""
    if not (folder / "modules.json").is_file():
        pooling = folder / "1_Pooling"
        if not (pooling / "config.json").is_file() and chosen_pooling is None:
            raise StagingError(
                f"the folder '{folder.name}' has neither modules.json nor 1_Pooling/config.json, "
                f"so nothing says how the tokens' vectors become one. Save the encoder with "
                f"Sentence Transformers, or say --pooling mean or --pooling cls."
            )
        return folder, pooling, (folder / "2_Normalize").is_dir()
    modules = _read_json(folder / "modules.json")
    if not isinstance(modules, list) or not all(
        isinstance(module, dict)
        and isinstance(module.get("type"), str)
        and isinstance(module.get("path"), str)
        for module in modules
    ):
        raise StagingError("'modules.json' is not a list of modules with a type and a path.")
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    if kinds not in _MODULES:
        raise StagingError(
            f"'modules.json' asks for {' + '.join(kinds) or 'nothing'}; the converter knows "
            f"{' and '.join(' + '.join(kinds) for kinds in _MODULES)}."
        )
    paths = [_inside(folder, module["path"]) for module in modules]
    return paths[0], paths[1], len(kinds) == 3


def _inside(folder: Path, path: str) -> Path:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise StagingError(f"'modules.json' has the path '{path}', which leaves the folder.")
    return folder / path


def _pooling_mode(fields: Mapping[str, Any], label: Path) -> str:
    """Return `mean` or `cls`, from the flags of old or the one field of today."""
    modes = [
        name.removeprefix("pooling_mode_")
        for name, value in fields.items()
        if name.startswith("pooling_mode_") and value is True
    ]
    if "pooling_mode" in fields:
        mode = fields["pooling_mode"]
        modes = [str(one) for one in mode] if isinstance(mode, list) else [str(mode)]
    modes = [{"cls_token": "cls", "mean_tokens": "mean"}.get(mode, mode) for mode in modes]
    if len(modes) == 1 and modes[0] in POOLINGS:
        return modes[0]
    raise StagingError(
        f"'{label}/config.json' asks for the pooling {' + '.join(modes) or 'of no kind'}; the "
        f"converter knows {' and '.join(POOLINGS)}."
    )


def _chosen_limit(transformer: Path, config: BertConfig, chosen: int | None) -> int:
    """Return the limit that a user chose, or the folder's."""
    if chosen is None:
        return _max_tokens(transformer, config)
    if _FEWEST_TOKENS <= chosen <= config.max_position_embeddings:
        return chosen
    raise StagingError(
        f"--max-tokens {chosen}: this encoder takes from {_FEWEST_TOKENS} to "
        f"{config.max_position_embeddings} tokens, for so many positions it has."
    )


def _max_tokens(transformer: Path, config: BertConfig) -> int:
    """Return the limit as Sentence Transformers finds it, never more than there are positions."""
    settings = _read_optional(transformer / "sentence_bert_config.json")
    limit = settings.get("max_seq_length")
    if limit is None:
        limit = _read_optional(transformer / "tokenizer_config.json").get("model_max_length")
    if limit is None:
        return config.max_position_embeddings
    # A tokenizer without a limit says 1e30.
    if not isinstance(limit, int | float) or isinstance(limit, bool) or limit < _FEWEST_TOKENS:
        raise StagingError(
            f"the encoder's limit of tokens is {limit!r}; it must be a whole number of at "
            f"least {_FEWEST_TOKENS}."
        )
    return int(min(limit, config.max_position_embeddings))


def _require_casing_agrees(transformer: Path, tokenizer: Path) -> None:
    """Refuse a folder that lower-cases texts somewhere else than in tokenizer.json."""
    lowers = _lowers(_read_object(tokenizer).get("normalizer"))
    for name in ("sentence_bert_config.json", "tokenizer_config.json"):
        if _read_optional(transformer / name).get("do_lower_case") is True and not lowers:
            raise StagingError(
                f"'{name}' says do_lower_case true, and the normalizer in '{TOKENIZER}' does not "
                f"lower-case. Make them agree."
            )


def _lowers(normalizer: object) -> bool:
    if not isinstance(normalizer, dict):
        return False
    if normalizer.get("type") == "Sequence":
        return any(_lowers(part) for part in normalizer.get("normalizers", []))
    return normalizer.get("type") == "Lowercase" or normalizer.get("lowercase") is True


def _prompts(folder: Path) -> tuple[str, dict[str, str]]:
    """Return the default prompt, "" if there is none, and the named ones.

    https://sbert.net/docs/sentence_transformer/usage/usage.html#prompt-templates
    """
    label = "config_sentence_transformers.json"
    settings = _read_optional(folder / label)
    prompts, name = settings.get("prompts") or {}, settings.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise StagingError(f"'{label}' has prompts that are not a map of names to texts.")
    if name is not None and name not in prompts:
        raise StagingError(
            f"'{label}' says default_prompt_name {name!r}, which is not in its prompts."
        )
    named = {name: text for name, text in prompts.items() if text}
    return named.get(name, ""), named


def _require_prefix_is_pooled(folder: Path, pooling: Path, mode: str, prefix: str) -> None:
    """Refuse an encoder whose mean leaves out the tokens of the prompt: this one's takes all."""
    settings = _read_optional(pooling / "config.json")
    if prefix and mode == "mean" and settings.get("include_prompt") is False:
        raise StagingError(
            f"'{_within(folder, pooling / 'config.json')}' says include_prompt false: the tokens "
            f"of the prompt {prefix!r} have no part in the mean. The converter knows encoders "
            f"where they have."
        )


def _weights(transformer: Path) -> Path:
    if (transformer / WEIGHTS).is_file():
        return transformer / WEIGHTS
    if (transformer / f"{WEIGHTS}.index.json").is_file():
        raise StagingError(
            f"the weights are in several files ('{WEIGHTS}.index.json'); the converter needs one "
            f"'{WEIGHTS}'."
        )
    return _required(
        transformer / WEIGHTS, "weights in another format must be saved as safetensors"
    )


def _required(path: Path, why: str) -> Path:
    if path.is_file():
        return path
    raise StagingError(f"the folder '{path.parent.name}' has no '{path.name}'; {why}.")


def _within(folder: Path, path: Path) -> Path:
    return path.relative_to(folder)


def _read_optional(path: Path) -> Mapping[str, Any]:
    return _read_object(path) if path.is_file() else {}


def _read_object(path: Path) -> Mapping[str, Any]:
    fields = _read_json(path)
    if isinstance(fields, dict):
        return fields
    raise StagingError(f"'{path.name}' is not a JSON object.")


def _read_json(path: Path) -> Mapping[str, Any] | Sequence[Any]:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StagingError(
            f"the folder '{path.parent.name}' has no '{path.name}', so it is no whole sentence "
            f"encoder."
        ) from None
    except (ValueError, RecursionError) as error:
        raise StagingError(f"'{path.name}' is not JSON ({error}).") from None
