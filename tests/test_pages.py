"""The pages are run, not believed: see pages.py."""

from __future__ import annotations

import pytest
from pages import PAGES, ROOT, Block, Finished, is_listed, not_run, parse, runs

RUNS = [(page, run) for page in PAGES for run in range(len(runs(page)))]


@pytest.mark.parametrize(("page", "run"), RUNS)
def test_who_follows_a_page_gets_to_its_end(page: str, run: int, finished: Finished) -> None:
    finished(page, run)


@pytest.mark.parametrize("page", PAGES)
def test_a_block_before_the_start_is_listed(page: str) -> None:
    followed = [block for _, blocks in runs(page) for block in blocks]
    for part in parse(page):
        if isinstance(part, Block) and part not in followed and part.language != "text":
            assert is_listed(part), part.error("is not run: where does it start?")


def test_what_is_not_run_is_there_once() -> None:
    assert [*not_run()] == sorted(not_run())
    for page, entries in not_run().items():
        texts = [part.text for part in parse(page) if isinstance(part, Block)]
        for entry in entries:
            found = [text for text in texts if text.startswith(entry["block"])]
            assert len(found) == 1, f"{page}: {entry['block']}"
            assert entry["why"]


def test_the_readme_has_at_most_250_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 250
