"""The texts that are embedded: short ones, and ones of every length."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

GLOSSES = Path(__file__).parents[1] / "demo" / "seeds" / "glosses.csv"
DESCRIPTIONS = Path(__file__).with_name("descriptions.csv")

# They make four texts of a gloss, no two of them equal.
FORMS = ("{gloss}", "{lemma}: {gloss}", "What is {lemma}? {gloss}", "{lexname} {lemma}: {gloss}")


def corpora(count: int) -> Mapping[str, Sequence[str]]:
    """Return so many definitions of WordNet, and descriptions of Debian packages, at random."""
    chance = random.Random(7)
    return {
        "glosses": chance.sample([row["gloss"] for row in _rows(GLOSSES)], count),
        "descriptions": chance.sample(_descriptions(), count),
    }


def mixed(count: int) -> Sequence[str]:
    """Return so many different texts, every fifth of them a description; at most 10,000."""
    chance = random.Random(7)
    glosses = [form.format(**row) for row in _rows(GLOSSES) for form in FORMS]
    descriptions = chance.sample(_descriptions(), count // 5)
    texts = descriptions + chance.sample(glosses, count - len(descriptions))
    chance.shuffle(texts)
    return texts


def _descriptions() -> list[str]:
    return [row["description"] for row in _rows(DESCRIPTIONS)]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
