"""From what was fetched to a model whose files are laid out, ready to be packed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tf_embeddings_udf.manifest import MODEL_FOLDER, PREPROCESSOR_FOLDER

from tf_embeddings_staging import cache, process
from tf_embeddings_staging.conversion import keras_file
from tf_embeddings_staging.conversion.encoder_folder import TOKENIZER, WEIGHTS
from tf_embeddings_staging.conversion.folders import places as encoder_places
from tf_embeddings_staging.conversion.folders import read_folder
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching.fetch import Fetched
from tf_embeddings_staging.inspection import sentence_files
from tf_embeddings_staging.inspection.files import files_of, is_saved_model, require_inside
from tf_embeddings_staging.inspection.neighbors import find_neighbors, places
from tf_embeddings_staging.model import Model, files_in
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report

_WEIGHTS = (WEIGHTS, f"{WEIGHTS}.index.json")


@dataclass(frozen=True)
class Input:
    """What a model is made of.

    Attributes:
        fetched: the model's files, and where they come from.
        preprocessor: those of the SavedModel that goes before it, if there is one.
        license: the license's name, if it is known.
        options: what the catalogue and the user say of the model.
    """

    fetched: Fetched
    preprocessor: Fetched | None
    license: str | None
    options: Options

    @property
    def is_keras_file(self) -> bool:
        """Tell whether the model is a .keras file."""
        return self.fetched.path.is_file()

    @property
    def is_encoder_folder(self) -> bool:
        """Tell whether the model is the folder of a sentence encoder."""
        return not self.is_keras_file and not is_saved_model(self.fetched.path)


def prepare(given: Input, folder: Path, work: Path, report: Report, limits: Limits) -> Model:
    """Lay out a model's files in the folder that the artifact will unpack to.

    Args:
        given: what the model is made of.
        folder: gets `model/`, and `preprocessor/` where there is one.
        work: a folder for the files of the processes.
        report: tells the user.
        limits: the memory and the time of each process.

    Raises:
        StagingError: it is not a model that embeds, or an option does not fit.
    """
    lay_out = _encoder_folder if given.is_encoder_folder else _saved_model
    model = lay_out(given, folder, work, report, limits)
    return replace(model.cut_to(given.options.truncate_dim), license=given.license)


def inspect(given: Input, work: Path, report: Report, limits: Limits) -> dict[str, Any]:
    """Return what `listing.report` shows of a model: the fields of its record, and `report`.

    Of a SavedModel that is refused it is only the report, whose `problem` says why.

    Raises:
        StagingError: it cannot be read, or does not run.
    """
    if given.is_encoder_folder:
        return _findings_of_encoder_folder(given)
    path = _as_saved_model(given, work, report, limits)
    found = _inspect(given, path, work / "laid_out", work, report, limits, survey=True)
    _tell_of_ops(found["report"], given.options, report)
    return {**found.pop("model", {}), **found}


def _as_saved_model(given: Input, work: Path, report: Report, limits: Limits) -> Path:
    """Return the folder of a SavedModel, converted if it is a .keras file."""
    if not given.is_keras_file:
        return given.fetched.path
    target = work / "exported"
    request = {"file": str(given.fetched.path), "target": str(target)}
    with report.step("Converting the Keras file to a TensorFlow SavedModel"):
        process.run("convert_keras", request, work, limits)
    return target


def _inspect(
    given: Input,
    path: Path,
    target: Path,
    work: Path,
    report: Report,
    limits: Limits,
    *,
    survey: bool,
) -> dict[str, Any]:
    """Have a SavedModel inspected and laid out; see `inspection.inspect_task`."""
    request = {
        "folder": str(path),
        "root": str(given.fetched.root) if given.fetched.root else None,
        "options": asdict(given.options),
        "preprocessor": str(given.preprocessor.path) if given.preprocessor else None,
        "target": str(target),
        "survey": survey,
    }
    with report.step("Inspecting the SavedModel"):
        return process.run("inspect", request, work, limits)


def _saved_model(given: Input, folder: Path, work: Path, report: Report, limits: Limits) -> Model:
    """Have a SavedModel inspected and laid out, and add what its version depends on."""
    path = _as_saved_model(given, work, report, limits)
    found = _inspect(given, path, folder, work, report, limits, survey=False)
    _tell_of_prompts(found["report"]["prompts"], report)
    _tell_of_ops(found["report"], given.options, report)
    if given.is_keras_file:
        # Keras and TensorFlow do not always make the same bytes of the same file.
        digests = keras_file.content_digests(given.fetched.path)
        weights: dict[str, Any] = {"keras_converter": keras_file.CONVERTER, "files": digests}
    else:
        digests = _digests(folder / MODEL_FOLDER)
        weights = dict(digests)
    source: dict[str, Any] = {"uri": given.fetched.uri, "files": digests}
    if given.preprocessor:
        before = _digests(folder / PREPROCESSOR_FOLDER)
        weights |= {f"{PREPROCESSOR_FOLDER}/{name}": digest for name, digest in before.items()}
        source["preprocessor"] = {"uri": given.preprocessor.uri, "files": before}
    return replace(Model(**found["model"]), weights=weights, source=source)


def _encoder_folder(
    given: Input, folder: Path, work: Path, report: Report, limits: Limits
) -> Model:
    """Convert the folder of a sentence encoder."""
    encoder = read_folder(given.fetched.path, given.options)
    _tell_of_prompts(encoder.prompts, report)
    if half := encoder.half_precision:
        report.say(f"Note: the folder asks for {half}; the artifact computes float32.")
    target = folder / MODEL_FOLDER
    request = {**encoder.request(), "target": str(target)}
    with report.step("Converting the weights to a TensorFlow SavedModel"):
        process.run(encoder.task, request, work, limits)
    for name in target.iterdir():
        if name.is_file() and name.name not in files_of(target):
            name.unlink()
    shutil.copyfile(encoder.tokenizer, target / TOKENIZER)
    digests = {name: cache.sha256_of(path) for name, path in encoder.files().items()}
    return replace(
        encoder.model,
        weights={**encoder.architecture(), "files": digests},
        source={"uri": given.fetched.uri, "files": digests},
    )


def _findings_of_encoder_folder(given: Input) -> dict[str, Any]:
    encoder = read_folder(given.fetched.path, given.options)
    return {
        **asdict(encoder.model),
        "report": {
            **encoder.findings(),
            "prompts": dict(encoder.prompts),
            "files": {name: path.stat().st_size for name, path in encoder.files().items()},
        },
    }


def _tell_of_ops(found: Mapping[str, Any], options: Options, report: Report) -> None:
    """Tell what --allow-op lets in, and what of it there is not."""
    graphs = [found, *([found["preprocessor"]] if found.get("preprocessor") else [])]
    there = {op for graph in graphs for op in graph["ops"]}
    if unused := [op for op in options.allow_ops if op not in there]:
        report.say(
            f"Warning: the graph has no op {', '.join(unused)}, which --allow-op names. Is it "
            f"written as TensorFlow writes it?"
        )
    if allowed := sorted({one["op"] for graph in graphs for one in graph["allowed_ops"]}):
        report.say(
            f"Warning: the graph reaches out of the model with {', '.join(allowed)}, which "
            f"--allow-op lets in: a file that it reads there is not in the artifact, and will be "
            f"missing in the warehouse."
        )


def _tell_of_prompts(prompts: Mapping[str, str], report: Report) -> None:
    if not prompts:
        return
    named = ", ".join(f"{name} ({text!r})" for name, text in prompts.items())
    report.say(
        f"Note: this encoder has prompts, and none is its default: {named}. No prefix is put "
        f"before a text; --prefix TEXT chooses one. Stage the model under two names for two."
    )


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
            "Note: 'tokenizer_config.json' and the files beside it ask for a tokenizer that "
            "differs from 'tokenizer.json'. The artifact gets the one that transformers makes of "
            "them."
        )
    return copied


def _rewrite_tokenizer(copied: Input) -> bool:
    """Make a copied tokenizer.json what it must be; tell whether it was not."""
    path = copied.fetched.path
    if copied.is_keras_file:
        return False
    if copied.is_encoder_folder:
        found = read_folder(path, copied.options)
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
        for part in {*encoder_places(path), *(path / module for _, module in modules)}:
            copy = target / path.name / part.relative_to(path)
            shards = [shard.name for shard in part.glob("model-*.safetensors")]
            _copy_settings(part, path, copy, (*sentence_files.FILES, *_WEIGHTS, *shards))
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


def _digests(folder: Path) -> dict[str, str]:
    return {name: cache.sha256_of(path) for name, path in files_in(folder).items()}
