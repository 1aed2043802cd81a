"""The folders that are converted: of a transformer, a cross-encoder or a static encoder."""

from __future__ import annotations

from pathlib import Path

from tf_embeddings_staging.conversion.cross_encoder import is_cross_encoder, read_cross_encoder
from tf_embeddings_staging.conversion.encoder_folder import (
    TOKENIZER,
    WEIGHTS,
    EncoderFolder,
    read_encoder_folder,
)
from tf_embeddings_staging.conversion.static_folder import (
    NESTED,
    StaticFolder,
    is_static_folder,
    read_static_folder,
)
from tf_embeddings_staging.conversion.tensors import require_complete
from tf_embeddings_staging.options import Options

Folder = EncoderFolder | StaticFolder

_CONFIGS = ("modules.json", "config.json", "config_sentence_transformers.json")
# No encoder without another one: reading it says so.
_ADAPTER = "adapter_config.json"


def is_encoder_folder(folder: Path) -> bool:
    """Tell whether a folder is meant as a sentence encoder's; no file is read."""
    is_table = all((folder / name).is_file() for name in (WEIGHTS, TOKENIZER))
    return is_table or any((folder / name).is_file() for name in (*_CONFIGS, _ADAPTER))


def likely_kind(folder: Path) -> str:
    """Return the kind of an encoder's folder."""
    if is_static_folder(folder):
        return "static"
    return "pairs" if is_cross_encoder(folder) else "tokens"


def places(folder: Path) -> set[Path]:
    """Return the folders inside that may hold files of the encoder without being named."""
    return {folder, *([folder / NESTED] if (folder / NESTED).is_dir() else [])}


def read_folder(folder: Path, options: Options) -> Folder:
    """Read what a folder says of its encoder, and what a user says instead.

    Raises:
        StagingError: a file is missing or unreadable, or asks for what the converter cannot do, or
            an option does.
    """
    if is_static_folder(folder):
        return read_static_folder(folder, options)
    if not (folder / "modules.json").is_file():
        # Only its tensors would show that it is static.
        for place in sorted(places(folder)):
            require_complete(place / WEIGHTS)
    if options.kind == "pairs" or (options.kind is None and is_cross_encoder(folder)):
        return read_cross_encoder(folder, options)
    return read_encoder_folder(folder, options)
