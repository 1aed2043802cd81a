"""Put an artifact into a stage folder; `snowflake_stage` puts it on a Snowflake stage."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tf_embeddings_staging import cache
from tf_embeddings_staging.building.artifact import Artifact, is_whole
from tf_embeddings_staging.progress import Report


@dataclass(frozen=True)
class Outcome:
    """The result of putting an artifact.

    Attributes:
        place: where it is or would be.
        was_there: whether it was there already.
        size: the size in bytes of the file that was there before; None if there was none.
        broken: the functions that run the truncated file that was there.
    """

    place: str
    was_there: bool
    size: int | None = None
    broken: tuple[str, ...] = ()


def stage(artifact: Artifact, folder: Path, report: Report, *, dry_run: bool) -> Outcome:
    """Put an artifact into a stage folder unless it is there; safe to repeat."""
    was_there = is_staged(artifact, folder)
    if not was_there and not dry_run:
        put(artifact, folder, report)
    return Outcome(str(folder / artifact.place), was_there)


def is_staged(artifact: Artifact, stage: Path) -> bool:
    """Tell whether a stage folder holds an artifact of this build, ours or a colleague's."""
    return is_whole(stage / artifact.place, artifact.build)


def put(artifact: Artifact, stage: Path, report: Report) -> Path:
    """Copy an artifact to its place on a stage, and return the path.

    The file appears by one rename, so it is complete. A file that is already there is replaced: its
    name is a digest, so it can only be a damaged copy.
    """
    place = stage / artifact.place
    place.parent.mkdir(parents=True, exist_ok=True)
    cache.sweep(place.parent.glob(".*.part"))
    handle, name = tempfile.mkstemp(prefix=f".{place.stem}.", suffix=".part", dir=place.parent)
    private = Path(name)
    try:
        with (
            report.bar("Copying to the stage") as bar,
            os.fdopen(handle, "wb") as copy,
            artifact.path.open("rb") as original,
        ):
            bar.expect(artifact.path.stat().st_size)
            while chunk := original.read(cache.CHUNK):
                copy.write(chunk)
                bar.advance(len(chunk))
        private.chmod(0o644)  # mkstemp's 0600 would lock out other users of a shared stage
        os.replace(private, place)
    finally:
        private.unlink(missing_ok=True)
    return place
