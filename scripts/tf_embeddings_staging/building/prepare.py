"""From what was fetched to a model whose files are laid out, ready to be packed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tf_embeddings_staging import cache, process
from tf_embeddings_staging.building.model import Model
from tf_embeddings_staging.conversion import keras_file
from tf_embeddings_staging.conversion.encoder_folder import (
    TOKENIZER,
    WEIGHTS,
    EncoderFolder,
    read_encoder_folder,
)
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching.fetch import Fetched
from tf_embeddings_staging.inspection.files import files_of, is_saved_model
from tf_embeddings_staging.inspection.sentence_files import half_precision_of
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report

MODEL = "model"
PREPROCESSOR = "preprocessor"


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
        """Tell whether the model is the folder of a BERT sentence encoder."""
        return not self.is_keras_file and not is_saved_model(self.fetched.path)


def prepare(given: Input, folder: Path, work: Path, report: Report, limits: Limits) -> Model:
    """Lay out a model's files in the folder that the artifact will unpack to.

    Args:
        given: what the model is made of.
        folder: gets `model/`, and `preprocessor/` where there is one.
        work: a folder for what lies around meanwhile.
        report: tells the user.
        limits: the memory and the time of each process.

    Raises:
        StagingError: it is no model that embeds, or an option does not fit.
    """
    if given.is_encoder_folder:
        return _encoder_model(given, folder, work, report, limits)
    return _saved_model(given, folder, work, report, limits)


def inspect(given: Input, work: Path, report: Report, limits: Limits) -> dict[str, Any]:
    """Return what the inspection of a model finds, as `inspection.findings.Found` has it.

    Of a SavedModel that is refused it is the report alone, whose `problem` says why.

    Raises:
        StagingError: it cannot be read, or does not run.
    """
    if given.is_encoder_folder:
        return _encoder_findings(given)
    path = _as_saved_model(given, work, report, limits)
    found = _inspect(given, path, work, report, limits, survey=True)
    _tell_of_ops(found["report"], given.options, report)
    return found


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
    given: Input, path: Path, work: Path, report: Report, limits: Limits, *, survey: bool
) -> dict[str, Any]:
    """Have a SavedModel inspected; see `inspection.inspect_task` for `survey`."""
    request = {
        "folder": str(path),
        "root": str(given.fetched.root) if given.fetched.root else None,
        "options": asdict(given.options),
        "preprocessor": str(given.preprocessor.path) if given.preprocessor else None,
        "survey": survey,
    }
    with report.step("Inspecting the SavedModel"):
        return process.run("inspect", request, work, limits)


def _saved_model(given: Input, folder: Path, work: Path, report: Report, limits: Limits) -> Model:
    """Copy a SavedModel that has been inspected."""
    path = _as_saved_model(given, work, report, limits)
    found = _inspect(given, path, work, report, limits, survey=False)
    _tell_of_prompts(found["prompts"], report)
    _tell_of_ops(found["report"], given.options, report)
    options = given.options
    dimensions = _kept(options.truncate_dim, found["model_dimensions"])
    extra = {name: Path(file) for name, file in found["extra_files"].items()}
    _copy({**files_of(path), **extra}, folder / MODEL)
    if given.is_keras_file:
        # What Keras and TensorFlow make of the file is not always the same to the byte.
        digests = keras_file.content_digests(given.fetched.path)
        weights: Mapping[str, Any] = {"keras_converter": keras_file.CONVERTER, "files": digests}
    else:
        digests = _digests(folder / MODEL)
        weights = digests
    source: dict[str, Any] = {"uri": given.fetched.uri, "files": digests}
    if given.preprocessor:
        _copy(files_of(given.preprocessor.path), folder / PREPROCESSOR)
        before = _digests(folder / PREPROCESSOR)
        weights = {**weights, **{f"{PREPROCESSOR}/{name}": each for name, each in before.items()}}
        source["preprocessor"] = {"uri": given.preprocessor.uri, "files": before}
    return Model(
        kind=found["kind"],
        encoder=found["encoder"],
        model_dimensions=found["model_dimensions"],
        dimensions=dimensions,
        normalize=found["normalize"] if options.normalize is None else options.normalize,
        max_tokens=found["max_tokens"],
        prefix=found["prefix"],
        weights=weights,
        source=source,
        license=given.license,
    )


def _encoder_model(given: Input, folder: Path, work: Path, report: Report, limits: Limits) -> Model:
    """Convert the folder of a BERT sentence encoder."""
    encoder = read_encoder_folder(given.fetched.path, given.options)
    dimensions = _kept(given.options.truncate_dim, encoder.config.hidden_size)
    _tell_of_prompts(encoder.prompts, report)
    if half := half_precision_of(encoder.weights.parent):
        report.say(f"Note: the folder asks for {half}; the artifact computes float32.")
    target = folder / MODEL
    request = {
        "config": asdict(encoder.config),
        "weights": str(encoder.weights),
        "pooling": encoder.pooling,
        "target": str(target),
    }
    with report.step("Converting the weights to a TensorFlow SavedModel"):
        process.run("convert", request, work, limits)
    for name in target.iterdir():
        if name.is_file() and name.name not in files_of(target):
            name.unlink()
    shutil.copyfile(encoder.tokenizer, target / TOKENIZER)
    digests = {
        WEIGHTS: cache.sha256_of(encoder.weights),
        TOKENIZER: cache.sha256_of(encoder.tokenizer),
    }
    return Model(
        kind="tokens",
        encoder=_encoder_parameters(encoder),
        model_dimensions=encoder.config.hidden_size,
        dimensions=dimensions,
        normalize=encoder.normalize,
        max_tokens=encoder.max_tokens,
        prefix=encoder.prefix,
        weights={**encoder.architecture(), "files": digests},
        source={"uri": given.fetched.uri, "files": digests},
        license=given.license,
    )


def _encoder_parameters(encoder: EncoderFolder) -> dict[str, Any]:
    """Return how the SavedModel that `bert_graph` writes is called."""
    return {
        "tags": ["serve"],
        "signature": "serving_default",
        "input_ids": "input_ids",
        "attention_mask": "attention_mask",
        "token_type_ids": None,
        "output": "embedding",
        "libraries": [],
        "tokenizer": TOKENIZER,
        "max_tokens": encoder.max_tokens,
        "pooling": None,
    }


def _encoder_findings(given: Input) -> dict[str, Any]:
    """Return of an encoder's folder what the inspection returns of a SavedModel."""
    encoder = read_encoder_folder(given.fetched.path, given.options)
    parameters = encoder.config.parameters()
    return {
        "kind": "tokens",
        "encoder": _encoder_parameters(encoder),
        "model_dimensions": encoder.config.hidden_size,
        "max_tokens": encoder.max_tokens,
        "normalize": encoder.normalize,
        "libraries": [],
        "why": (
            f"config.json says model_type '{parameters['model_type']}', and the tokens' vectors "
            f"are pooled by their {encoder.pooling}."
        ),
        "extra_files": {},
        "report": {
            "encoder": {**parameters, "pooling": encoder.pooling, "prefix": encoder.prefix},
            "prompts": dict(encoder.prompts),
            "files": {
                path.name: path.stat().st_size for path in (encoder.weights, encoder.tokenizer)
            },
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


def _kept(truncate_dim: int | None, model_dimensions: int) -> int:
    """Return how many numbers of a vector are kept."""
    if truncate_dim is None:
        return model_dimensions
    if truncate_dim < model_dimensions:
        return truncate_dim
    raise StagingError(
        f"--truncate-dim {truncate_dim} keeps the first numbers of a vector, and this model gives "
        f"{model_dimensions}. Say fewer, or leave it out."
    )


def _copy(files: Mapping[str, Path], target: Path) -> None:
    for name, file in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / name)


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): cache.sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
