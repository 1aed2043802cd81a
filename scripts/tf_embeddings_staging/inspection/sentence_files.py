"""The files in which Sentence Transformers says how an encoder is used.

They lie in the folder of an encoder that is converted, and beside SavedModels; both read them here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError

TOKENIZER = "tokenizer.json"
POOLING = "1_Pooling"
NORMALIZE = "2_Normalize"
FEWEST_TOKENS = 3  # [CLS], [SEP], and one between them

# The module that reads texts, the one that makes one vector of many, the one that scales it.
PIPELINES = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])

_MODULES = "modules.json"
_SETTINGS = "sentence_bert_config.json"
_TOKENIZER_SETTINGS = "tokenizer_config.json"
_PROMPTS = "config_sentence_transformers.json"
FILES = (
    *("config.json", f"{POOLING}/config.json", TOKENIZER),
    *(_MODULES, _SETTINGS, _TOKENIZER_SETTINGS, _PROMPTS),
)
"""All that is read, beside the folders' names."""

_SHORT = {"cls_token": "cls", "max_tokens": "max", "mean_tokens": "mean"}
_NO_LIMIT = 1_000_000  # a tokenizer without a limit says 1e30


def modules(folder: Path) -> list[tuple[str, str]] | None:
    """Return kind and path of each module, None where there is no modules.json.

    Raises:
        StagingError: it is not what Sentence Transformers writes, or a path leaves the folder.
    """
    if not (folder / _MODULES).is_file():
        return None
    listed = _read_json(folder / _MODULES)
    if not isinstance(listed, list) or not all(
        isinstance(module, dict)
        and isinstance(module.get("type"), str)
        and isinstance(module.get("path"), str)
        for module in listed
    ):
        raise StagingError(f"'{_MODULES}' is not a list of modules with a type and a path.")
    return [(module["type"].rpartition(".")[2], _inside(module["path"])) for module in listed]


def _inside(path: str) -> str:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise StagingError(f"'{_MODULES}' has the path '{path}', which leaves the folder.")
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
        if name.startswith("pooling_mode_") and value is True
    ]
    if "pooling_mode" in fields:
        mode = fields["pooling_mode"]
        modes = [str(one) for one in mode] if isinstance(mode, list) else [str(mode)]
    modes = [_SHORT.get(mode, mode) for mode in modes]
    if len(modes) == 1 and modes[0] in known:
        return modes[0]
    raise StagingError(
        f"'{label}' asks for the pooling {' + '.join(modes) or 'of no kind'}; {allowed}"
    )


def limit_of(folder: Path) -> int | None:
    """Return the tokens after which texts are truncated, as Sentence Transformers finds them.

    Raises:
        StagingError: it is no number of tokens.
    """
    limit = read_optional(folder / _SETTINGS).get("max_seq_length")
    if limit is None:
        limit = read_optional(folder / _TOKENIZER_SETTINGS).get("model_max_length")
    if limit is None:
        return None
    is_number = isinstance(limit, int | float) and not isinstance(limit, bool)
    if not is_number or not limit >= FEWEST_TOKENS:
        raise StagingError(
            f"the encoder's limit of tokens is {limit!r}; it must be a whole number of at "
            f"least {FEWEST_TOKENS}."
        )
    return int(limit) if limit < _NO_LIMIT else None


def require_casing_agrees(folder: Path, tokenizer: Path) -> None:
    """Refuse a folder that lower-cases texts somewhere else than in tokenizer.json.

    Raises:
        StagingError: it does; or a file cannot be read.
    """
    asking = [
        name
        for name in (_SETTINGS, _TOKENIZER_SETTINGS)
        if read_optional(folder / name).get("do_lower_case") is True
    ]
    if asking and not _lowers(read_object(tokenizer).get("normalizer")):
        raise StagingError(
            f"'{asking[0]}' says do_lower_case true, and the normalizer in '{TOKENIZER}' does not "
            f"lower-case. Make them agree."
        )


def _lowers(normalizer: object) -> bool:
    if not isinstance(normalizer, dict):
        return False
    if normalizer.get("type") == "Sequence":
        return any(_lowers(part) for part in normalizer.get("normalizers", []))
    return normalizer.get("type") == "Lowercase" or normalizer.get("lowercase") is True


def prompts_of(folder: Path) -> tuple[str, dict[str, str]]:
    """Return the default prompt, "" if there is none, and the named ones.

    https://sbert.net/docs/sentence_transformer/usage/usage.html#prompt-templates

    Raises:
        StagingError: they are no texts, or the default is none of them.
    """
    settings = read_optional(folder / _PROMPTS)
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
    """Refuse an encoder whose mean leaves out the tokens of the prompt: ours takes all.

    Args:
        fields: the config.json of the module Pooling.
        label: what messages call it.
        pooling: how one vector is made of many.
        prefix: what is put before each text.

    Raises:
        StagingError: it leaves them out.
    """
    if prefix and pooling == "mean" and fields.get("include_prompt") is False:
        raise StagingError(
            f"'{label}' says include_prompt false: the tokens of the prompt {prefix!r} have no "
            f"part in the mean. The runtime knows encoders where they have."
        )


def read_optional(path: Path) -> Mapping[str, Any]:
    """Read a JSON object; an empty one where there is no such file."""
    return read_object(path) if path.is_file() else {}


def read_object(path: Path) -> Mapping[str, Any]:
    """Read a JSON object.

    Raises:
        StagingError: there is no such file, or it is none.
    """
    fields = _read_json(path)
    if isinstance(fields, dict):
        return fields
    raise StagingError(f"'{path.name}' is not a JSON object.")


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StagingError(
            f"the folder '{path.parent.name}' has no '{path.name}', so it is no whole sentence "
            f"encoder."
        ) from None
    except (ValueError, RecursionError) as error:
        raise StagingError(f"'{path.name}' is not JSON ({error}).") from None
