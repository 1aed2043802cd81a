"""What a folder says of a cross-encoder, as Sentence Transformers' `CrossEncoder` reads it.

https://github.com/huggingface/sentence-transformers (cross_encoder/model.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_embeddings_staging.conversion.encoder_folder import (
    EncoderFolder,
    Scoring,
    chosen_limit,
    read_tokenizer,
    require_no_more_weights,
    saved_model_of,
    weights_of,
)
from tf_embeddings_staging.conversion.families import FAMILIES, Architecture
from tf_embeddings_staging.conversion.transformer import read_config
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection import sentence_files, tokenizer_file
from tf_embeddings_staging.inspection.sentence_files import (
    TOKENIZER_SETTINGS,
    read_object,
    read_optional,
)
from tf_embeddings_staging.model import Model
from tf_embeddings_staging.options import Options

_FEWEST_TOKENS = 6  # as many as four special ones, and one of each text

_CONFIG, _SETTINGS = "config.json", "config_sentence_transformers.json"
_TASK = "ForSequenceClassification"
_ACTIVATIONS = {
    "torch.nn.Identity": "identity",
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
}
_DEFAULT = "sigmoid"  # of a model with one score


def is_cross_encoder(folder: Path) -> bool:
    """Tell whether a folder is meant as a cross-encoder's."""
    if read_optional(folder / _SETTINGS).get("model_type") == "CrossEncoder":
        return True
    task = read_optional(folder / "sentence_bert_config.json").get("transformer_task")
    if task is not None:
        return task == "sequence-classification"
    pools = (folder / sentence_files.POOLING / _CONFIG).is_file()
    return not pools and not (folder / "modules.json").is_file() and _classifies(folder)


def _classifies(folder: Path) -> bool:
    named = read_optional(folder / _CONFIG).get("architectures")
    return isinstance(named, list) and bool(named) and str(named[0]).endswith(_TASK)


def read_cross_encoder(folder: Path, options: Options) -> EncoderFolder:
    """Read the folder of a cross-encoder, whose parts are an encoder's but for the classifier.

    Raises:
        StagingError: a file is missing or unreadable, or asks for what the converter cannot do, or
            an option does.
    """
    _require_options_apply(folder, options)
    sentence_files.require_no_adapter(folder)
    require_no_more_weights(folder)
    label, settings = sentence_files.settings_of(folder)
    if settings and not (folder / "modules.json").is_file():
        raise StagingError(
            f"'{label}' lies in a cross-encoder without modules.json, where Sentence Transformers "
            f"does not read it. Take it out, or save the model again with CrossEncoder."
        )
    config = read_config(read_object(folder / _CONFIG), f"'{_CONFIG}'")
    scoring = _scoring(folder, config)
    tokenizer, rewritten = read_tokenizer(folder)
    content = rewritten or tokenizer.read_bytes()
    tokenizer_file.require_query_first(content)
    loaded = tokenizer_file.load(content)
    tokenizer_file.require_fits(loaded, config.vocab_size)
    max_tokens = chosen_limit(folder, config, options.max_tokens, _FEWEST_TOKENS)
    if max_tokens < _FEWEST_TOKENS:
        raise StagingError(
            f"the cross-encoder's limit is {max_tokens} tokens, and a pair of texts needs at least "
            f"{_FEWEST_TOKENS}. Raise model_max_length in tokenizer_config.json, or say "
            f"--max-tokens."
        )
    encoder = saved_model_of(max_tokens)
    if scoring.has_segments:
        tokenizer_file.require_types(loaded, config.type_vocab_size)
        encoder["token_type_ids"] = "token_type_ids"
    return EncoderFolder(
        model=Model("pairs", encoder, max_tokens=max_tokens),
        weights=weights_of(folder),
        tokenizer=tokenizer,
        rewritten=rewritten,
        config=config,
        pooling="cls",
        dense=(),
        prompts={},
        scoring=scoring,
    )


def _scoring(folder: Path, config: Architecture) -> Scoring:
    """Return how a score is made."""
    modules = sentence_files.modules(folder)
    if modules is not None and modules != [("Transformer", "")]:
        listed = " + ".join(kind for kind, _ in modules) or "nothing"
        raise StagingError(
            f"'modules.json' asks for {listed}; of a cross-encoder the converter knows the module "
            f"Transformer in the folder itself."
        )
    said = read_object(folder / _CONFIG)
    if not _classifies(folder):
        raise StagingError(
            f"'{_CONFIG}' says architectures {said.get('architectures')!r}; a cross-encoder's "
            f"ends with {_TASK}."
        )
    if not FAMILIES[config.model_type].head:
        known = ", ".join(repr(name) for name, family in FAMILIES.items() if family.head)
        raise StagingError(
            f"'{_CONFIG}' says model_type {config.model_type!r}; of cross-encoders the converter "
            f"knows {known}."
        )
    if (labels := _labels(said)) != 1:
        raise StagingError(
            f"'{_CONFIG}' says that the classifier has {labels} labels; rerank takes models that "
            f"give one score. A model of several classes is not a reranker."
        )
    _require_no_prompt(folder)
    return Scoring(_activation(folder, said), config.type_vocab_size > 1 and _told(folder))


def _labels(said: Mapping[str, Any]) -> object:
    """Return how many numbers the classifier gives, as transformers counts them."""
    names = said.get("id2label")
    return len(names) if isinstance(names, dict) else said.get("num_labels", 2)


def _activation(folder: Path, said: Mapping[str, Any]) -> str:
    settings = _settings(folder)
    inner = _map(said.get("sentence_transformers"))
    old = "sbert_ce_default_activation_function"
    places = (
        (_SETTINGS, "activation_fn", settings.get("activation_fn")),
        (_CONFIG, "sentence_transformers.activation_fn", inner.get("activation_fn")),
        # Sentence Transformers reads it only if there is no newer one, be it null.
        (_CONFIG, old, None if "activation_fn" in inner else said.get(old)),
    )
    for label, key, path in places:
        if path is None:
            continue
        if found := _ACTIVATIONS.get(str(path)):
            return found
        raise StagingError(
            f"'{label}' says {key} {path!r}; the converter knows the activations Identity and "
            f"Sigmoid of torch.nn."
        )
    return _DEFAULT


def _settings(folder: Path) -> Mapping[str, Any]:
    """Return what Sentence Transformers reads beside modules.json only."""
    has_modules = (folder / "modules.json").is_file()
    return read_optional(folder / _SETTINGS) if has_modules else {}


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _require_no_prompt(folder: Path) -> None:
    settings = _settings(folder)
    prompts, name = _map(settings.get("prompts")), settings.get("default_prompt_name")
    if prompt := prompts.get(str(name)):
        raise StagingError(
            f"'{_SETTINGS}' puts the prompt {prompt!r} before texts, and rerank knows no prompts. "
            f"Take default_prompt_name out, and write the prompt in the query."
        )


def _told(folder: Path) -> bool:
    """Tell whether the tokenizer gives the model token_type_ids."""
    names = read_optional(folder / TOKENIZER_SETTINGS).get("model_input_names")
    return not isinstance(names, list) or "token_type_ids" in names


def _require_options_apply(folder: Path, options: Options) -> None:
    """Refuse the options that only models which give vectors have."""
    vectors = ("pooling", "normalize", "truncate_dim", "prefix", "static_rule")
    for flag in options.flags(*vectors, "signature", "output", "preprocessor", "allow_ops"):
        raise StagingError(
            f"{flag} is for models that give vectors, and '{folder.name}' is the folder of a "
            f"cross-encoder, which gives a pair of texts a score. Leave {flag} out."
        )
