"""An artefact that was made before: what it holds is looked at before it is staged as it is."""

from __future__ import annotations

from pathlib import Path

import tf_embeddings_udf
from tf_embeddings_udf import Manifest, TfEmbeddingsError, read_manifest
from tf_embeddings_udf.engines import LITERT, TENSORFLOW
from tf_embeddings_udf.engines.litert import MODEL_FILE

from tf_embeddings_staging import cache, process
from tf_embeddings_staging.building.artefact import Artefact, build_in_name, read_artefact
from tf_embeddings_staging.building.assemble import RUNTIME, python_files, runtime_folder
from tf_embeddings_staging.building.model import packages_of, version_of
from tf_embeddings_staging.building.prepare import MODEL, PREPROCESSOR
from tf_embeddings_staging.catalogue import KINDS
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Built

_LIBRARIES = ("tensorflow_text",)


def check_built(
    source: Built, folder: Path, report: Report, options: Options, limits: Limits
) -> Artefact:
    """Return an artefact whose content is one of ours.

    Args:
        source: the artefact.
        folder: the cache.
        report: is warned of Python code that is not this release's.
        options: `allow_ops` is what the user lets its graphs do.
        limits: the memory and the time of the check.

    Raises:
        StagingError: it holds what no artefact does, or a graph that reaches out.
    """
    manifest = require_fitting(source)
    with cache.work_folder(folder) as work, report.step(f"Checking {source.path.name}"):
        try:
            unpacked = tf_embeddings_udf.unpack(
                source.path, work, model=source.model, build=build_in_name(source.path)
            )
        except TfEmbeddingsError as error:
            raise _refused(source, str(error).removeprefix("tf_embeddings: ")) from None
        if manifest.engine == LITERT:
            process.run("check_litert", {"folder": str(unpacked)}, work, limits)
        else:
            places = [MODEL, *([PREPROCESSOR] if (unpacked / PREPROCESSOR).exists() else [])]
            request = {
                "folders": [str(unpacked / place) for place in places],
                "allow_ops": list(options.allow_ops),
            }
            process.run("check", request, work, limits)
    if _runtime_of(manifest) not in ({}, _installed_runtime()):
        report.say(
            f"Warning: {source.path.name} brings Python code that is not this release's; it runs "
            f"where the model runs. Stage it only if you trust whoever made it."
        )
    return read_artefact(source.path)


def require_fitting(source: Built) -> Manifest:
    """Return the manifest of an artefact whose files and packages are those of its kind.

    Raises:
        StagingError: they are not.
    """
    manifest = read_manifest(source.path)
    for path in manifest.files:
        top, _, rest = path.partition("/")
        if not (rest and top in (RUNTIME, MODEL, PREPROCESSOR)):
            raise _refused(source, f"it holds '{path}', which no artefact does")
    libraries = manifest.encoder.get("libraries", [])
    if manifest.kind not in KINDS or not isinstance(libraries, list):
        raise _refused(source, f"its kind '{manifest.kind}' or its libraries are unknown")
    if manifest.engine not in (LITERT, TENSORFLOW):
        raise _refused(source, f"its engine '{manifest.engine}' is unknown")
    if manifest.engine == LITERT and manifest.kind == "text":
        raise _refused(source, "it is for LiteRT, which runs no model that takes strings")
    if manifest.engine == LITERT and f"{MODEL}/{MODEL_FILE}" not in manifest.files:
        raise _refused(source, f"it is for LiteRT and holds no '{MODEL}/{MODEL_FILE}'")
    if _version_of(manifest) != manifest.version:
        raise _refused(source, f"its version {manifest.version} is not that of its meaning")
    if unknown := [one for one in libraries if one not in _LIBRARIES]:
        raise _refused(source, f"its library {unknown[0]!r} is unknown")
    names = sorted(package.partition("==")[0] for package in manifest.packages)
    wanted = list(packages_of(manifest.kind, manifest.engine, libraries))
    if names != wanted:
        raise _refused(
            source,
            f"it asks for the packages {', '.join(names)}, where its kind needs "
            f"{', '.join(wanted)}",
        )
    return manifest


def _version_of(manifest: Manifest) -> str | None:
    try:
        return version_of(manifest.meaning)
    except (ValueError, RecursionError):  # what no source has: half a surrogate, a thousand lists
        return None


def _runtime_of(manifest: Manifest) -> dict[str, str]:
    prefix = f"{RUNTIME}/"
    return {
        path.removeprefix(prefix): entry.sha256
        for path, entry in manifest.files.items()
        if path.startswith(prefix)
    }


def _installed_runtime() -> dict[str, str]:
    files = python_files(runtime_folder())
    return {name: cache.sha256_of(path) for name, path in files.items()}


def _refused(source: Built, why: str) -> StagingError:
    return StagingError(
        f"SOURCE '{source.path.name}' cannot be staged: {why.rstrip('.')}. Stage the model again "
        f"from where it comes from."
    )
