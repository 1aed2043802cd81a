"""`token_count` and `text_is_not_truncated` on both engines, against the tokenizers themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import makers
import numpy as np
import pytest
from duckdb_projects import Project, Run, make_project
from encoder_makers import Made, bert_tokens, save_use_lite_module
from makers import TOKENS_LIMIT, Artifact, write_artifact
from snowflake_projects import SnowflakeProject, make_snowflake_project
from tf_embeddings_udf import Embedder

LONG = "the quick brown fox jumps over the lazy dog " * 4
TEXTS = {
    1: "the quick brown fox",
    2: LONG,
    3: "",
    4: " \u00a0\t",
    5: None,
    6: "съешь же ещё 🦊 3.14",
    7: "the quick brown fox",
}
PREFIX = "query: "
PIECES_LIMIT = 30


def literal(text: str | None) -> str:
    return "cast(null as varchar)" if text is None else f"'{text}'"


FILES = {
    "models/texts.sql": " union all ".join(
        f"select {id_} as id, {literal(text)} as body" for id_, text in TEXTS.items()
    ),
    "models/short_texts.sql": "select * from {{ ref('texts') }} where id <> 2",
    "models/measured.sql": (
        "{{ config(materialized='ephemeral') }}"
        "select id, {{ tf_embeddings.token_count('body') }} as tokens from {{ ref('texts') }}"
    ),
    "models/long_texts.sql": (
        f"select id from {{{{ ref('measured') }}}} where tokens > {TOKENS_LIMIT}"
    ),
    "models/pieces.sql": (
        "select {{ tf_embeddings.token_count('body', model='pieces') }} as pieces"
        " from {{ ref('texts') }}"
    ),
    "models/counted.sql": """
        {{ config(materialized='incremental') }}
        select id, {{ tf_embeddings.token_count('body') }} as tokens from {{ ref('texts') }}
        {% if is_incremental() %}
          where id > (select max(id) from {{ this }})
        {% endif %}
    """,
    "models/counted_later.sql": """
        {{ config(materialized='incremental') }}
        {% if is_incremental() %}
          select id, {{ tf_embeddings.token_count('body', model='asked') }} as tokens
          from {{ ref('texts') }}
        {% else %}
          select id, 0 as tokens from {{ ref('texts') }}
        {% endif %}
    """,
}


@pytest.fixture(scope="module")
def use_lite(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return save_use_lite_module(tmp_path_factory.mktemp("use_lite") / "model")


@pytest.fixture(scope="module")
def artifacts(
    litert_tokens_model: tuple[Path, dict[str, Any]],
    use_lite: Made,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Artifact]:
    """Models of each kind: `tiny`; `asked`, which is tiny with a prefix; `pieces`; `strings`."""
    stage = tmp_path_factory.mktemp("stage")
    pieces = {
        "kind": "sentencepiece",
        "engine": "tensorflow",
        "dimensions": use_lite.dimensions,
        "max_tokens": PIECES_LIMIT,
        "encoder": {
            "tags": [],
            "signature": "default",
            "output": "default",
            "libraries": [],
            "values": "values",
            "indices": "indices",
            "dense_shape": "dense_shape",
            "sentencepiece": "assets/universal_encoder_8k_spm.model",
            "max_tokens": PIECES_LIMIT,
        },
        "packages": ["numpy", "sentencepiece", "tensorflow"],
    }
    converted = makers.convert(use_lite.path, pieces, stage / "converted")
    strings = stage / "strings" / "model"
    parameters = makers.save_text_model(strings)
    return [
        write_artifact(*litert_tokens_model, stage, with_runtime=True),
        write_artifact(
            *litert_tokens_model, stage, model="asked", with_runtime=True, prefix=PREFIX
        ),
        write_artifact(*converted, stage, model="pieces", with_runtime=True),
        write_artifact(strings, parameters, stage, model="strings", with_runtime=True),
    ]


@pytest.fixture(scope="module")
def counts(
    litert_tokens_model: tuple[Path, dict[str, Any]], use_lite: Made
) -> dict[str, Callable[[str], int]]:
    """The oracle: model -> what counts the tokens of a text that is not blank."""
    tokens = bert_tokens(litert_tokens_model[0])
    pieces = use_lite.tokens
    assert pieces is not None
    return {
        "tiny": lambda text: len(tokens(text)),
        "asked": lambda text: len(tokens(PREFIX + text)),
        "pieces": lambda text: len(pieces(text)),
    }


@pytest.fixture(scope="module", params=["duckdb", "snowflake"])
def project(
    request: pytest.FixtureRequest,
    artifacts: list[Artifact],
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """A project that counts tokens, built; `tiny` is the default model."""
    folder = tmp_path_factory.mktemp("dbt") / "project"
    if request.param == "duckdb":
        project = make_project(folder, artifacts=artifacts, files=FILES)
    else:
        server = request.getfixturevalue("local_snowflake")
        project = make_snowflake_project(folder, server, artifacts=artifacts, files=FILES)
    pins = {artifact.model: artifact.pin() for artifact in artifacts}
    project.configure(vars={"tf_embeddings_models": pins, "tf_embeddings_default_model": "tiny"})
    run = project.dbt("run")
    assert run.success, run.errors
    assert asked_for(run) == {"tiny", "asked", "pieces"}
    return project


def asked_for(run: Run) -> set[str]:
    """Return the models that the hook asked for: DuckDB's check, or Snowflake's function."""
    ours = r"tf_embeddings_(?:check\('(\w+)'|([a-z]+)_b[0-9a-f]{12}_[0-9a-f]{8}\(text varchar)"
    return {one or other for sql in run.statements for one, other in re.findall(ours, sql)}


def schema(project: Project) -> str:
    return "dev" if isinstance(project, SnowflakeProject) else "main"


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("tiny", TOKENS_LIMIT),
        ("asked", TOKENS_LIMIT),
        ("pieces", PIECES_LIMIT),
    ],
)
def test_a_count_is_that_of_the_tokenizer_itself(
    project: Project, counts: dict[str, Callable[[str], int]], model: str, limit: int
) -> None:
    rows = project.show(
        f"""
        {{% set pin = tf_embeddings._pin('{model}') if execute else none %}}
        select
          id,
          {{{{ tf_embeddings.token_count('body', model='{model}') }}}} as tokens,
          {{{{ tf_embeddings._outcome_column(
            tf_embeddings._outcome('body', pin, 'test', tokens_only=true), 'is_truncated', pin
          ) }}}} as is_truncated,
          {{{{ tf_embeddings.embed('body', model='{model}') }}}} is not null as has_vector
        from {{{{ ref('texts') }}}}
        order by id
        """
    )
    with_tokens = {id_: text for id_, text in TEXTS.items() if text and text.strip()}
    tokens = {id_: counts[model](text) for id_, text in with_tokens.items()}
    expected = {**tokens, 3: 0, 4: 0, 5: None}

    assert {row["id"]: row["tokens"] for row in rows} == expected
    assert {row["id"]: row["is_truncated"] for row in rows} == {
        id_: None if count is None else count > limit for id_, count in expected.items()
    }
    assert {row["id"] for row in rows if row["has_vector"]} == set(tokens)
    assert [id_ for id_, count in tokens.items() if count > limit] == [2]


def test_a_count_is_an_integer(project: Project) -> None:
    described = {
        "dev": ("describe table dev.counted", ("TOKENS", "NUMBER(38,0)")),
        "main": ("describe counted", ("tokens", "INTEGER")),
    }
    sql, column = described[schema(project)]

    assert column in [row[:2] for row in project.rows(sql)]


def test_the_model_is_asked_for_tokens_alone(project: Project) -> None:
    assert project.dbt("compile", "--select", "counted").success
    compiled = project.folder / "target/compiled/a_project/models/counted.sql"

    assert "(cast(body as varchar), true), 'token_count')" in compiled.read_text(encoding="utf-8")


def test_a_batch_may_count_one_text_and_embed_the_next(
    project: Project, tiny_embedder: Embedder
) -> None:
    is_snowflake = isinstance(project, SnowflakeProject)
    embedding = "as_array(outcome:embedding)" if is_snowflake else "outcome.embedding"
    tokens = "as_integer(outcome:token_count)" if is_snowflake else "outcome.token_count"
    rows = project.show(
        f"""
        select id, {embedding} as embedding, {tokens} as tokens
        from (
          select
            id,
            {{{{ tf_embeddings._function_name(tf_embeddings._pin()) }}}}(body, id < 7) as outcome
          from {{{{ ref('texts') }}}}
          where id in (1, 2, 7)
        ) as outcomes
        order by id
        """
    )
    vector = tiny_embedder.embed([TEXTS[7]]).embeddings[0]
    once, long, again = rows

    assert once["embedding"] is None
    assert long["embedding"] is None
    np.testing.assert_allclose(json.loads(again["embedding"]), vector, atol=1e-6)
    assert once["tokens"] == again["tokens"]


def test_counts_serve_to_find_what_is_too_long(project: Project) -> None:
    assert project.rows(f"select id from {schema(project)}.long_texts") == [(2,)]


def test_an_incremental_model_counts_what_is_new(
    project: Project, counts: dict[str, Callable[[str], int]]
) -> None:
    table = f"{schema(project)}.texts"
    project.execute(f"insert into {table} select 8, 'where is my invoice'")
    run = project.dbt("run", "--select", "counted", "counted_later")
    rows = project.rows(f"select tokens from {schema(project)}.counted where id = 8")
    later = project.rows(f"select sum(tokens) from {schema(project)}.counted_later where id = 8")
    project.execute(f"delete from {table} where id = 8")

    assert asked_for(run) == {"tiny", "asked"}
    assert rows == [(counts["tiny"]("where is my invoice"),)]
    assert later == [(counts["asked"]("where is my invoice"),)]


def outcome(project: Project, model: str, severity: str | None = None, **arguments: object) -> Run:
    """Run the generic test on the column of a model's texts, keeping the rows that it finds."""
    config = {"config": {"severity": severity}} if severity else {}
    test = {"tf_embeddings.text_is_not_truncated": {"arguments": arguments, **config}}
    column = {"name": "body", "data_tests": [test]}
    project.write_yaml("models/properties.yml", {"models": [{"name": model, "columns": [column]}]})
    return project.dbt("test", "--select", model, "--store-failures")


def test_texts_that_fit_pass(project: Project) -> None:
    run = outcome(project, "short_texts")

    assert run.success, run.errors
    assert asked_for(run) == {"tiny"}


# One of the six texts that are not NULL is too long.
@pytest.mark.parametrize(
    ("model", "severity", "limit", "status"),
    [
        ("tiny", None, {}, "warn"),
        ("pieces", "error", {}, "fail"),
        ("tiny", None, {"at_most": 0.16}, "fail"),
        ("tiny", "warn", {"at_most": "1e-1"}, "warn"),
        ("pieces", None, {"at_most": 0.17}, "pass"),
        ("tiny", None, {"at_most": 1}, "pass"),
    ],
)
def test_the_rows_whose_text_is_truncated_are_returned(
    project: Project, model: str, severity: str | None, limit: dict[str, Any], status: str
) -> None:
    run = outcome(project, "texts", severity, embedding_model=model, **limit)

    assert run.success == (status != "fail")
    assert asked_for(run) == {model}
    [id_] = [id_ for id_ in run.statuses if id_.startswith("test.")]
    assert run.statuses[id_] == status, run.errors
    rows = project.rows(f"select * from {run.relations[id_]}")
    assert rows == ([] if status == "pass" else [(2, LONG)])


def test_a_model_of_strings_passes_and_says_so(project: Project) -> None:
    """As an error it stopped who compares such a model with another."""
    run = outcome(project, "texts", embedding_model="strings")

    assert run.success, run.errors
    assert (
        "text_is_not_truncated: passes, because model 'strings' is of kind text: it takes whole "
        "texts, and cannot tell how many tokens it reads"
    ) in " ".join(run.messages)


def test_a_share_of_truncated_texts_is_a_number(project: Project) -> None:
    run = outcome(project, "texts", at_most=5)

    assert not run.success
    assert (
        "text_is_not_truncated: at_most is 5; it must be a number from 0 to 1, the largest share "
        "of texts that may be truncated."
    ) in run.output


def test_a_call_that_parsing_cannot_see_asks_for_a_line(project: Project) -> None:
    project.write(
        "models/hidden.sql",
        "{% if execute %}select {{ tokens_of('id') }} as v{% else %}select 1{% endif %}",
    )
    project.write(
        "macros/tokens_of.sql",
        "{% macro tokens_of(text) %}{{ return(tf_embeddings.token_count(text)) }}{% endmacro %}",
    )
    run = project.dbt("compile", "--select", "hidden")
    (project.folder / "models/hidden.sql").unlink()

    if not isinstance(project, SnowflakeProject):
        assert run.success, run.errors  # there the plugin has made the function
        return
    assert not run.success
    assert (
        "token_count: model.a_project.hidden uses model 'tiny' through a macro that calls "
        "token_count only if is_incremental() or execute is true"
    ) in run.output
