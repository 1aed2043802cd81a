"""Which engine an artifact is for: LiteRT where a model gives the same vectors with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tf_embeddings_udf.engines import LITERT, TENSORFLOW

from tf_embeddings_staging import process
from tf_embeddings_staging.building.model import Model
from tf_embeddings_staging.building.prepare import MODEL
from tf_embeddings_staging.errors import CrashedError, StagingError, StoppedError
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report


def choose_engine(
    model: Model,
    name: str,
    folder: Path,
    work: Path,
    report: Report,
    options: Options,
    limits: Limits,
) -> tuple[str, Path]:
    """Convert a model to LiteRT, and keep that if it gives the same vectors.

    Args:
        model: what it is.
        name: its name.
        folder: its artifact for TensorFlow, laid out.
        work: gets the one for LiteRT.
        report: is told which engine it is, and why.
        options: may ask for one of them.
        limits: the memory and the time of the conversion.

    Returns:
        The engine, and the folder of its artifact.

    Raises:
        StagingError: LiteRT was asked for, and the model does not run on it; or nobody knows, for
            the conversion went beyond a limit of this machine.
    """
    if options.engine == TENSORFLOW:
        return TENSORFLOW, folder
    target = work / LITERT
    answer = _converted(model, folder, target, work, report, limits)
    if fails := answer.get("fails"):
        if options.engine == LITERT:
            raise StagingError(
                f"--engine litert: {name} gives no vectors, with TensorFlow either ({fails})."
            )
        return TENSORFLOW, folder  # The probe says what is wrong with it.
    if refused := answer.get("refused"):
        if options.engine == LITERT:
            raise StagingError(
                f"--engine litert: {name} cannot run on LiteRT: {refused}. Leave --engine out, and "
                f"it runs on TensorFlow."
            )
        report.say(f"Engine of {name}: TensorFlow. LiteRT is lighter, but {refused}.")
        return TENSORFLOW, folder
    report.say(
        f"Engine of {name}: LiteRT. Its vectors are TensorFlow's: on {answer['texts']} texts no "
        f"component differs by more than {answer['difference']:.1e} of a vector's length."
    )
    return LITERT, target


def _converted(
    model: Model, folder: Path, target: Path, work: Path, report: Report, limits: Limits
) -> dict[str, Any]:
    if model.kind == "text":
        return {"refused": "the model takes strings, and LiteRT has no ops for them"}
    for parameter in ("tokenizer", "sentencepiece"):
        if file := model.encoder.get(parameter):
            copy = target / MODEL / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / MODEL / file, copy)
    request = {"folder": str(folder), "target": str(target)}
    try:
        with report.step("Converting to LiteRT"):
            answer = process.run("convert_litert", request, work, limits)
        if "refused" in answer:
            return answer
        with report.step("Comparing LiteRT's vectors with TensorFlow's"):
            return process.run("compare_litert", request, work, limits)
    except CrashedError:
        return {"refused": "converting or running it crashes"}
    except StoppedError as error:
        # Another machine would choose LiteRT, and build another artifact.
        raise StagingError(
            f"{error} Or leave the conversion out with --engine tensorflow.", error.details
        ) from None
