"""The files beside a SavedModel that say how to use it: tokenizer, pooling, limits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import ASSETS

TOKENIZER = "tokenizer.json"
POOLINGS = ("mean", "cls", "max")

_SAVED_BY_TRANSFORMERS = "saved_model"  # <folder>/saved_model/1
_POOLING = "1_Pooling/config.json"
_OF_FLAG = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}
# Positions of RoBERTa and those after it start behind the padding's.
_POSITIONS_BEHIND_PADDING = ("camembert", "longformer", "mpnet", "roberta", "xlm-roberta")
# A tokenizer without a limit says 1e30.
_NO_LIMIT = 1_000_000


@dataclass(frozen=True)
class Neighbours:
    """What lies beside a SavedModel of token ids.

    Attributes:
        tokenizer: its tokenizer.json.
        pooling: how one vector is made of one a token, if a file says so.
        normalize: whether a file says that vectors are scaled to length 1.
        limit: the tokens after which the model truncates, if a file says so.
        positions: the most tokens that it could take, if a file says so.
    """

    tokenizer: Path
    pooling: str | None
    normalize: bool
    limit: int | None
    positions: int | None


def find_neighbours(folder: Path) -> Neighbours | None:
    """Return what lies beside a SavedModel, None if there is no tokenizer.

    Raises:
        StagingError: a file is not JSON, or asks for a pooling that nobody knows.
    """
    for place in _places(folder):
        if (place / TOKENIZER).is_file():
            settings = folder if place.parent == folder else place
            config = _read(settings / "config.json")
            return Neighbours(
                tokenizer=place / TOKENIZER,
                pooling=_pooling(settings),
                normalize=_normalizes(settings),
                limit=_limit(settings),
                positions=_positions(config),
            )
    return None


def places_named() -> str:
    """Return where a tokenizer is looked for, in words."""
    return f"in the SavedModel's folder, in its '{ASSETS}' or beside the folder"


def _places(folder: Path) -> Iterator[Path]:
    folder = folder.absolute()
    yield from (folder, folder / ASSETS, folder / "assets.extra", folder.parent)
    if folder.parent.name == _SAVED_BY_TRANSFORMERS:
        yield folder.parent.parent


def _pooling(settings: Path) -> str | None:
    fields = _read(settings / _POOLING)
    if not fields:
        return None
    modes = [name for flag, name in _OF_FLAG.items() if fields.get(flag) is True]
    others = [
        name.removeprefix("pooling_mode_")
        for name, value in fields.items()
        if name.startswith("pooling_mode_") and value is True and name not in _OF_FLAG
    ]
    if isinstance(fields.get("pooling_mode"), str):
        modes = [fields["pooling_mode"]]
    if len(modes) == 1 and not others and modes[0] in POOLINGS:
        return modes[0]
    raise StagingError(
        f"'{_POOLING}' asks for the pooling {' + '.join([*modes, *others]) or 'of no kind'}; it "
        f"may be {', '.join(POOLINGS)}. Say which one with --pooling."
    )


def _normalizes(settings: Path) -> bool:
    modules = _read_any(settings / "modules.json")
    if isinstance(modules, list):
        kinds = [str(one.get("type")) for one in modules if isinstance(one, dict)]
        return any(kind.endswith(".Normalize") for kind in kinds)
    return (settings / "2_Normalize").is_dir()


def _limit(settings: Path) -> int | None:
    for name, field in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        value = _read(settings / name).get(field)
        if isinstance(value, int | float) and 1 <= value < _NO_LIMIT:
            return int(value)
    return None


def _positions(config: Mapping[str, Any]) -> int | None:
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or isinstance(positions, bool) or positions < 1:
        return None
    if config.get("model_type") not in _POSITIONS_BEHIND_PADDING:
        return positions
    padding = config.get("pad_token_id")
    return positions - 1 - (padding if isinstance(padding, int) else 1)


def _read(path: Path) -> Mapping[str, Any]:
    fields = _read_any(path)
    return fields if isinstance(fields, dict) else {}


def _read_any(path: Path) -> object:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise StagingError(f"'{path.name}' beside the SavedModel is not JSON ({error}).") from None
