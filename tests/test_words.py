"""The words of the project: American spelling, and plain phrases instead of riddles."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Texts of others, data, and generated lists. `.sqlfluff` has options in British spelling.
NOT_OURS = (
    ".sqlfluff",
    "LICENSE",
    "bench/descriptions.csv",
    "demo/seeds/LICENSE-WordNet.txt",
    "demo/seeds/glosses.csv",
    "docs/recipes/tickets.csv",
    "requirements-anaconda.lock",
    "requirements-dev.lock",
    "requirements-light.lock",
    "requirements.lock",
    "tests/fixtures/",
    "tests/published/",
    "tests/test_words.py",
)

BRITISH = r"""(?x) (?<![a-z]) (
      analys(ed?|ing)\b | (?<!verify_)artefact | behaviour | cancell(ed(?!\(|Error|\.")|ing)
      | centre | colour
      | defence | favour | fulfil(s|ment)?\b | grey\b | honour | judgement | labell(?!edby)
      | learnt\b | licence
      | modell(ed|ing) | neighbour | practis | programmes?\b | signall | travell | whilst
      | (capital | categor | general | initial | material | maxim | memor | minim | normal | optim
      | organ | parametr | parallel | priorit | quant | random | real | recogn | serial | special
      | standard | summar | synchron | token | util | vector | visual)is(e|ing|ation)
)"""

RIDDLES = {
    r"\balone\b": "only",
    r"\banew\b": "again",
    r"(?<!['\"/])(?<!role )(?<!from )(?<!exists )\bnobody\b": "no one, or the passive",
    r"\bwhat is no\b": "other types, other files, …",
    r"(?<!there )\bis no (?!longer\b)": "is not a …",
    r"(?<!there )\bis another\b": "differs from …, a different …",
    r"\bhas a say in\b": "decides, affects",
    r"\bdid not come\b": "could not be downloaded, is missing",
    r"\bfor ever\b": "always, forever",
    r"\bis none of\b": "is not one of",
}


def own_files() -> list[str]:
    """Return the tracked files that we write by hand."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    files = listed.stdout.splitlines()
    return [file for file in files if not file.startswith(NOT_OURS)]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """The texts by file, without line breaks and the marks of comments at the start of a line."""
    read = {file: (ROOT / file).read_text(encoding="utf-8") for file in own_files()}
    # What a released version said stays.
    read["CHANGELOG.md"] = "".join(read["CHANGELOG.md"].split("\n## ")[:2])
    return {file: re.sub(r"\s*\n[\s#|]*", " ", text) for file, text in read.items()}


def found(pattern: str, texts: dict[str, str]) -> list[str]:
    return [
        f"{file}: … {text[max(0, match.start() - 40) : match.end() + 40]} …"
        for file, text in texts.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]


def test_the_spelling_is_american(texts: dict[str, str]) -> None:
    assert not found(BRITISH, texts)


@pytest.mark.parametrize("riddle", RIDDLES)
def test_a_plain_phrase_is_used(riddle: str, texts: dict[str, str]) -> None:
    assert not found(riddle, texts), f"say: {RIDDLES[riddle]}"
