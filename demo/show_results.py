"""Print what `dbt build` found: each question of the demo with its best answers."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table

DATABASE = Path(__file__).parent / "demo.duckdb"
ANSWERS = 3

RESULTS = """
  select question, lemma, gloss, similarity
  from search_results
  where rank <= $answers
  order by question_id, rank
"""

Row = tuple[str, str, str, float]


def read_results(database: Path) -> list[Row]:
    """Return (question, lemma, gloss, similarity), best answer first within each question."""
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(RESULTS, {"answers": ANSWERS}).fetchall()


def as_table(rows: list[Row]) -> Table:
    """Return the answers as a table with one section a question."""
    table = Table(box=box.ROUNDED, title="A dictionary that is searched by meaning", expand=False)
    table.add_column("question", style="bold", max_width=30)
    table.add_column("word", style="green", no_wrap=True)
    table.add_column("definition", max_width=60)
    table.add_column("similarity", justify="right", style="cyan")
    for question, answers in groupby(rows, key=lambda row: row[0]):
        for place, (_, lemma, gloss, similarity) in enumerate(answers):
            table.add_row("" if place else question, lemma, gloss, f"{similarity:.2f}")
        table.add_section()
    return table


def main() -> None:
    """Print the table."""
    Console().print(as_table(read_results(DATABASE)))


if __name__ == "__main__":
    main()
