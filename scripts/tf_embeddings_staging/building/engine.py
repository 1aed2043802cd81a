"""Which engine runs an artifact: LiteRT if it gives the same vectors as TensorFlow."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from tf_embeddings_udf.encoders import KINDS
from tf_embeddings_udf.engines import LITERT, TENSORFLOW
from tf_embeddings_udf.manifest import MODEL_FOLDER

from tf_embeddings_staging import process
from tf_embeddings_staging.errors import CrashedError, StagingError, StoppedError
from tf_embeddings_staging.model import Model
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report


def choose_engine(
    model: Model, folder: Path, work: Path, report: Report, options: Options, limits: Limits
) -> tuple[Model, Path]:
    """Convert a model to LiteRT, and keep that if it gives the same vectors.

    Args:
        model: the record of it.
        folder: its artifact for TensorFlow, laid out.
        work: gets the one for LiteRT.
        report: tells which engine it is, and why.
        options: may ask for one of them.
        limits: the memory and the time of the conversion.

    Returns:
        The model with its engine, and the folder of its artifact.

    Raises:
        StagingError: LiteRT was asked for, and the model does not run on it; or the conversion went
            beyond a limit of this machine, so that it is not known.
    """
    name = model.name
    on_tensorflow = replace(model, engine=TENSORFLOW), folder
    if options.engine == TENSORFLOW:
        return on_tensorflow
    target = work / LITERT
    answer = _converted(model, folder, target, work, report, limits)
    if fails := answer.get("fails"):
        if options.engine == LITERT:
            raise StagingError(
                f"--engine litert: {name} gives no vectors, with TensorFlow either ({fails})."
            )
        return on_tensorflow  # The probe says what is wrong with it.
    if refused := answer.get("refused"):
        if options.engine == LITERT:
            raise StagingError(
                f"--engine litert: {name} cannot run on LiteRT: {refused}. Leave --engine out, and "
                f"it runs on TensorFlow."
            )
        report.say(f"Engine of {name}: TensorFlow. LiteRT is lighter, but {refused}.")
        return on_tensorflow
    texts, difference = answer["texts"], f"{answer['difference']:.1e}"
    same = (
        f"Its scores are TensorFlow's: on {texts} pairs of texts none differs by more than "
        f"{difference} of the largest, or of 1."
        if KINDS[model.kind].gives_scores
        else f"Its vectors are TensorFlow's: on {texts} texts no component differs by more than "
        f"{difference} of a vector's length."
    )
    report.say(f"Engine of {name}: LiteRT. {same}")
    return replace(model, engine=LITERT), target


def _converted(
    model: Model, folder: Path, target: Path, work: Path, report: Report, limits: Limits
) -> dict[str, Any]:
    if LITERT not in KINDS[model.kind].engines:
        return {"refused": "the model takes strings, and LiteRT has no ops for them"}
    (target / MODEL_FOLDER).mkdir(parents=True)
    if model.tokenizer:
        copy = target / MODEL_FOLDER / model.tokenizer
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / MODEL_FOLDER / model.tokenizer, copy)
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
        # A larger machine would choose LiteRT, and so build a different artifact.
        raise StagingError(
            f"{error} Or leave the conversion out with --engine tensorflow.", error.details
        ) from None
