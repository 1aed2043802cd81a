"""Print what `dbt build` found: each question of the demo with its best answers.

    python show_results.py --target duckdb

dbt itself asks the question, so that it works on every target.
"""

from __future__ import annotations

import argparse
import sys
from itertools import groupby

from dbt.cli.main import dbtRunner
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

TITLE = "A dictionary, searched by meaning"
WIDTH = 100

RESULTS = """
  select question, lemma, gloss, similarity
  from {{ ref('search_results') }}
  where rank <= 3
  order by question_id, rank
"""

Row = tuple[str, str, str, float]


def read_results(target: str) -> list[Row]:
    """Return (question, lemma, gloss, similarity), best answer first within each question."""
    flags = ["--quiet", "--log-level", "none", "show", "--target", target, "--limit", "-1"]
    outcome = dbtRunner().invoke([*flags, "--inline", RESULTS])
    if not outcome.success:
        sys.exit(f"dbt could not read search_results: {outcome.exception or outcome.result}")
    rows = outcome.result.results[0].agate_table.rows  # pyright: ignore
    return [(row[0], row[1], row[2], float(row[3])) for row in rows]


def as_panel(rows: list[Row]) -> Panel:
    """Return the answers as a panel: under each question a table of words and definitions."""
    longest_word = max((len(lemma) for _, lemma, *_ in rows), default=0)
    parts: list[RenderableType] = []
    for question, answers in groupby(rows, key=lambda row: row[0]):
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(style="green", min_width=longest_word, no_wrap=True)
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for _, lemma, gloss, similarity in answers:
            table.add_row(lemma, f"{similarity:.2f}", gloss)
        parts += [Text(question, style="bold"), table, ""]
    return Panel(Group(*parts[:-1]), title=TITLE, padding=(1, 2))


def main() -> None:
    """Print the panel, no wider than it reads well."""
    parser = argparse.ArgumentParser(description="Print the demo's search results.")
    parser.add_argument("--target", default="duckdb", help="the dbt target to read them from")
    terminal = Console()
    width = min(terminal.width, WIDTH) if terminal.is_terminal else WIDTH
    Console(width=width).print(as_panel(read_results(parser.parse_args().target)))


if __name__ == "__main__":
    main()
