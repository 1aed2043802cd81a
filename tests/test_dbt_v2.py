"""dbt v2 on the local Snowflake: the same functions, rows and vectors as dbt 1.x, and no less care.

It is skipped without dbt v2; `make test-dbt-v2` installs it.
"""

from __future__ import annotations

import json
from pathlib import Path

import makers
import pytest
from conftest import Saved
from dbt_projects import Run
from dbt_v2 import DBT, MISSING, V2Project, as_v2
from makers import Artifact, golden_of
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project
from tf_embeddings_udf import Embedder

pytestmark = pytest.mark.skipif(not DBT.exists(), reason=MISSING)

NOTES = ["where is my invoice", "how do i reset my password", "a fox", " ", "a fox"]

PROPERTIES = """
models:
  - name: embedded
    columns:
      - name: body
        data_tests: [tf_embeddings.text_is_not_truncated]
      - name: embedding
        data_tests:
          - tf_embeddings.embedding_dimension
          - tf_embeddings.embedding_is_finite
          - tf_embeddings.embedding_is_not_zero
          - tf_embeddings.embedding_is_unit_norm
          - tf_embeddings.embedding_is_not_constant
          - tf_embeddings.embedding_no_collapse: {arguments: {at_most: 0.999}}
          - tf_embeddings.embedding_coverage: {arguments: {text: body}}
          - tf_embeddings.embedding_coverage:
              name: coverage_at_least
              arguments: {text: body, at_least: 0.5}
          - tf_embeddings.embedding_drift: {arguments: {baseline: ref('joined')}}
          - tf_embeddings.embeddings_are_similar:
              arguments: {id: body, pairs: [[a fox, a fox]], at_least: 0.99}
          - tf_embeddings.embeddings_keep_order:
              arguments: {id: body, triples: [[a fox, a fox, where is my invoice]]}
          - tf_embeddings.neighbors_recall:
              arguments: {id: body, judged: [[a fox, where is my invoice]], k: 3}
          # These fail, as they should.
          - tf_embeddings.embedding_dimension:
              name: fails_dimension
              arguments: {dimensions: 9}
          - tf_embeddings.embedding_no_collapse:
              name: fails_collapse
              arguments: {at_most: -0.9}
          - tf_embeddings.embeddings_are_similar:
              name: fails_similar
              arguments: {id: body, pairs: [[a fox, where is my invoice]], at_least: 1}
          # Their arguments are wrong.
          - tf_embeddings.embedding_is_unit_norm:
              name: wrong_tolerance
              arguments: {tolerance: {a: 1}}
          - tf_embeddings.embeddings_are_similar:
              name: wrong_pairs
              arguments: {id: body, pairs: [[a fox]]}
      - name: model_version
        data_tests: [tf_embeddings.embedding_version_is_current]

unit_tests:
  - name: a_question_finds_its_answer
    model: found
    given:
      - input: ref('embedded')
        format: sql
        # dbt reads this file without the packages' macros.
        rows: |
          select
            body,
            {% raw %}{{ tf_embeddings.embed('body') }}{% endraw %} as embedding,
            {% raw %}{{ tf_embeddings.embedding_version() }}{% endraw %} as model_version,
            {% raw %}{{ tf_embeddings.token_count('body') }}{% endraw %} as tokens
          from (values ('a fox'), ('where is my invoice')) as given (body)
    expect:
      rows: [{neighbor_id: a fox}]
"""

FILES = {
    "models/properties.yml": PROPERTIES,
    "models/notes.sql": "select * from (values ({})) as given (body)".format(
        "), (".join(f"'{text}'" for text in NOTES)
    ),
    "models/embedded.sql": (
        "select distinct body, {{ tf_embeddings.embed('body') }} as embedding,"
        " {{ tf_embeddings.embedding_version() }} as model_version,"
        " {{ tf_embeddings.token_count('body') }} as tokens from {{ ref('notes') }}"
    ),
    "models/incremental.sql": (
        "{{ config(materialized='incremental', unique_key='body') }}"
        "select body, {{ tf_embeddings.embed('body') }} as embedding from {{ ref('notes') }}"
        "{% if is_incremental() %} where body not in (select body from {{ this }}){% endif %}"
    ),
    "models/joined.sql": (
        "{{ tf_embeddings.with_embeddings(ref('notes'), 'body', ref('embedding_store')) }}"
    ),
    "models/found.sql": (
        "{{ tf_embeddings.nearest_neighbors("
        "\"select 1 as id, 'fox' as question\", ref('embedded'), 'id', 'body', k=1,"
        " query_text='question') }}"
    ),
    "models/alike.sql": (
        "{{ tf_embeddings.near_duplicates(ref('embedded'), 'body', threshold=-1) }}"
    ),
}
WRONG = ["fails_dimension", "fails_collapse", "fails_similar", "wrong_tolerance", "wrong_pairs"]

# What the two versions of dbt build is compared by these queries.
ROWS = {
    "embedded": "select body, model_version, tokens from dev.embedded order by 1",
    "store": (
        "select text_hash, model, model_version, status, token_count from dev.embedding_store"
        " order by 1"
    ),
    "vectors": "select body, cast(embedding as array) from dev.embedded order by 1",
    "joined": "select body, cast(embedding as array) from dev.joined order by 1",
    "incremental": "select body, cast(embedding as array) from dev.incremental order by 1",
    "found": "select query_id, neighbor_id, neighbor_rank from dev.found",
    "alike": "select id_a, id_b, cosine_similarity from dev.alike order by 1, 2",
    "metrics": "select model, texts, blank, total_texts from dev.embedding_store_metrics",
}


def settings(artifact: Artifact, **others: object) -> dict[str, object]:
    """Return the vars of the project."""
    return {
        "tf_embeddings_models": {artifact.model: artifact.pin()},
        "tf_embeddings_sources": [{"ref": "notes", "column": "body"}],
        "tf_embeddings_keep_text": True,
        "tf_embeddings_portion": 2,
        **others,
    }


@pytest.fixture(scope="module")
def artifact(
    litert_tokens_model: Saved, tiny_embedder: Embedder, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The small model, with its runtime and its golden vectors."""
    golden = golden_of(tiny_embedder, NOTES[:3])
    folder = tmp_path_factory.mktemp("stage")
    return makers.write_artifact(*litert_tokens_model, folder, with_runtime=True, golden=golden)


def make(folder: Path, server: LocalSnowflake, artifact: Artifact) -> SnowflakeProject:
    """Make the project; its functions have the same names in each database."""
    project = make_snowflake_project(folder, server, artifacts=[artifact], files=FILES)
    project.configure(vars=settings(artifact))
    return project


@pytest.fixture(scope="module")
def project(
    artifact: Artifact, local_snowflake: LocalSnowflake, tmp_path_factory: pytest.TempPathFactory
) -> V2Project:
    """The project, staged and not built."""
    return as_v2(make(tmp_path_factory.mktemp("v2") / "project", local_snowflake, artifact))


@pytest.fixture(scope="module")
def built(project: V2Project) -> V2Project:
    """The project after its first build; the tests that should fail are not part of it."""
    run = project.dbt("build", "--exclude", *WRONG)
    assert run.success, run.errors
    assert not [message for message in run.printed if message.startswith("[warning]")]
    return project


def functions(project: SnowflakeProject) -> list[str]:
    """Return the names of the package's functions."""
    rows = project.rows("show user functions in schema tf_embeddings")
    return sorted(str(row[1]) for row in rows)


def schemas(project: SnowflakeProject) -> set[str]:
    """Return the schemas of the project's database that are not Snowflake's own."""
    rows = project.rows(f"show schemas in database {project.name}")
    return {str(row[1]).lower() for row in rows} - {"information_schema", "public", "main"}


def operation(project: V2Project, name: str, **arguments: object) -> Run:
    """Call an operation of the package."""
    return project.dbt("run-operation", f"tf_embeddings.{name}", "--args", json.dumps(arguments))


def test_a_command_that_only_looks_creates_no_function(
    artifact: Artifact, local_snowflake: LocalSnowflake, tmp_path: Path
) -> None:
    project = as_v2(make(tmp_path / "project", local_snowflake, artifact))
    project.execute("drop schema tf_embeddings")

    for command in (["parse"], ["list"], ["compile", "--exclude", *WRONG]):
        run = project.dbt(*command)
        assert run.success, run.errors
        assert schemas(project) == set(), command
    project.dbt("show", "--select", "embedded")  # fails: there is no function
    project.dbt("clone", "--state", "target")
    assert "tf_embeddings" not in schemas(project)


def test_a_second_build_embeds_nothing(built: V2Project) -> None:
    before = built.embedded()

    run = built.dbt("run", "--select", "embedding_store", "joined", "incremental")

    assert run.success, run.errors
    assert built.embedded() == before
    assert built.rows("select count(*) from dev.embedding_store") == [(len(set(NOTES)),)]


def test_it_builds_what_dbt_1_builds(
    built: V2Project,
    artifact: Artifact,
    local_snowflake: LocalSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    other = make(tmp_path_factory.mktemp("v1") / "project", local_snowflake, artifact)
    # A function's name depends on the database: this one moves to the other's.
    other.configure(
        vars=settings(artifact, tf_embeddings_database=built.name, tf_embeddings_grants=[])
    )

    run = other.dbt("run")

    assert run.success, run.errors
    assert len(functions(built)) == 1  # the first build made it, and this one found it
    for name, query in ROWS.items():
        assert built.rows(query) == other.rows(query), name


def test_data_tests_fail_as_they_should(built: V2Project) -> None:
    run = built.dbt("test", "--select", *WRONG)

    assert not run.success
    assert [run.status(name) for name in WRONG] == ["fail"] * 3 + ["error"] * 2
    assert (
        "embedding_is_unit_norm: tolerance is {'a': 1}; it must be a number from 0 to 1, the most "
        "that a length may differ from 1."
    ) in run.output
    assert "embeddings_are_similar: pairs has ['a fox']; each of its entries" in run.output


def test_unit_tests_embed_in_their_fixtures(built: V2Project) -> None:
    run = built.dbt("test", "--select", "found,test_type:unit")

    assert run.success, run.errors
    assert len(run.statuses) >= 1


def test_every_operation(built: V2Project, artifact: Artifact) -> None:
    status = operation(built, "status")
    assert status.success, status.errors
    assert any(line.startswith(artifact.model) and line.endswith("ok") for line in status.said)

    verify = operation(built, "verify")
    assert verify.success, verify.errors
    assert any("3 texts, largest difference" in line for line in verify.said)

    estimate = operation(built, "estimate")
    assert estimate.success, estimate.errors
    assert estimate.said[-1].split()[2:] == ["4", "4", "-", "0", "0", "0"]

    built.execute("delete from dev.embedding_store where text = 'a fox'")
    estimate = operation(built, "estimate")
    assert estimate.said[-1].split()[2:6] == ["4", "3", "-", "1"]
    assert built.dbt("run", "--select", "embedding_store").success

    built.execute(
        "insert into dev.embedding_store select repeat('0', 64), text, model, model_version,"
        " embedding, token_count, is_truncated, status, embedded_at, invocation_id"
        " from dev.embedding_store limit 1"
    )
    prune = operation(built, "prune", drop=True)
    assert prune.success, prune.errors
    assert prune.said[-1] == "Deleted 1 rows of 'embedding_store'."

    compare = operation(built, "compare_versions", model=artifact.model, other=artifact.version)
    assert "model and other are both version" in compare.output

    unused = operation(built, "drop_unused")
    assert unused.success, unused.errors
    assert unused.said[-1].startswith("Nothing is unused")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "grants",
            {"a": 1},
            "var tf_embeddings_grants is {'a': 1}; it must be a list of roles, such as [analyst, "
            "reporter].",
        ),
        ("max_batch_size", True, "var tf_embeddings_max_batch_size is True; it must be a whole"),
        ("sources", "notes", "tf_embeddings_sources is 'notes'; it must be a list of maps"),
        ("models", {"tiny": {"version": "v1"}}, "has version 'v1'; it must be 'v' and 12 hex"),
        (
            "default_model",
            "nothing",
            "embed: model 'nothing' is not in var tf_embeddings_models (it has: tiny)",
        ),
    ],
)
def test_wrong_settings_stop_the_run_with_their_sentence(
    built: V2Project, artifact: Artifact, name: str, value: object, said: str
) -> None:
    built.configure(vars=settings(artifact, **{f"tf_embeddings_{name}": value}))
    try:
        run = built.dbt("run", "--select", "embedded")
    finally:
        built.configure(vars=settings(artifact))

    assert not run.success
    assert said in run.output


def test_a_failing_hook_points_to_status(built: V2Project, artifact: Artifact) -> None:
    built.configure(vars=settings(artifact, tf_embeddings_grants=["nobody"]))
    try:
        run = built.dbt("run", "--select", "embedded")
    finally:
        built.configure(vars=settings(artifact))

    assert not run.success
    assert (
        "tf_embeddings: if this hook fails, dbt run-operation tf_embeddings.status says what to do"
    ) in run.output
