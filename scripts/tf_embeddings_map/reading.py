"""Read the rows of a map through dbt's own connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.warehouse.dbt_process import DbtOptions, run_macro_for_answers

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Question:
    """What to read; None for a column: the usual one.

    Attributes:
        model: the dbt model, seed or snapshot.
        labels: the columns to color by.
        key: the column that names a row.
        text: the column to show.
        embedding: the column of the vectors.
        version: the column of the vectors' version.
        embedding_model: the pinned model; None: the default model.
        limit: the most rows to read; a sample, if there are more.
        table: a table that will be written, which must not be a table of someone else.
    """

    model: str
    labels: tuple[str, ...] = ()
    key: str | None = None
    text: str | None = None
    embedding: str = "embedding"
    version: str = "model_version"
    embedding_model: str | None = None
    limit: int = 10_000
    table: str | None = None


@dataclass(frozen=True)
class Connection:
    """The connection of dbt that the rows came through.

    Attributes:
        dbt: the flags that lead to the same connection again.
        place: what tells its database from others.
    """

    dbt: DbtOptions
    place: Mapping[str, str]


@dataclass(frozen=True)
class Rows:
    """The rows of a map, sorted by key.

    Attributes:
        keys: each row's name.
        texts: what each row says; None for NULL.
        labels: for each label column its values by row.
        vectors: float32 [rows, dimensions].
        columns: the names of the columns key and text, and of the labels.
        notes: what a user should know about the choice of rows, in sentences.
        connection: that of dbt; None if the rows do not come from a warehouse.
    """

    keys: list[str]
    texts: list[str | None]
    labels: list[list[str | None]]
    vectors: NDArray[np.float32]
    columns: tuple[str, str, tuple[str, ...]]
    notes: tuple[str, ...]
    connection: Connection | None = None


def read(dbt: DbtOptions, question: Question) -> Rows:
    """Have dbt read the rows.

    Raises:
        StagingError: dbt or the macro refuses, no vector is finite, or the rows changed meanwhile.
    """
    answers = run_macro_for_answers(
        dbt,
        "_map_rows",
        {
            "model": question.model,
            "key": question.key,
            "text": question.text,
            "embedding": question.embedding,
            "labels": list(question.labels),
            "version": question.version,
            "embedding_model": question.embedding_model,
            "limit": question.limit,
            "table": question.table,
        },
        log_file=False,  # it would hold every row
    )
    *pages, summary = answers
    lists = [row for page in pages for row in page["rows"]]
    del answers, pages
    different = len({row[0] for row in lists})
    if not different == len(lists) == summary["rows"]:
        raise StagingError(
            f"{question.model} changed while it was read: {summary['rows']:,} rows were counted, "
            f"and {len(lists):,} with {different:,} keys were read. Run this again when dbt no "
            f"longer builds it."
        )
    read_rows = [
        (_text(key) or "", _text(text), [_text(label) for label in labels], vector)
        for key, text, *labels, json in lists
        if (vector := _vector(json)) is not None
    ]
    asked = len(lists)
    del lists
    if not read_rows:
        raise StagingError(
            f"no vector of {question.model} has only finite numbers. Test the column with "
            f"tf_embeddings.embedding_is_finite."
        )
    read_rows.sort(key=lambda row: row[0])
    by_column = list(zip(*(row[2] for row in read_rows), strict=True))
    return Rows(
        keys=[row[0] for row in read_rows],
        texts=[row[1] for row in read_rows],
        labels=[list(column) for column in by_column],
        vectors=np.stack([row[3] for row in read_rows]),
        columns=(summary["key"], summary["text"], tuple(summary["labels"])),
        notes=tuple(_notes(summary, asked, len(read_rows))),
        connection=_connection(dbt, summary["connection"]),
    )


def _connection(dbt: DbtOptions, said: Mapping[str, Any]) -> Connection:
    """Return the connection that dbt says it used; dbt v2 may not know the folder."""
    found = replace(
        dbt,
        profiles_dir=said["profiles_dir"] or dbt.profiles_dir,
        profile=said["profile"],
        target=said["target"],
    )
    return Connection(found, said["place"])


def _text(cell: str | None) -> str | None:
    """Return a text without the mark that the macro puts before it."""
    return None if cell is None else cell[1:]


def _vector(json: str) -> NDArray[np.float32] | None:
    """Return the vector of a JSON list; None if a component is NULL, infinite or not a number."""
    try:
        vector = np.array(json.strip("[] \n").split(","), np.float32)
    except ValueError:
        return None
    return vector if np.isfinite(vector).all() else None


def _notes(summary: dict[str, int], asked: int, kept: int) -> Sequence[str]:
    vectors, pinned = summary["rows_with_vectors"], summary["rows_of_the_version"]
    notes = []
    if vectors > pinned:
        notes.append(
            f"{vectors - pinned:,} vectors of other versions than {summary['version']} are left "
            f"out."
        )
    if pinned > asked:
        notes.append(
            f"A sample of {asked:,} of {pinned:,} rows, always the same; --limit changes its size."
        )
    if asked > kept:
        notes.append(f"{asked - kept:,} vectors that are not finite are left out.")
    return notes
