"""rerank: scores of a cross-encoder in SQL, the same on DuckDB and on the local Snowflake."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import load_artifact
from duckdb_projects import Project, make_project
from makers import Artifact
from snowflake_projects import LocalSnowflake, make_snowflake_project
from tf_embeddings_udf.encoders.pairs import as_text

# An emoji of three code points, an accent of its own, what looks like a length: none of them moves
# the place where a query ends.
PAIRS: list[tuple[str | None, str | None]] = [
    ("where is my card", "your card was stolen and found"),
    ("where is my card", "the cat sat on the mat ."),
    ("where is my card", None),
    (None, "dog"),
    ("  ", "dog"),
    ("dog", ""),
    ("👩\u200d🚀 cat", "dog"),
    ("cat e\u0301", "dog ran"),
    ("3:cat", "12:dog it's"),
    ("cat sat", "4:dog"),
]


def literal(text: str | None) -> str:
    return "cast(null as varchar)" if text is None else "'" + text.replace("'", "''") + "'"


FILES = {
    "models/pairs.sql": " union all ".join(
        f"select {place} as id, {literal(query)} as query, {literal(text)} as body"
        for place, (query, text) in enumerate(PAIRS)
    ),
    "models/scored.sql": (
        "select id, {{ tf_embeddings.rerank('query', 'body') }} as score, "
        "{{ tf_embeddings.embedding_version(model='ranker') }} as model_version "
        "from {{ ref('pairs') }}"
    ),
    "models/scored_later.sql": (
        "{{ config(materialized='incremental') }} select id, query, body"
        "{% if execute %}, {{ tf_embeddings.rerank('query', 'body') }} as score{% endif %} "
        "from {{ ref('pairs') }}"
    ),
    "models/embedded.sql": (
        "select id, {{ tf_embeddings.embed('body') }} as embedding, "
        "{{ tf_embeddings.embedding_version() }} as model_version from {{ ref('pairs') }}"
    ),
    "models/stored.sql": (
        "{{ tf_embeddings.embedding_store({'ref': 'pairs', 'column': 'body'}) }}"
    ),
    "models/embedded.yml": """\
models:
  - name: embedded
    columns: [{name: embedding, data_tests: [tf_embeddings.embedding_dimension]}]
""",
}


@pytest.fixture(scope="module", params=["duckdb", "snowflake"])
def built(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_with_runtime: Artifact,
    ranker: Artifact,
) -> Project:
    """A project with an encoder and a cross-encoder, built; no var names a default model."""
    folder = tmp_path_factory.mktemp("rerank") / "project"
    artifacts = [ranker, tiny_with_runtime]
    if request.param == "duckdb":
        project: Project = make_project(folder, artifacts=artifacts, files=FILES)
    else:
        server: LocalSnowflake = request.getfixturevalue("local_snowflake")
        project = make_snowflake_project(folder, server, artifacts=artifacts, files=FILES)
    run = project.dbt("build")
    assert run.success, run.errors
    return project


def schema_of(project: Project) -> str:
    return "" if type(project) is Project else "dev."


def test_a_pair_has_the_score_that_the_model_gives_it(built: Project, ranker: Artifact) -> None:
    outcomes = load_artifact(ranker).embed(
        [None if None in pair else as_text(*map(str, pair)) for pair in PAIRS]
    )
    rows = built.rows(f"select score from {schema_of(built)}scored order by id")
    scores = [score for (score,) in rows]

    assert outcomes.valid.tolist() == [True, True, *[False] * 4, *[True] * 4]
    assert [score is not None for score in scores] == outcomes.valid.tolist()
    expected = outcomes.embeddings[outcomes.valid, 0]
    assert [score for score in scores if score is not None] == pytest.approx(expected, abs=1e-6)
    assert len({round(float(score), 5) for score in expected}) == len(expected)


def test_a_call_that_no_mark_shows_is_found_in_the_code(built: Project) -> None:
    schema = schema_of(built)
    assert built.rows(
        f"select count(*) from {schema}scored_later as later join {schema}scored as scored"
        " on later.id = scored.id and later.score = scored.score"
    ) == [(6,)]


def test_embed_takes_the_encoder(built: Project, tiny_with_runtime: Artifact) -> None:
    rows = built.rows(f"select distinct model_version from {schema_of(built)}embedded")
    assert rows == [(tiny_with_runtime.version,)]


def test_the_operations_know_a_cross_encoder(built: Project, ranker: Artifact) -> None:
    verified = built.dbt("run-operation", "verify", "--args", "{model: ranker}")
    assert verified.success, verified.errors
    [line] = [line for line in verified.said if line.startswith("ranker ")]
    assert f"{ranker.version} {ranker.build}: 15 texts, largest difference " in line

    status = built.dbt("run-operation", "status")
    assert status.success, status.errors
    assert len([line for line in status.said if line.strip().startswith("ranker")]) == 1

    estimated = built.dbt("run-operation", "estimate", "--args", "{store: stored}")
    assert estimated.success, estimated.errors
    assert any(line.strip().startswith("tiny ") for line in estimated.said)

    unused = built.dbt("run-operation", "drop_unused")
    assert unused.success, unused.errors
    assert any("Nothing is unused" in line for line in unused.said)


STORE = "{{ tf_embeddings.embedding_store({'ref': 'pairs', 'column': 'body'}, 'ranker') }}"
NEAREST = (
    "{{ tf_embeddings.nearest_neighbors(ref('pairs'), ref('embedded'), query_id='id', "
    "corpus_id='id', query_text='body', model='ranker') }}"
)
IS_ONE = (
    "model 'ranker' is a cross-encoder: it scores a query and a text together, and gives no "
    "vectors. Call rerank(query, text, model='ranker'), or name a model that is not of kind pairs "
    "with "
)
WRONG = {
    "wrong_embed": ("{{ tf_embeddings.embed('body', 'ranker') }}", f"embed: {IS_ONE}model='…'."),
    "wrong_count": (
        "{{ tf_embeddings.token_count('body', 'ranker') }}",
        f"token_count: {IS_ONE}model='…'.",
    ),
    "wrong_store": (STORE, f"embedding_store: {IS_ONE}model='…'."),
    "wrong_search": (NEAREST, f"nearest_neighbors: {IS_ONE}model='…'."),
    "wrong_kind": (
        "{{ tf_embeddings.rerank('query', 'body', model='tiny') }}",
        "rerank: model 'tiny' is of kind tokens: it gives a text a vector, and no score to two "
        "texts. Name a cross-encoder (ranker).",
    ),
    "wrong_text": (
        "{{ tf_embeddings.rerank('query', '') }}",
        "rerank: text is empty; it must be a SQL expression in quotes",
    ),
}


def test_a_wrong_model_is_one_clear_error(tmp_path: Path, tiny: Artifact, ranker: Artifact) -> None:
    files = {
        f"models/{name}.sql": (
            code
            if name in ("wrong_store", "wrong_search")
            else f"select {code} as result from {{{{ ref('pairs') }}}}"
        )
        for name, (code, _) in WRONG.items()
    }
    properties = """\
models:
  - name: tested
    columns:
      - name: embedding
        data_tests: [tf_embeddings.embedding_dimension: {arguments: {embedding_model: ranker}}]
"""
    of_both = {path: FILES[path] for path in ("models/pairs.sql", "models/embedded.sql")}
    files = {**files, **of_both, "models/tested.yml": properties}
    files["models/tested.sql"] = "select * from {{ ref('embedded') }}"
    project = make_project(tmp_path / "project", artifacts=[ranker, tiny], files=files)
    said = project.dbt("build").output
    for name, (_, sentence) in WRONG.items():
        assert sentence in said, name
    assert f"embedding_dimension: {IS_ONE}embedding_model: …." in said


def test_which_cross_encoder_is_meant(tmp_path: Path, tiny: Artifact, ranker: Artifact) -> None:
    files = {
        "models/named.sql": "select {{ tf_embeddings.rerank(\"'a'\", \"'b'\", 'other') }} as score",
        "models/one.sql": "select {{ tf_embeddings.rerank(\"'a'\", \"'b'\") }} as score",
    }
    project = make_project(tmp_path / "project", artifacts=[ranker, tiny], files=files)
    assert (
        "rerank: model 'other' is not in var tf_embeddings_models (it has: ranker, tiny)."
    ) in project.dbt("compile", "--select", "named").output

    project.pin(tiny=tiny.pin())
    assert (
        "rerank: var tf_embeddings_models has no cross-encoder, a model of kind pairs. Stage one "
        "with dbt_packages/tf_embeddings/scripts/stage_model.py ms_marco_minilm --write."
    ) in project.dbt("compile", "--select", "one").output

    project.pin(ranker=ranker.pin(), second=ranker.pin())
    assert (
        "rerank: var tf_embeddings_models has several cross-encoders (ranker, second). "
        "Pass model='…'."
    ) in project.dbt("compile", "--select", "one").output

    project.configure(vars={**project.vars(), "tf_embeddings_default_model": "second"})
    assert project.dbt("compile", "--select", "one").success
