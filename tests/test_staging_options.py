"""What a user says of a model, and what of it is a part of the version."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from tf_embeddings_staging import catalogue
from tf_embeddings_staging.inspection import kinds
from tf_embeddings_staging.model import Model, packages_of, version_of
from tf_embeddings_staging.options import Options
from tf_embeddings_udf.encoders import KINDS

MACROS = Path(__file__).parents[1] / "macros"

TOKENS = {
    "signature": "serving_default",
    "input_ids": "input_ids",
    "attention_mask": "attention_mask",
    "token_type_ids": None,
    "output": "embedding",
    "tokenizer": "tokenizer.json",
    "max_tokens": 16,
}
MODEL = Model(
    kind="tokens",
    encoder=TOKENS,
    model_dimensions=8,
    dimensions=8,
    normalize=True,
    max_tokens=16,
    prefix="",
    weights={"saved_model.pb": "00"},
    source={},
    license=None,
)
DEFAULTS = {"tags": ["serve"], "libraries": [], "pooling": None, "preprocessor": None}


def test_what_is_said_later_overrides_and_nothing_else_does() -> None:
    entry = Options(kind="text", normalize=True, prefix="query: ", allow_ops=("ReadFile",))
    said = Options(normalize=False, prefix="", max_tokens=7)
    assert entry.overridden_by(said) == Options(
        kind="text", normalize=False, prefix="", max_tokens=7, allow_ops=("ReadFile",)
    )
    assert entry.overridden_by(Options()) == entry


def test_what_is_said_twice_is_nothing_new() -> None:
    entry = Options(normalize=True, prefix="query: ", allow_ops=("ReadFile",))
    assert entry.unlike(entry) == Options()
    said = Options(normalize=False, prefix="query: ", truncate_dim=64)
    assert entry.overridden_by(said).unlike(entry) == Options(normalize=False, truncate_dim=64)


def test_options_are_called_what_the_command_line_calls_them() -> None:
    assert Options().flags() == []
    every: dict[str, Any] = {field.name: ("x",) for field in fields(Options)}
    assert Options(**every).flags() == [
        "--kind",
        "--signature",
        "--output",
        "--pooling",
        "--normalize",
        "--max-tokens",
        "--truncate-dim",
        "--prefix",
        "--preprocessor",
        "--allow-op",
        "--static-rule",
        "--engine",
    ]


def test_the_version_is_the_digest_that_it_was_before_there_were_options() -> None:
    meaning = {
        "contract": 1,
        "kind": "tokens",
        "encoder": TOKENS,
        "normalize": True,
        "dimensions": 8,
        "weights": {"saved_model.pb": "00"},
    }
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"))
    expected = "v" + hashlib.sha256(text.encode()).hexdigest()[:12]
    assert MODEL.version == expected
    assert replace(MODEL, encoder={**TOKENS, **DEFAULTS}).version == expected


@pytest.mark.parametrize(
    "other",
    [
        {"prefix": "query: "},
        {"model_dimensions": 16},
        {"dimensions": 4},
        {"normalize": False},
        {"encoder": {**TOKENS, "max_tokens": 8}},
        {"encoder": {**TOKENS, "tags": []}},
        {"encoder": {**TOKENS, "libraries": ["tensorflow_text"]}},
        {"encoder": {**TOKENS, "pooling": "mean"}},
        {"encoder": {**TOKENS, "preprocessor": {"signature": "serving_default"}}},
    ],
    ids=str,
)
def test_whatever_changes_the_vectors_changes_the_version(other: dict[str, Any]) -> None:
    assert replace(MODEL, **other).version != MODEL.version


def test_where_a_model_comes_from_is_no_part_of_the_version() -> None:
    other = replace(MODEL, source={"uri": "elsewhere"}, license="MIT")
    assert other.version == MODEL.version


def test_packages_follow_from_the_kind_the_engine_and_the_libraries_of_the_graph() -> None:
    assert replace(MODEL, engine="litert").packages == ("ai-edge-litert", "numpy", "tokenizers")
    assert MODEL.packages == ("numpy", "tensorflow", "tokenizers")
    assert packages_of("sentencepiece", "litert") == ("ai-edge-litert", "numpy", "sentencepiece")
    assert packages_of("sentencepiece", "tensorflow") == ("numpy", "sentencepiece", "tensorflow")
    assert packages_of("text", "tensorflow") == ("numpy", "tensorflow")
    with_text = replace(MODEL, encoder={**TOKENS, "libraries": ["tensorflow_text"]})
    expected = ("numpy", "tensorflow", "tensorflow-text", "tokenizers")
    assert with_text.packages == expected


def test_staging_and_the_macros_know_the_kinds_of_the_runtime() -> None:
    assert kinds.KINDS.keys() == KINDS.keys() == {*catalogue.KINDS}
    macros = "".join(path.read_text(encoding="utf-8") for path in MACROS.rglob("*.sql"))
    [listed] = re.findall(r"'kind': pin.kind in (\[.*?\])", macros)
    assert {*ast.literal_eval(listed)} == KINDS.keys()
    counting = {name for name, kind in KINDS.items() if kind.counts_tokens}
    scoring = {name for name, kind in KINDS.items() if kind.gives_scores}
    named = {*re.findall(r"pin\.kind [!=]= '(\w+)'", macros)}
    assert counting == KINDS.keys() - (named - scoring)
    assert scoring <= named


def test_no_package_is_named_for_an_engine_that_nobody_knows_yet() -> None:
    assert packages_of("tokens", None) == ("numpy", "tokenizers")


def test_what_runs_a_model_is_no_part_of_its_version() -> None:
    assert "engine" not in MODEL.meaning
    assert version_of(MODEL.meaning) == MODEL.version
