"""The files in which Sentence Transformers says how an encoder is used.

They lie in the folder of an encoder that is converted, and beside SavedModels; both read them here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import require_no_pointer

TOKENIZER = "tokenizer.json"
POOLING = "1_Pooling"
NORMALIZE = "2_Normalize"
FEWEST_TOKENS = 3  # [CLS], [SEP], and one between them

# The module that reads texts, the one that makes one vector of many, the one that scales it.
PIPELINES = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])

TOKENIZER_SETTINGS = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"

_AGAIN = "Download or save the folder again."
_MODULES = "modules.json"
# The first that says anything counts, as in `Transformer.load_config` of Sentence Transformers 6.2.
_FAMILIES = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_SETTINGS = tuple(f"sentence_{family}_config.json" for family in _FAMILIES)
# Modules that change a vector, in folders called 2_Dense and so on.
_MORE = re.compile(r"\d+_(Asym|BoW|CNN|Dense|LSTM|LayerNorm|Router|Weighted\w+|WordWeights)$")
_PROMPTS = "config_sentence_transformers.json"
# What PEFT reads: weights that are added to the model's own.
_ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
FILES = (
    *("config.json", f"{POOLING}/config.json", f"{NORMALIZE}/config.json", TOKENIZER),
    *(TOKENIZER_SETTINGS, SPECIAL_TOKENS, ADDED_TOKENS),
    *(_MODULES, *_SETTINGS, _PROMPTS, *_ADAPTERS),
)
"""All files that the vectors depend on, beside weights and the folders' names.

Sentence Transformers reads `_MODULES`, `_PROMPTS`, one of `_SETTINGS` and the modules' config.json;
transformers reads config.json, the weights and the tokenizer's four files; PEFT reads `_ADAPTERS`.
"""

_SHORT = {
    "cls_token": "cls",
    "max_tokens": "max",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "mean_tokens": "mean",
    "weightedmean_tokens": "weightedmean",
}
_NO_LIMIT = 1_000_000  # a tokenizer without a limit says 1e30

# What the settings of a module may say without another vector: any value, or one of these.
_HARMLESS: Mapping[str, tuple[object, ...] | None] = {
    "unpad_inputs": None,
    "transformer_task": (None, "feature-extraction", "sequence-classification"),
    "module_output_name": (None, "token_embeddings", "scores"),
}
_HARMLESS_OF_TEXT: Mapping[str, tuple[object, ...] | None] = {
    "padding": None,
    "return_tensors": None,
    "truncation": (True, "longest_first", "only_first"),
}
_OF_LOADING = ("model_args", "model_kwargs", "config_args", "config_kwargs")
_HARMLESS_IN_LOADING = (
    # The pooler's weights have no part in a text's vector: `Family.unused`.
    *("add_pooling_layer", "attn_implementation", "dtype", "torch_dtype", "trust_remote_code"),
)
_OF_TOKENIZER = ("tokenizer_args", "processor_kwargs")
_OTHER_INPUTS = ("audio", "chat_template", "image", "video")


def modules(folder: Path) -> list[tuple[str, str]] | None:
    """Return kind and path of each module, None where there is no modules.json.

    A kind is a class of Sentence Transformers, or the whole path of one that is not.

    Raises:
        StagingError: it is not what Sentence Transformers writes, or a path leaves the folder.
    """
    if not (folder / _MODULES).is_file():
        if more := [name for name in module_folders(folder) if name != NORMALIZE]:
            raise StagingError(
                f"'{more[0]}' is the folder of a module of Sentence Transformers, and there is no "
                f"'{_MODULES}' that says how it is used. Save the encoder again, or take it out."
            )
        return None
    listed = _read_json(folder / _MODULES)
    if not isinstance(listed, list) or not all(
        isinstance(module, dict)
        and isinstance(module.get("type"), str)
        and isinstance(module.get("path"), str)
        for module in listed
    ):
        raise StagingError(
            f"'{_MODULES}' is not a list of modules with a type and a path. {_AGAIN}"
        )
    return [(_kind(module["type"]), _inside(module["path"])) for module in listed]


def module_folders(folder: Path) -> list[str]:
    """Return the folders that by their name hold a module that changes a vector."""
    names = [path.name for path in folder.glob("[0-9]_*") if path.is_dir()]
    return sorted(name for name in names if name == NORMALIZE or _MORE.match(name))


def _kind(named: str) -> str:
    return named.rpartition(".")[2] if named.startswith("sentence_transformers.") else named


def _inside(path: str) -> str:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise StagingError(f"'{_MODULES}' has the path '{path}', which leaves the folder. {_AGAIN}")
    return path


def pooling_of(fields: Mapping[str, Any], label: str, known: Sequence[str], allowed: str) -> str:
    """Return how one vector is made of many, from the flags of old or the one field of today.

    Args:
        fields: the config.json of the module Pooling.
        label: what messages call it.
        known: what may be returned: `mean`, `cls`, `max`.
        allowed: says so, and ends the message.

    Raises:
        StagingError: it asks for another one, or for several.
    """
    modes = [
        name.removeprefix("pooling_mode_")
        for name, value in fields.items()
        if name.startswith("pooling_mode_") and value
    ]
    if "pooling_mode" in fields:
        mode = fields["pooling_mode"]
        modes = [str(one) for one in mode] if isinstance(mode, list) else [str(mode)]
    modes = [_SHORT.get(mode, mode) for mode in modes]
    if len(modes) == 1 and modes[0] in known:
        return modes[0]
    asked = f"the pooling {' + '.join(modes)}" if modes else "no pooling"
    raise StagingError(f"'{label}' asks for {asked}; {allowed}")


def limit_of(folder: Path) -> int | None:
    """Return the tokens after which texts are truncated, as Sentence Transformers finds them.

    Raises:
        StagingError: it is not a number of tokens; or a setting beside it is not known.
    """
    _, settings = settings_of(folder)
    said = read_optional(folder / TOKENIZER_SETTINGS)
    of_tokenizer = _merged(settings, *_OF_TOKENIZER)
    of_text = _merged(settings.get("processing_kwargs") or {}, "common", "text")
    limits = (
        of_text.get("max_length"),
        of_tokenizer.get("model_max_length"),
        settings.get("max_seq_length"),
        said.get("model_max_length", said.get("max_len")),
    )
    limit = next((one for one in limits if one is not None), None)
    if limit is None:
        return None
    is_number = isinstance(limit, int | float) and not isinstance(limit, bool)
    if not is_number or not limit >= FEWEST_TOKENS:
        raise StagingError(
            f"the encoder's limit of tokens is {limit!r}; it must be a whole number of at "
            f"least {FEWEST_TOKENS}. Correct it in the file that says so, or take it out."
        )
    return int(limit) if limit < _NO_LIMIT else None


def settings_of(folder: Path) -> tuple[str, Mapping[str, Any]]:
    """Return the settings of the module that reads texts, and their file's name.

    Raises:
        StagingError: one could change the vectors, and is not known here.
    """
    for label in _SETTINGS:
        settings = read_optional(folder / label)
        if settings:
            _require_known(label, settings)
            return label, settings
    return _SETTINGS[0], {}


def half_precision_of(folder: Path) -> str | None:
    """Return the type of half precision that the module that reads texts asks for, if it does.

    Raises:
        StagingError: a file cannot be read.
    """
    of_loading = _merged(settings_of(folder)[1], *_OF_LOADING)
    for said in (of_loading, read_optional(folder / "config.json")):
        for key in ("dtype", "torch_dtype"):
            if (name := str(said.get(key)).removeprefix("torch.")) in ("bfloat16", "float16"):
                return name
    return None


def _require_known(label: str, settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if key in ("max_seq_length", "do_lower_case"):
            continue
        if key in _OF_LOADING:
            _require_harmless(label, f"{key}.", value, dict.fromkeys(_HARMLESS_IN_LOADING))
        elif key in _OF_TOKENIZER:
            _require_harmless(label, f"{key}.", value, {"model_max_length": None})
        elif key == "processing_kwargs":
            for part, of_part in _map_of(label, key, value).items():
                allowed = {**_HARMLESS_OF_TEXT, "max_length": None}
                if part not in _OTHER_INPUTS:
                    _require_harmless(label, f"{key}.{part}.", of_part, allowed)
        elif key == "modality_config":
            text = _map_of(label, key, value).get("text", {})
            outputs = ("last_hidden_state", "logits")
            allowed = {"method": ("forward",), "method_output_name": outputs}
            _require_harmless(label, f"{key}.text.", text, allowed)
        else:
            _require_harmless(label, "", {key: value}, _HARMLESS)


def _require_harmless(
    label: str, outer: str, settings: object, known: Mapping[str, tuple[object, ...] | None]
) -> None:
    """Refuse a setting that is not known to leave the vectors as they are."""
    for key, value in _map_of(label, outer.removesuffix("."), settings).items():
        values = known.get(key, (None,))
        if values is not None and value not in values and value not in ({}, []):
            raise StagingError(
                f"'{label}' says {outer}{key} {value!r}: that could change the vectors, and is "
                f"not known here. Take it out if it does not, or stage the encoder as a SavedModel."
            )


def _map_of(label: str, key: str, value: object) -> Mapping[str, Any]:
    if not value:
        return {}
    if isinstance(value, dict):
        return value
    raise StagingError(
        f"'{label}' says {key} {value!r}; it must be a map of settings. Save the encoder again "
        f"with Sentence Transformers."
    )


def _merged(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for name in names for key, value in (settings.get(name) or {}).items()}


def require_casing_agrees(folder: Path, normalizer: object) -> None:
    """Refuse a folder that lower-cases texts before a tokenizer that does not.

    Raises:
        StagingError: it does; or a file cannot be read.
    """
    label, settings = settings_of(folder)
    if settings.get("do_lower_case") is True and not lowers(normalizer):
        raise StagingError(
            f"'{label}' says do_lower_case true, and the normalizer in '{TOKENIZER}' does not "
            f"lower-case. Make them agree."
        )


def lowers(normalizer: object) -> bool:
    """Tell whether a normalizer of tokenizer.json lower-cases."""
    if not isinstance(normalizer, dict):
        return False
    if normalizer.get("type") == "Sequence":
        return any(lowers(part) for part in normalizer.get("normalizers", []))
    return normalizer.get("type") == "Lowercase" or normalizer.get("lowercase") is True


def require_usual_normalize(folder: Path) -> None:
    """Refuse a module Normalize that scales something else than a text's vector.

    Raises:
        StagingError: it does.
    """
    for key, value in read_optional(folder / "config.json").items():
        if value not in (None, "sentence_embedding"):
            raise StagingError(
                f"'{folder.name}/config.json' says {key} {value!r}: the runtime scales a text's "
                f"vector, sentence_embedding, and nothing else. Use the encoder with Sentence "
                f"Transformers."
            )


def require_no_adapter(folder: Path) -> None:
    """Refuse an encoder that has weights beside its own, which PEFT adds to them.

    Raises:
        StagingError: it has.
    """
    for name in _ADAPTERS:
        if (folder / name).is_file():
            raise StagingError(
                f"'{name}' is there: PEFT adds an adapter to the model's own weights, which is not "
                f"done here. Merge it first, with merge_and_unload() and save_pretrained(), and "
                f"stage the folder that this writes."
            )


def prompts_of(folder: Path) -> tuple[str, dict[str, str]]:
    """Return the default prompt, "" if there is none, and the named ones.

    https://sbert.net/docs/sentence_transformer/usage/usage.html#prompt-templates

    Raises:
        StagingError: they are not texts, or the default is not among them.
    """
    settings = read_optional(folder / _PROMPTS)
    if settings.get("model_type") not in (None, "SentenceTransformer"):
        raise StagingError(
            f"'{_PROMPTS}' says model_type {settings['model_type']!r}; it must be "
            f"'SentenceTransformer', which gives one vector a text."
        )
    prompts, name = settings.get("prompts") or {}, settings.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise StagingError(f"'{_PROMPTS}' has prompts that are not a map of names to texts.")
    if name is not None and (not isinstance(name, str) or name not in prompts):
        raise StagingError(
            f"'{_PROMPTS}' says default_prompt_name {name!r}, which is not in its prompts."
        )
    named = {name: text for name, text in prompts.items() if text}
    return named.get(name or "", ""), named


def require_prefix_is_pooled(
    fields: Mapping[str, Any], label: str, pooling: str | None, prefix: str
) -> None:
    """Refuse an encoder whose pooling leaves out the tokens of the prompt: ours takes all.

    The last token is never the prompt's.

    Args:
        fields: the config.json of the module Pooling.
        label: what messages call it.
        pooling: how one vector is made of many.
        prefix: what is put before each text.

    Raises:
        StagingError: it leaves them out.
    """
    if prefix and pooling not in (None, "lasttoken") and not fields.get("include_prompt", True):
        raise StagingError(
            f"'{label}' says include_prompt false: the tokens of the prompt {prefix!r} have no "
            f"part in the pooling {pooling}, and here they would have. Choose no prompt, with "
            f'--prefix "", or use the encoder with Sentence Transformers.'
        )


def truncate_dim_of(folder: Path) -> int | None:
    """Return how many of a vector's first numbers the folder's settings keep; None: all.

    Raises:
        StagingError: it is not a whole number of at least 1.
    """
    value = read_optional(folder / _PROMPTS).get("truncate_dim")
    if value is None or (type(value) is int and value > 0):
        return value
    raise StagingError(
        f"'{_PROMPTS}' says truncate_dim {value!r}, not a whole number of at least 1 or null. Set "
        f"it to one of these."
    )


def read_optional(path: Path) -> Mapping[str, Any]:
    """Read a JSON object; an empty one where there is no such file."""
    return read_object(path) if path.is_file() else {}


def read_object(path: Path) -> Mapping[str, Any]:
    """Read a JSON object.

    Raises:
        StagingError: there is no such file, or it is not a JSON object.
    """
    fields = _read_json(path)
    if isinstance(fields, dict):
        return fields
    raise StagingError(f"'{path.name}' is not a JSON object. {_AGAIN}")


def _read_json(path: Path) -> object:
    require_no_pointer(path)
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StagingError(
            f"the folder '{path.parent.name}' has no '{path.name}', so it is not a complete "
            f"sentence encoder. {_AGAIN}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise StagingError(f"'{path.name}' is not JSON ({error}). {_AGAIN}") from None
