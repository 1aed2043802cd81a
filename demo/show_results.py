"""Print the results of `dbt build`: answers to questions, near-duplicates, predicted categories.

    python show_results.py --target duckdb

dbt itself runs the queries, so that this works on every target.
"""

from __future__ import annotations

import argparse
import sys
from itertools import groupby
from typing import Any

from dbt.cli.main import dbtRunner
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

WIDTH = 100
MOST_PAIRS = 5

SEARCH_RESULTS = """
  select question, lemma, gloss, similarity
  from {{ ref('search_results') }}
  where rank <= 3
  order by question_id, rank
"""

NEAR_DUPLICATES = """
  select lemma, other_lemma, gloss, other_gloss, similarity
  from {{ ref('near_duplicate_glosses') }}
  order by similarity desc
"""

ACCURACY = """
  select definitions, categories, accuracy, accuracy_of_the_most_frequent
  from {{ ref('category_accuracy') }}
"""

Row = tuple[Any, ...]


def read(query: str, target: str) -> list[Row]:
    """Return the rows of a query that dbt renders and runs."""
    flags = ["--quiet", "--log-level", "none", "show", "--target", target, "--limit", "-1"]
    outcome = dbtRunner().invoke([*flags, "--inline", query])
    if not outcome.success:
        sys.exit(f"dbt could not read its results: {outcome.exception or outcome.result}")
    return [tuple(row) for row in outcome.result.results[0].agate_table.rows]  # pyright: ignore


def as_panel(rows: list[Row]) -> Panel:
    """Return (question, lemma, gloss, similarity) as a panel: each question with its answers."""
    longest_word = max((len(row[1]) for row in rows), default=0)
    parts: list[RenderableType] = []
    for question, answers in groupby(rows, key=lambda row: row[0]):
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(style="green", min_width=longest_word, no_wrap=True)
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for _, lemma, gloss, similarity in answers:
            table.add_row(lemma, f"{similarity:.2f}", gloss)
        parts += [Text(question, style="bold"), table, ""]
    return Panel(Group(*parts[:-1]), title="A dictionary, searched by meaning", padding=(1, 2))


def as_pairs(rows: list[Row]) -> Panel:
    """Return (lemma, other_lemma, gloss, other_gloss, similarity) as a panel, two lines a pair."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(style="green", no_wrap=True)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for lemma, other_lemma, gloss, other_gloss, similarity in rows:
        table.add_row(lemma, f"{similarity:.2f}", gloss)
        table.add_row(other_lemma, "", other_gloss)
    return Panel(table, title="Definitions that say nearly the same", padding=(1, 2))


def as_sentence(row: Row) -> str:
    """Return what category_accuracy measured."""
    definitions, categories, accuracy, of_the_most_frequent = row
    return (
        f"The ten nearest neighbors name the right one of {categories} categories for "
        f"{float(accuracy):.0%} of {definitions:,} definitions; guessing would for "
        f"{float(of_the_most_frequent):.0%}."
    )


def main() -> None:
    """Print the panels, at most 100 characters wide."""
    parser = argparse.ArgumentParser(description="Print the demo's results.")
    parser.add_argument("--target", default="duckdb", help="the dbt target to read them from")
    target = parser.parse_args().target
    terminal = Console()
    console = Console(width=min(terminal.width, WIDTH) if terminal.is_terminal else WIDTH)
    console.print(as_panel(read(SEARCH_RESULTS, target)))
    console.print(as_pairs(read(NEAR_DUPLICATES, target)[:MOST_PAIRS]))
    console.print(as_sentence(read(ACCURACY, target)[0]), highlight=False)


if __name__ == "__main__":
    main()
