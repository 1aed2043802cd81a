"""A private copy of what a model is made of, so that what is inspected is what is packed.

The files may lie where others write: a shared folder, TF-Hub's cache.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tf_embeddings_staging.building.prepare import Input
from tf_embeddings_staging.conversion.encoder_folder import WEIGHTS, read_encoder_folder
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection import sentence_files
from tf_embeddings_staging.inspection.files import files_of, require_inside
from tf_embeddings_staging.inspection.neighbors import find_neighbors, places
from tf_embeddings_staging.progress import Report

_WEIGHTS = (WEIGHTS, f"{WEIGHTS}.index.json")


def own_copy(given: Input, target: Path, report: Report | None = None) -> Input:
    """Copy all that is read of a model into a private folder.

    The copy's tokenizer.json holds what `tokenizer_file.rewritten` says.

    Args:
        given: what the model is made of.
        target: the folder, which must not exist.
        report: is told of a tokenizer.json that is not copied as it is.

    Returns:
        The same, made of the copy.

    Raises:
        StagingError: a file is a link that leaves its folder, or cannot be read any more.
    """
    try:
        path = _copy_model(given, target / "model")
        preprocessor = given.preprocessor
        if preprocessor:
            copy = target / "preprocessor" / preprocessor.path.name
            _copy_saved_model(preprocessor.path, copy)
            preprocessor = replace(preprocessor, path=copy)
    except OSError as error:
        raise StagingError(
            f"'{given.fetched.path.name}' could not be copied ({error.strerror}: "
            f"'{error.filename}'). If another program writes there, run this again."
        ) from None
    fetched = replace(given.fetched, path=path, root=target / "model")
    copied = replace(given, fetched=fetched, preprocessor=preprocessor)
    if _rewrite_tokenizer(copied) and report:
        report.say(
            "Note: 'tokenizer_config.json' and the files beside it ask for another tokenizer than "
            "'tokenizer.json' alone. The artifact gets the one that transformers makes of them."
        )
    return copied


def _rewrite_tokenizer(copied: Input) -> bool:
    """Make a copied tokenizer.json what it must be; tell whether it was not."""
    path = copied.fetched.path
    if copied.is_keras_file:
        return False
    if copied.is_encoder_folder:
        found = read_encoder_folder(path, copied.options)
    else:
        try:
            found = find_neighbors(path, copied.fetched.root, copied.options)
        except StagingError:  # The inspection says so, if it asks.
            return False
    if found is None or found.rewritten is None:
        return False
    found.tokenizer.write_bytes(found.rewritten)
    return True


def _copy_model(given: Input, target: Path) -> Path:
    """Copy a model and what lies beside it; return where it is now."""
    path = given.fetched.path.absolute()
    if given.is_keras_file:
        _copy(path, target / path.name)
        return target / path.name
    if given.is_encoder_folder:
        modules = sentence_files.modules(path) or []
        for part in {path, *(path / module for _, module in modules)}:
            copy = target / path.name / part.relative_to(path)
            _copy_settings(part, path, copy, (*sentence_files.FILES, *_WEIGHTS))
        return target / path.name
    top = path.parents[1] if path.parent.name == "saved_model" else path.parent
    copy = target / path.relative_to(top)
    _copy_saved_model(path, copy)
    for place in places(path, given.fetched.root):
        _copy_settings(place, place, target / place.relative_to(top), sentence_files.FILES)
    return copy


def _copy_saved_model(folder: Path, target: Path) -> None:
    for name, file in files_of(folder).items():
        _copy(file, target / name)


def _copy_settings(folder: Path, root: Path, target: Path, names: Iterable[str]) -> None:
    """Copy those files of a folder that there are; none may lead out of the root."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (folder / name).is_file():
            require_inside(folder / name, root)
            _copy(folder / name, target / name)
    for name in sentence_files.module_folders(folder):
        (target / name).mkdir(exist_ok=True)


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
