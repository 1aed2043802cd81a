"""Inspecting a SavedModel: what it takes and gives, which kind it is, and whether it is safe.

`examine` reads the files and runs nothing. `lay_out` then copies them to where an artifact has
them, and `measured` runs them there by the runtime's own encoders. All of this happens in the
worker process; `inspection.files` is light, and used outside of it too.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_udf.manifest import MODEL_FOLDER, PREPROCESSOR_FOLDER

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import files_of, is_saved_model
from tf_embeddings_staging.model import Model, write_manifest
from tf_embeddings_staging.options import Options

if TYPE_CHECKING:
    from tf_embeddings_staging.inspection.kinds import Choice

_NEEDS_TEXT = (
    "Its graph has ops of TensorFlow Text, which Snowflake only has from PyPI: set the var "
    "tf_embeddings_artifact_repository to snowflake.snowpark.pypi_shared_repository there."
)
_TEXT = "test"


def inspect_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: {folder, root, options, preprocessor, target} -> {model, report}.

    The model's files are laid out in the folder `target`, as an artifact holds them. With `survey`
    true the answer to a model that is refused is {report}; nothing of it ran.
    """
    folder, target = Path(request["folder"]), Path(request["target"])
    preprocessor = Path(request["preprocessor"]) if request.get("preprocessor") else None
    options = Options(**{**request["options"], "allow_ops": tuple(request["options"]["allow_ops"])})
    root = Path(request["root"]) if request.get("root") else None
    report, choice = examine(folder, options, preprocessor, root)
    if choice is not None:
        lay_out(choice, folder, preprocessor, target)
        model, length = measured(choice.model, target)
        return {"model": asdict(model), "own_length": length, "report": report}
    if request.get("survey"):
        return {"report": report}
    raise StagingError(report["problem"])


def check_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: {folders, allow_ops} -> {}: refuse SavedModels that reach out.

    Raises:
        StagingError: one does, or a folder is not a SavedModel.
    """
    from tf_embeddings_staging.inspection import graph, safety

    for folder in map(Path, request["folders"]):
        if not is_saved_model(folder):
            raise StagingError(f"the artifact's folder '{folder.name}' is not a SavedModel.")
        model = graph.read(folder)
        safety.require_safe(safety.examine_ops(model, request["allow_ops"]))
        safety.require_assets(model)
    return {}


def examine(
    path: Path, options: Options, preprocessor: Path | None = None, root: Path | None = None
) -> tuple[dict[str, Any], Choice | None]:
    """Find out what a SavedModel is, and whether its graph reaches out. Nothing of it runs.

    Args:
        path: the SavedModel's folder.
        options: what the user says of the model.
        preprocessor: the folder of the SavedModel that makes its inputs of texts.
        root: the folder that came with it, if it was fetched or unpacked: nothing above counts.

    Returns:
        What --inspect shows, see `report.report_of`; and what was found. That is None where the
        model is damaged or dangerous, does not embed texts, or the user must choose: then the
        report's `problem` says why.

    Raises:
        StagingError: it cannot be read.
    """
    from tf_embeddings_staging.inspection import graph, kinds, safety
    from tf_embeddings_staging.inspection.report import chosen, report_of

    graphs = [graph.read(path, root), *([graph.read(preprocessor)] if preprocessor else [])]
    ops = [safety.examine_ops(one, options.allow_ops) for one in graphs]
    report, *behind = map(report_of, graphs, ops)
    report["preprocessor"] = behind[0] if behind else None
    try:
        for one, of_one in zip(graphs, ops, strict=True):
            safety.require_safe(of_one)
            safety.require_assets(one)
        choice = kinds.choose(graphs[0], options, graphs[1] if preprocessor else None)
    except StagingError as error:
        report["problem"] = str(error)
        return report, None
    report["libraries"] = sorted({library for of_one in ops for library in of_one.libraries})
    model = choice.model
    choice = replace(
        choice,
        why=f"{choice.why} {_NEEDS_TEXT}" if report["libraries"] else choice.why,
        model=replace(
            model,
            encoder={**model.encoder, "libraries": report["libraries"]},
            normalize=model.normalize if options.normalize is None else options.normalize,
            prefix=options.prefix or model.prefix,
        ),
    )
    return report | chosen(choice), choice


def lay_out(choice: Choice, path: Path, preprocessor: Path | None, target: Path) -> None:
    """Copy a SavedModel, and its preprocessor's, to where an artifact has them."""
    folders = {MODEL_FOLDER: {**files_of(path), **choice.extra_files}}
    if preprocessor:
        folders[PREPROCESSOR_FOLDER] = files_of(preprocessor)
    for folder, files in folders.items():
        for name, file in files.items():
            copy = target / folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def measured(model: Model, folder: Path) -> tuple[Model, float | None]:
    """Embed one text with a model that was examined and laid out.

    Returns:
        The record with the length of its vectors; and the Euclidean length of that text's vector,
        None where the vectors of its tokens are pooled.

    Raises:
        StagingError: what comes out is not a vector.
    """
    import numpy as np
    from tf_embeddings_udf import TfEmbeddingsError, read_manifest
    from tf_embeddings_udf.encoders import load_encoder

    # What the model itself gives, before the runtime pools it.
    write_manifest(replace(model, encoder={**model.encoder, "pooling": None}), folder)
    try:
        encoder = load_encoder(read_manifest(folder), folder, threads=0)
        (prepared,) = encoder.prepare([_TEXT])
        if not prepared.cost:
            raise StagingError(
                f"the tokenizer has no tokens for '{_TEXT}'. Is it this model's own tokenizer?"
            )
        vectors = encoder.run([prepared.payload])
    except TfEmbeddingsError as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise StagingError(str(error).removeprefix("tf_embeddings: ")) from None
    _require_vector(vectors.shape, model)
    is_pooled = model.encoder.get("pooling") is not None
    return (
        model.giving(vectors.shape[-1]),
        None if is_pooled else float(np.linalg.norm(vectors[0])),
    )


def _require_vector(shape: tuple[int, ...], model: Model) -> None:
    output, pooling = model.encoder["output"], model.encoder.get("pooling")
    if len(shape) == (3 if pooling else 2) and shape[0] == 1 and shape[-1] > 0:
        return
    named = f"'{output}'" if output is not None else "of vectors"
    wanted = "[1, tokens, dimensions]" if pooling else "[1, dimensions]"
    is_poolable = "pooling" in model.encoder and pooling is None and len(shape) == 3
    raise StagingError(
        f"the output {named} has the shape {list(shape)} for one text; it must be {wanted}."
        f"{' Say --pooling mean, cls or max.' if is_poolable else ''}"
    )
