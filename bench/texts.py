"""The texts to embed: short ones, and texts of every length."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

GLOSSES = Path(__file__).parents[1] / "demo" / "seeds" / "glosses.csv"
DESCRIPTIONS = Path(__file__).with_name("descriptions.csv")

# Four different texts of each gloss.
FORMS = ("{gloss}", "{lemma}: {gloss}", "What is {lemma}? {gloss}", "{lexname} {lemma}: {gloss}")


def corpora(count: int) -> Mapping[str, Sequence[str]]:
    """Return random samples of `count` WordNet definitions and `count` Debian descriptions."""
    chance = random.Random(7)
    return {
        "glosses": chance.sample([row["gloss"] for row in _rows(GLOSSES)], count),
        "descriptions": chance.sample(_descriptions(), count),
    }


def mixed(count: int) -> Sequence[str]:
    """Return `count` distinct texts at random, a fifth of them descriptions; at most 10,000."""
    chance = random.Random(7)
    glosses = [form.format(**row) for row in _rows(GLOSSES) for form in FORMS]
    descriptions = chance.sample(_descriptions(), count // 5)
    texts = descriptions + chance.sample(glosses, count - len(descriptions))
    chance.shuffle(texts)
    return texts


def numbered(count: int) -> Sequence[str]:
    """Return `count` distinct texts, however many: those of `mixed`, again with a number."""
    texts = mixed(min(count, 10_000))
    return [
        texts[place] if place < len(texts) else f"{texts[place % len(texts)]} {place}"
        for place in range(count)
    ]


def _descriptions() -> list[str]:
    return [row["description"] for row in _rows(DESCRIPTIONS)]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
