"""The pages are run, not believed: see pages.py."""

from __future__ import annotations

import pytest
from pages import PAGES, ROOT, Block, Finished, is_run, not_run, parse


@pytest.mark.parametrize("page", [page for page in PAGES if is_run(page)])
def test_who_follows_a_page_gets_to_its_end(page: str, finished: Finished) -> None:
    finished(page)


@pytest.mark.parametrize("page", [page for page in PAGES if not is_run(page)])
def test_a_page_that_starts_nowhere_has_only_listed_blocks(page: str) -> None:
    beginnings = [entry["block"] for entry in not_run().get(page, [])]
    for part in parse(page):
        if isinstance(part, Block) and part.language != "text":
            listed = any(part.text.startswith(beginning) for beginning in beginnings)
            assert listed, part.error("is not run: its page does not say where it starts")


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
