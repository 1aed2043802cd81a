"""What is published of a model, and what a model that gives something else is told."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tf_embeddings_staging.building.known import check, check_dimensions, of_entry, texts
from tf_embeddings_staging.catalogue import (
    Known,
    KnownOrdering,
    KnownTokens,
    KnownVector,
    catalogue,
)
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.kinds import KINDS
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.progress import Report

PUBLISHED = json.loads((Path(__file__).parent / "published" / "use_lite_2.json").read_bytes())
WRONG = "The weights, the conversion or the options are not those of the published model."

COSINES = Known(source="a paper", tolerance=0.01, cosines=(("east", "north-east", 0.7071),))
VECTORS = Known(vectors=(KnownVector("east", (0.5, -0.25), 1e-5, "a model card"),))
ORDERING = Known(
    ordering=KnownOrdering(
        groups=(("east", "south-east"), ("west", "north-west")),
        closest=("north-west", "west"),
        source="a notebook",
    )
)


def at(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


GROUPED = {"east": at(0), "south-east": at(-30), "west": at(180), "north-west": at(155)}


def test_nothing_known_is_nothing_to_check() -> None:
    assert texts(None) == []
    check(None, {})


E5 = catalogue()["e5_small_query"]


def test_a_model_without_an_entry_or_with_nothing_known_is_not_checked() -> None:
    assert of_entry(None, Options(), Report()) is None
    assert of_entry(dataclasses.replace(E5, known=None), E5.options, Report()) is None


@pytest.mark.parametrize("said", [{}, {"kind": "tokens"}, {"allow_ops": ("ReadFile",)}])
def test_a_model_as_it_was_published_is_checked(
    said: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The entry's own options, and those that change no vector."""
    assert of_entry(E5, dataclasses.replace(E5.options, **said), Report()) is E5.known
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("said", "flag"),
    [
        ({"normalize": True}, "--normalize"),
        ({"truncate_dim": 64}, "--truncate-dim"),
        ({"prefix": "passage: "}, "--prefix"),
        ({"pooling": "cls"}, "--pooling"),
        ({"output": "states"}, "--output"),
        ({"signature": "other"}, "--signature"),
        ({"max_tokens": 8}, "--max-tokens"),
        ({"preprocessor": "https://tfhub.dev/us/other/1"}, "--preprocessor"),
    ],
)
def test_a_model_with_other_vectors_is_not_checked_and_the_user_is_told(
    said: dict[str, Any], flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert of_entry(E5, dataclasses.replace(E5.options, **said), Report()) is None
    assert capsys.readouterr().err == (
        "Not checked against what is published of e5_small_query: that is of the model without "
        f"{flag}.\n"
    )


def test_the_vectors_have_the_length_that_the_catalogue_says() -> None:
    check_dimensions(None, Options(), 8)
    check_dimensions(E5, E5.options, 384)
    check_dimensions(E5, dataclasses.replace(E5.options, truncate_dim=64), 64)
    with pytest.raises(StagingError) as error:
        check_dimensions(E5, dataclasses.replace(E5.options, max_tokens=8), 512)
    assert str(error.value) == (
        "the vectors of e5_small_query have 512 numbers, and its entry in the catalogue says "
        "dimensions: 384. The entry is wrong, or its source gives another model."
    )


def test_the_texts_are_those_of_every_check_but_the_tokens() -> None:
    known = Known(
        cosines=(("b", "a", 0.5),),
        vectors=(KnownVector("c", (1.0,), 0.1, "s"), KnownVector("a", (1.0,), 0.1, "s")),
        token_ids=(KnownTokens("not embedded", (1,), "s"),),
        ordering=KnownOrdering((("d", "a"), ("e", "f")), None, "s"),
    )
    assert texts(known) == ["a", "b", "c", "d", "e", "f"]


def test_a_published_cosine_is_met_whatever_the_lengths() -> None:
    check(COSINES, {"east": [2.0, 0.0], "north-east": [3.0, 3.0]})


def test_another_cosine_is_refused() -> None:
    with pytest.raises(StagingError) as error:
        check(COSINES, {"east": [1.0, 0.0], "north-east": [0.6, 0.8]})
    assert str(error.value) == (
        "the cosine of 'east' and 'north-east' comes out as 0.6000, and is published as 0.7071 "
        f"(a paper; tolerance 0.01). {WRONG}"
    )


def test_a_published_vector_is_met_within_its_tolerance() -> None:
    check(VECTORS, {"east": [0.500009, -0.250009, 123.0]})


@pytest.mark.parametrize(
    ("vector", "came"),
    [
        ([0.5, -0.25002, 1.0], "[0.5, -0.25002, ...]"),
        ([-0.5, 0.25], "[-0.5, 0.25, ...]"),
        ([0.5], "[0.5, ...]"),
        ([0.5, math.nan], "[0.5, nan, ...]"),
    ],
)
def test_another_vector_is_refused(vector: list[float], came: str) -> None:
    with pytest.raises(StagingError) as error:
        check(VECTORS, {"east": vector})
    assert str(error.value) == (
        f"the vector of 'east' starts with {came}, and is published as [0.5, -0.25, ...] (a model "
        f"card; tolerance 1e-05). {WRONG}"
    )


def test_texts_that_mean_something_alike_are_closer() -> None:
    check(ORDERING, GROUPED)


def test_a_model_that_knows_no_meaning_is_refused() -> None:
    vectors = {"east": at(0), "south-east": at(180), "west": at(0), "north-west": at(180)}
    with pytest.raises(StagingError) as error:
        check(ORDERING, vectors)
    assert str(error.value) == (
        "the mean cosine of texts that mean something alike, such as 'east' and 'south-east', "
        "comes out as -1.0000, not above the 0.0000 of those that do not (a notebook). "
        f"{WRONG}"
    )


def test_another_closest_pair_is_refused() -> None:
    with pytest.raises(StagingError) as error:
        check(ORDERING, {**GROUPED, "south-east": at(-10)})
    assert str(error.value) == (
        "the closest pair comes out as 'east' and 'south-east', and is published as 'north-west' "
        f"and 'west' (a notebook). {WRONG}"
    )


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model that knows a few words."""
    path = tmp_path_factory.mktemp("pieces") / "spm.model"
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["to be or not to be", "that is the question"] * 20),
        model_writer=model,
        model_type="char",
        vocab_size=20,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())
    return path


def ids_of(text: str, pieces: Path) -> list[int]:
    """By looking up each character, which is what this model's pieces are."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    return [processor.piece_to_id(character) for character in f"\u2581{text}"]


def own_ids(pieces: Path) -> Callable[[str], list[int] | None]:
    return partial(KINDS["sentencepiece"].token_ids, pieces)


def test_published_token_ids_are_met(pieces: Path) -> None:
    ids = ids_of("be", pieces)
    assert len(set(ids)) == 3
    check(Known(token_ids=(KnownTokens("be", tuple(ids), "a README"),)), {}, own_ids(pieces))


def test_other_token_ids_are_refused(pieces: Path) -> None:
    known = Known(token_ids=(KnownTokens("be", (1, 2), "a README"),))
    with pytest.raises(StagingError) as error:
        check(known, {}, own_ids(pieces))
    assert str(error.value) == (
        f"the token ids of 'be' come out as {ids_of('be', pieces)}, and are published as [1, 2] "
        f"(a README). {WRONG}"
    )


def test_token_ids_of_a_model_without_sentencepiece_are_not_checked(pieces: Path) -> None:
    known = Known(token_ids=(KnownTokens("be", (1, 2), "a README"),))
    check(known, {})
    check(known, {}, partial(KINDS["tokens"].token_ids, pieces))


def test_what_is_known_of_use_lite_is_what_is_published() -> None:
    known = catalogue()["use_lite"].known
    assert known is not None
    assert catalogue()["use_lite"].home == PUBLISHED["model"]
    published = {one["text"]: one for one in PUBLISHED["vectors"]}
    assert {one.text for one in known.vectors} == set(published)
    for one in known.vectors:
        assert one.first == tuple(published[one.text]["embedding"][:8])
        assert one.tolerance == PUBLISHED["tolerance"]["component"]
    assert [(one.text, list(one.ids)) for one in known.token_ids] == [
        (one["text"], one["ids"]) for one in PUBLISHED["token_ids"]
    ]


def test_the_published_vectors_pass_their_own_check() -> None:
    """And those of another order of texts do not."""
    known = catalogue()["use_lite"].known
    assert known is not None
    elephant, test = (one["embedding"] for one in PUBLISHED["vectors"])
    vectors_alone = Known(vectors=known.vectors)
    check(vectors_alone, {"Elephant": elephant, "Test": test})
    with pytest.raises(StagingError, match="the vector of 'Elephant' starts with"):
        check(vectors_alone, {"Elephant": test, "Test": elephant})
