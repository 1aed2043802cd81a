"""What SOURCE may be, and what a model folder on this machine is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tf_embeddings_staging import encoder_folder, saved_model
from tf_embeddings_staging.catalogue import Entry, catalogue
from tf_embeddings_staging.errors import StagingError


@dataclass(frozen=True)
class Folder:
    """A model's folder on this machine."""

    path: Path


Source = Entry | Folder


def resolve(text: str) -> Source:
    """Return what SOURCE names: a model of the catalogue, or a folder.

    Raises:
        StagingError: it is neither.
    """
    if entry := catalogue().get(text):
        return entry
    path = Path(text).expanduser().absolute()
    names = ", ".join(sorted(catalogue()))
    if not path.is_dir():
        what = "a file, not a folder" if path.is_file() else "no folder, and no catalogue name"
        raise StagingError(f"SOURCE '{text}' is {what}. {_ALLOWED.format(names=names)}")
    if not (saved_model.is_saved_model(path) or encoder_folder.is_encoder_folder(path)):
        raise StagingError(
            f"SOURCE '{text}' is a folder with neither saved_model.pb nor config.json. "
            f"{_ALLOWED.format(names=names)}"
        )
    return Folder(path)


_ALLOWED = (
    "It may be a name of the catalogue ({names}), the folder of a SavedModel that takes strings, "
    "or the folder of a BERT sentence encoder (config.json, model.safetensors, tokenizer.json, "
    "modules.json)."
)
