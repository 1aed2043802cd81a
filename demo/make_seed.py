"""Write seeds/glosses.csv: 2,000 definitions from WordNet 3.0, the same on every run.

The source is the database folder of WordNet 3.0, as Debian's package `wordnet-base` holds it:

    python demo/make_seed.py /usr/share/wordnet

Its files are described in https://wordnet.princeton.edu/documentation/wndb5wn.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SEED = Path(__file__).parent / "seeds" / "glosses.csv"
QUOTAS = {"noun": 1500, "verb": 500}

# https://wordnet.princeton.edu/documentation/lexnames5wn
LEXNAMES = {
    4: "noun.act",
    5: "noun.animal",
    6: "noun.artifact",
    7: "noun.attribute",
    8: "noun.body",
    9: "noun.cognition",
    10: "noun.communication",
    11: "noun.event",
    12: "noun.feeling",
    13: "noun.food",
    14: "noun.group",
    15: "noun.location",
    16: "noun.motive",
    17: "noun.object",
    18: "noun.person",
    19: "noun.phenomenon",
    20: "noun.plant",
    21: "noun.possession",
    22: "noun.process",
    23: "noun.quantity",
    24: "noun.relation",
    25: "noun.shape",
    26: "noun.state",
    27: "noun.substance",
    28: "noun.time",
    29: "verb.body",
    30: "verb.change",
    31: "verb.cognition",
    32: "verb.communication",
    33: "verb.competition",
    34: "verb.consumption",
    35: "verb.contact",
    36: "verb.creation",
    37: "verb.emotion",
    38: "verb.motion",
    39: "verb.perception",
    40: "verb.possession",
    41: "verb.social",
    42: "verb.stative",
    43: "verb.weather",
}

PARTS_OF_SPEECH = {"noun": ("n", 1), "verb": ("v", 2)}

# An example sentence after a definition, with its punctuation.
EXAMPLE = re.compile(r'\s*[;:,]?\s*"[^"]*("|$)(\s*[-–]+\s*[^;]*)?')  # noqa: RUF001
FEWEST_WORDS = 4

# Words that a demo should not show.
UNSUITABLE = re.compile(r"sexual|obscen|insulting")


@dataclass(frozen=True)
class Gloss:
    """One sense of WordNet: `uses` counts it in the texts that WordNet's authors tagged."""

    gloss_id: str
    lexname: str
    lemma: str
    gloss: str
    uses: int


def read_uses(folder: Path) -> Mapping[str, int]:
    """Return how often each sense was tagged, by sense key (cntlist.rev)."""
    uses: Counter[str] = Counter()
    for line in (folder / "cntlist.rev").read_text("utf-8").splitlines():
        sense_key, _, count = line.split()
        uses[sense_key] = int(count)
    return uses


def without_examples(text: str) -> str:
    """Return the definition without the quoted example sentences that follow it."""
    return " ".join(EXAMPLE.sub("", text).split()).strip(" ;:,")


def read_glosses(folder: Path, part_of_speech: str, uses: Mapping[str, int]) -> Iterator[Gloss]:
    """Yield every sense of one part of speech that is a common word with a real definition."""
    letter, number = PARTS_OF_SPEECH[part_of_speech]
    for line in (folder / f"data.{part_of_speech}").read_text("utf-8").splitlines():
        if line.startswith("  "):  # the license
            continue
        fields, _, text = line.partition(" | ")
        offset, lexfile, _, word_count, *rest = fields.split()
        lexname = LEXNAMES.get(int(lexfile))
        gloss = without_examples(text)
        if lexname is None or len(gloss.split()) < FEWEST_WORDS or UNSUITABLE.search(gloss):
            continue
        words = [
            (uses.get(f"{word.lower()}%{number}:{lexfile}:{int(lex_id, 16):02}::", 0), word)
            for word, lex_id in zip(*[iter(rest[: 2 * int(word_count, 16)])] * 2, strict=True)
        ]
        _, lemma = max(words, key=lambda pair: pair[0])
        if not lemma.islower():  # a name, an abbreviation or a number
            continue
        yield Gloss(
            gloss_id=f"{letter}{offset}",
            lexname=lexname,
            lemma=lemma.replace("_", " "),
            gloss=gloss,
            uses=sum(count for count, _ in words),
        )


def select(glosses: Iterable[Gloss], quota: int) -> list[Gloss]:
    """Return the most used senses, as evenly over the categories as these allow.

    No two have the same lemma or the same text.
    """
    categories: defaultdict[str, list[Gloss]] = defaultdict(list)
    lemmas, texts = set[str](), set[str]()
    for gloss in sorted(glosses, key=lambda each: (-each.uses, each.gloss_id)):
        if gloss.lemma in lemmas or gloss.gloss in texts:
            continue
        lemmas.add(gloss.lemma)
        texts.add(gloss.gloss)
        categories[gloss.lexname].append(gloss)
    ranked = [
        (rank, gloss.lexname, gloss)
        for members in categories.values()
        for rank, gloss in enumerate(members)
    ]
    return [gloss for *_, gloss in sorted(ranked, key=lambda each: each[:2])[:quota]]


def write_seed(glosses: Iterable[Gloss], path: Path) -> None:
    """Write the glosses as CSV, in the order of their ids."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["gloss_id", "lexname", "lemma", "gloss"])
        for each in sorted(glosses, key=lambda each: each.gloss_id):
            writer.writerow([each.gloss_id, each.lexname, each.lemma, each.gloss])


def main() -> None:
    """Write the seed from the WordNet folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("wordnet", type=Path, help="the folder of data.noun, data.verb, …")
    folder: Path = parser.parse_args().wordnet
    uses = read_uses(folder)
    glosses = [
        gloss
        for part_of_speech, quota in QUOTAS.items()
        for gloss in select(read_glosses(folder, part_of_speech, uses), quota)
    ]
    write_seed(glosses, SEED)


if __name__ == "__main__":
    main()
