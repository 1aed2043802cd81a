"""Print what `dbt build` found: each question of the demo with its best answers."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import duckdb
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

DATABASE = Path(__file__).parent / "demo.duckdb"
ANSWERS = 3
TITLE = "A dictionary, searched by meaning"
WIDTH = 100

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
    terminal = Console()
    width = min(terminal.width, WIDTH) if terminal.is_terminal else WIDTH
    Console(width=width).print(as_panel(read_results(DATABASE)))


if __name__ == "__main__":
    main()
