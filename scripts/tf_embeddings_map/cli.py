"""The command line of map_embeddings.py."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from tf_embeddings_staging.command_line import (
    Parser,
    UsageError,
    add_dbt_flags,
    dbt_options,
    one_of,
    run,
    whole_number,
)
from tf_embeddings_staging.progress import Report

from tf_embeddings_map.page import write_page
from tf_embeddings_map.picture import write_picture
from tf_embeddings_map.points import COLORS, points
from tf_embeddings_map.projection import FEWEST_ROWS, METHODS, project, require
from tf_embeddings_map.reading import Question, read
from tf_embeddings_map.tables import MOST_LETTERS, as_table, write_parquet, write_to_warehouse

_MOST_ROWS = 100_000
_USUAL = Question("")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw a map; return 0, 1 for an error, 2 for a wrong command line, 130 if interrupted."""
    return run(
        "map_embeddings",
        lambda: _run(_parser().parse_args(arguments), Report()),
        interrupted="Run it again.",
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="map_embeddings",
        description="Draw a map of the embeddings of a dbt model, where texts of similar meaning "
        "lie together. It reads them through dbt's own connection, and writes what you name: an "
        "HTML page, an SVG, a Parquet file, a table. The same rows give the same files.",
    )
    parser.add_argument(
        "--model", metavar="MODEL", required=True, help="the dbt model with the vectors"
    )
    parser.add_argument(
        "--label",
        metavar="COLUMN",
        action="append",
        default=[],
        help="a column to color by; may be repeated: the page switches between them",
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the page, as map.html")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="write a picture, as map.svg")
    parser.add_argument(
        "--parquet", metavar="FILE", type=Path, help="write key, x, y, label and text, as a file"
    )
    parser.add_argument(
        "--table", metavar="NAME", type=_table, help="write the same into the target's schema"
    )
    parser.add_argument("--title", help="the map's title; default: the model and the label")
    parser.add_argument(
        "--highlight",
        metavar="VALUE",
        action="append",
        default=[],
        help=f"a value of the first label to color, up to {COLORS}; default: the most frequent",
    )
    parser.add_argument(
        "--method",
        type=one_of(*METHODS),
        default="pca",
        help="how to project: pca (default), umap or pacmap, which need a package of their name",
    )
    rows = parser.add_argument_group("the rows")
    rows.add_argument(
        "--key", metavar="COLUMN", help="the unique column; default: id, or the first one"
    )
    rows.add_argument(
        "--text", metavar="COLUMN", help="the text to show; default: the one with the longest texts"
    )
    rows.add_argument(
        "--embedding",
        metavar="COLUMN",
        default=_USUAL.embedding,
        help="the column of the vectors (%(default)s)",
    )
    rows.add_argument(
        "--version-column",
        metavar="COLUMN",
        default=_USUAL.version,
        help="the column of their version (%(default)s): only the pinned one is drawn",
    )
    rows.add_argument(
        "--embedding-model", metavar="NAME", help="the pinned model; default: the default model"
    )
    rows.add_argument(
        "--limit",
        metavar="N",
        type=_limit,
        default=_USUAL.limit,
        help="the most rows (%(default)s), a sample by the key's hash: always the same",
    )
    add_dbt_flags(parser, "to read from")
    return parser


def _table(text: str) -> str:
    if re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,99}", text):
        return text
    raise argparse.ArgumentTypeError(
        f"'{text}' is not a table's name: letters, digits and underscores, in the target's schema"
    )


def _limit(text: str) -> int:
    number = whole_number(text)
    if FEWEST_ROWS <= number <= _MOST_ROWS:
        return number
    raise argparse.ArgumentTypeError(
        f"'{text}' is not a whole number from {FEWEST_ROWS} to {_MOST_ROWS}"
    )


def _run(given: argparse.Namespace, report: Report) -> None:
    _require_fitting(given)
    dbt = dbt_options(given)
    question = Question(
        given.model,
        labels=tuple(dict.fromkeys(given.label)),
        key=given.key,
        text=given.text,
        embedding=given.embedding,
        version=given.version_column,
        embedding_model=given.embedding_model,
        limit=given.limit,
        table=given.table,
    )
    report.say(f"Reading {given.model} through dbt ...")
    rows = read(dbt, question)
    key, text, labels = rows.columns
    report.say(
        f"{len(rows.keys):,} vectors of {rows.vectors.shape[1]} dimensions; key {key}, text {text}."
    )
    for note in rows.notes:
        report.say(note)
    report.say(f"Projecting them with {given.method} ...")
    places = project(rows.vectors, given.method)
    title = given.title or f"{given.model}{f' by {labels[0]}' if labels else ''}"
    drawn = points(rows, places, title, tuple(dict.fromkeys(given.highlight)))
    if given.out:
        write_page(drawn, given.out)
        report.say(f"Wrote {given.out}")
    if given.svg:
        write_picture(drawn, given.svg)
        report.say(f"Wrote {given.svg}")
    table = as_table(rows, places)
    if given.parquet:
        write_parquet(table, given.parquet)
        report.say(f"Wrote {given.parquet}")
    if given.table and rows.connection:
        cut = write_to_warehouse(table, given.table, rows.connection)
        report.say(f"Wrote the table {given.table}")
        if cut:
            report.say(
                f"{cut:,} values of it are cut after {MOST_LETTERS:,} characters, because a seed "
                f"of dbt takes no longer ones; --parquet has them whole."
            )


def _require_fitting(given: argparse.Namespace) -> None:
    """Refuse what would fail after the rows are read and projected.

    Raises:
        StagingError: naming the flags.
    """
    if not (given.out or given.svg or given.parquet or given.table):
        raise UsageError(
            "there is nothing to write. Name a file with --out, --svg or --parquet, or a table "
            "with --table."
        )
    if given.highlight and not given.label:
        raise UsageError("--highlight names values of a label. Name its column with --label.")
    if len(set(given.highlight)) > COLORS:
        raise UsageError(f"--highlight is given more than {COLORS} values. Leave some out.")
    for path in filter(None, (given.out, given.svg, given.parquet)):
        if not path.absolute().parent.is_dir():
            raise UsageError(f"there is no folder '{path.parent}' for {path.name}. Make it first.")
        if path.is_dir():
            raise UsageError(f"'{path}' is a folder. Name a file in it.")
        if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
            raise UsageError(f"'{path}' cannot be written. Name a file where you may write.")
    require(given.method)
