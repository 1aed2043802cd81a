"""Inspecting a SavedModel: what it takes and gives, which kind it is, and whether it is safe.

`examine` reads the files and runs nothing; `find` then loads the model and embeds one text. Both
are called in the worker process alone; `is_saved_model` and `files_of` import nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import files_of, is_saved_model
from tf_embeddings_staging.inspection.findings import Findings, Found
from tf_embeddings_staging.options import Options

_NEEDS_TEXT = (
    "Its graph has ops of TensorFlow Text, which Snowflake has from PyPI alone: set the var "
    "tf_embeddings_artifact_repository to snowflake.snowpark.pypi_shared_repository there."
)

__all__ = [
    "Findings",
    "Found",
    "check_task",
    "examine",
    "files_of",
    "find",
    "inspect_task",
    "is_saved_model",
    "survey",
]


def survey(
    path: Path, options: Options, preprocessor: Path | None = None, root: Path | None = None
) -> dict[str, Any]:
    """Return the report of a SavedModel, see `report.report_of`; `problem` says what is wrong.

    Raises:
        StagingError: it cannot be read.
    """
    report, _ = _look(path, options, preprocessor, root)
    return report


def examine(
    path: Path, options: Options, preprocessor: Path | None = None, root: Path | None = None
) -> Findings:
    """Find out what a SavedModel is, and refuse one whose graph reaches out. Nothing of it runs.

    Args:
        path: the SavedModel's folder.
        options: what the user says of the model.
        preprocessor: the SavedModel's folder that makes its inputs of texts.
        root: the folder that came with it, if it was fetched or unpacked: nothing above counts.

    Raises:
        StagingError: it is damaged, dangerous, or does not embed texts; or the user must choose.
    """
    report, findings = _look(path, options, preprocessor, root)
    if findings is None:
        raise StagingError(report["problem"])
    return findings


def find(
    path: Path, options: Options, preprocessor: Path | None = None, root: Path | None = None
) -> Found:
    """Find out what a SavedModel is, and run it for one text: see `examine`.

    Raises:
        StagingError: as `examine` does; or what comes out is no vector.
    """
    return _run(path, examine(path, options, preprocessor, root), preprocessor)


def _run(path: Path, findings: Findings, preprocessor: Path | None) -> Found:
    from tf_embeddings_staging.inspection.run import run_once

    dimensions, length = run_once(path, findings, preprocessor)
    return Found(**vars(findings), model_dimensions=dimensions, own_length=length)


def inspect_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: {folder, root, options, preprocessor} -> a `Found`.

    With `survey` true the answer to a model that is refused is {"report": …}; none of it ran.
    """
    folder = Path(request["folder"])
    preprocessor = Path(request["preprocessor"]) if request.get("preprocessor") else None
    options = Options(**{**request["options"], "allow_ops": tuple(request["options"]["allow_ops"])})
    root = Path(request["root"]) if request.get("root") else None
    report, findings = _look(folder, options, preprocessor, root)
    if findings:
        return asdict(_run(folder, findings, preprocessor))
    if request.get("survey"):
        return {"report": report}
    raise StagingError(report["problem"])


def check_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: {folders, allow_ops} -> {}: refuse SavedModels that reach out.

    Raises:
        StagingError: one does, or is none.
    """
    from tf_embeddings_staging.inspection import graph, safety

    for folder in map(Path, request["folders"]):
        if not is_saved_model(folder):
            raise StagingError(f"the artifact's folder '{folder.name}' is no SavedModel.")
        model = graph.read(folder)
        safety.require_safe(safety.examine_ops(model, request["allow_ops"]))
        safety.require_assets(model)
    return {}


def _look(
    path: Path, options: Options, preprocessor: Path | None, root: Path | None
) -> tuple[dict[str, Any], Findings | None]:
    """Return the report, and the findings unless the report has a problem."""
    from tf_embeddings_staging.inspection import graph, kinds, safety
    from tf_embeddings_staging.inspection.report import chosen, report_of

    model = graph.read(path, root)
    ops = safety.examine_ops(model, options.allow_ops)
    report = report_of(model, ops)
    before = graph.read(preprocessor) if preprocessor else None
    ops_before = safety.examine_ops(before, options.allow_ops) if before else None
    report["preprocessor"] = report_of(before, ops_before) if before and ops_before else None
    try:
        safety.require_safe(ops)
        safety.require_assets(model)
        if before and ops_before:
            safety.require_safe(ops_before)
            safety.require_assets(before)
        choice = kinds.choose(model, options, before)
    except StagingError as error:
        report["problem"] = str(error)
        return report, None
    libraries = {*ops.libraries, *(ops_before.libraries if ops_before else ())}
    if libraries:
        choice = replace(choice, why=f"{choice.why} {_NEEDS_TEXT}")
    report |= chosen(choice)
    return report, Findings(
        kind=choice.kind,
        encoder={**choice.encoder, "libraries": sorted(libraries)},
        max_tokens=choice.max_tokens,
        normalize=choice.normalize,
        prefix=options.prefix or choice.prefix,
        prompts=choice.prompts,
        libraries=tuple(sorted(libraries)),
        why=choice.why,
        extra_files=choice.extra_files,
        report=report,
    )
