from __future__ import annotations

import csv
import runpy
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "demo"
SEED = DEMO / "seeds" / "glosses.csv"

# Lines of WordNet 3.0, their pointers to other senses left out.
NOUNS = """\
  1 This software and database is being provided to you, the LICENSEE, by
01503061 05 n 01 bird 0 000 | warm-blooded egg-laying vertebrates characterized by feathers
01621127 05 n 02 owl 0 bird_of_Minerva 0 000 | nocturnal bird of prey with hawk-like beak
02084071 05 n 02 dog 0 domestic_dog 0 000 | a member of the genus Canis; "the dog barked all night"
08524735 15 n 01 Paris 0 000 | the capital and largest city of France
"""
VERBS = """\
00028565 29 v 01 smile 0 000 | change one's facial expression by spreading the lips
00014742 29 v 01 sleep 0 000 | be asleep
"""
USES = """\
dog%1:05:00:: 1 42
owl%1:05:00:: 1 2
bird%1:05:00:: 1 25
smile%2:29:00:: 1 49
"""


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    (tmp_path / "data.noun").write_text(NOUNS, "utf-8")
    (tmp_path / "data.verb").write_text(VERBS, "utf-8")
    (tmp_path / "cntlist.rev").write_text(USES, "utf-8")
    return tmp_path


def test_the_seed_holds_the_most_used_common_words_with_a_definition(wordnet: Path) -> None:
    make_seed = runpy.run_path(str(DEMO / "make_seed.py"))
    uses = make_seed["read_uses"](wordnet)
    nouns = make_seed["select"](make_seed["read_glosses"](wordnet, "noun", uses), 2)
    verbs = make_seed["select"](make_seed["read_glosses"](wordnet, "verb", uses), 2)

    assert [(each.gloss_id, each.lexname, each.lemma, each.gloss) for each in nouns + verbs] == [
        ("n02084071", "noun.animal", "dog", "a member of the genus Canis"),
        (
            "n01503061",
            "noun.animal",
            "bird",
            "warm-blooded egg-laying vertebrates characterized by feathers",
        ),
        (
            "v00028565",
            "verb.body",
            "smile",
            "change one's facial expression by spreading the lips",
        ),
    ]


@pytest.mark.parametrize(
    ("text", "definition"),
    [
        ('a hole in the ground; "he fell into it"', "a hole in the ground"),
        ('make better; "a; b" - Someone; "c"', "make better"),
        ("a sound (as of a bell); a ring", "a sound (as of a bell); a ring"),
        ('be quiet; "hush, he said', "be quiet"),
    ],
)
def test_a_definition_comes_without_its_examples(text: str, definition: str) -> None:
    make_seed = runpy.run_path(str(DEMO / "make_seed.py"))
    assert make_seed["without_examples"](text) == definition


def test_the_committed_seed_has_2000_different_definitions_in_40_categories() -> None:
    with SEED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    ids = [row["gloss_id"] for row in rows]
    assert len(rows) == 2000
    assert ids == sorted(set(ids))
    assert len({row["gloss"] for row in rows}) == 2000
    assert len({row["lexname"] for row in rows}) == 40
    assert not [row for row in rows if '"' in row["gloss"]]


def test_the_license_of_the_text_lies_beside_it() -> None:
    text = (DEMO / "seeds" / "LICENSE-WordNet.txt").read_text("utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved." in text
    assert text.rstrip().endswith("Princeton University and LICENSEE agrees to preserve same.")
