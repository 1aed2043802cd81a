"""dbt v2 on the local Snowflake: the same functions, rows and vectors as dbt 1.x, and no less care.

`make test-dbt-v2` installs dbt v2 and runs this file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import Saved
from duckdb_projects import Run
from makers import Artifact
from smoke_project import (
    COLUMNS,
    OPERATIONS,
    SCRIPT,
    Smoke,
    make_artifacts,
    make_demo,
    make_smoke_project,
    public_in,
    put_unused,
    staging_programs,
)
from smoke_v2 import ENVIRONMENT, VARIABLES, V2Project, as_v2
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project
from test_macros_rerank import FILES as RERANKING
from tf_embeddings_udf import Embedder

PROGRAMS = ENVIRONMENT / "bin"

# The first three of these tests fail, as they should; the arguments of the others are wrong.
FAILING = """
models:
  - name: failing
    columns:
      - name: embedding
        data_tests:
          - tf_embeddings.embedding_dimension:
              name: fails_dimension
              arguments: {dimensions: 9}
          - tf_embeddings.embedding_no_collapse:
              name: fails_collapse
              arguments: {at_most: -0.9}
          - tf_embeddings.embeddings_are_similar:
              name: fails_similar
              arguments: {id: id, pairs: [[1, 2]], at_least: 1}
          - tf_embeddings.embedding_is_unit_norm:
              name: wrong_tolerance
              arguments: {tolerance: {a: 1}}
          - tf_embeddings.embeddings_are_similar:
              name: wrong_pairs
              arguments: {id: id, pairs: [[1]]}
"""
WRONG = ["fails_dimension", "fails_collapse", "fails_similar", "wrong_tolerance", "wrong_pairs"]


@pytest.fixture(scope="module")
def artifacts(
    litert_tokens_model: Saved, tmp_path_factory: pytest.TempPathFactory
) -> list[Artifact]:
    return make_artifacts(litert_tokens_model, tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def project(
    artifacts: list[Artifact],
    tiny_embedder: Embedder,
    local_snowflake: LocalSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> V2Project:
    """The small project, staged and not built."""
    return as_v2(make(tmp_path_factory.mktemp("v2"), local_snowflake, artifacts, tiny_embedder))


@pytest.fixture(scope="module")
def built(project: V2Project) -> V2Project:
    """The project after its first build; the tests that should fail are not part of it."""
    run = project.dbt("build", "--exclude", *WRONG)
    assert run.success, run.errors
    assert not [message for message in run.printed if message.startswith("[warning]")]
    assert public_in("generic_tests") <= Smoke(project, PROGRAMS).passed_tests()
    said = [message for message in run.printed if "embedding_store: embedding_store has" in message]
    assert [re.sub("[0-9]+", "n", message) for message in said][:2] == [
        "embedding_store: embedding_store has n new texts to embed",
        "embedding_store: embedding_store has embedded n of n new texts",
    ]
    return project


@pytest.fixture(scope="module")
def not_staged(
    artifacts: list[Artifact],
    local_snowflake: LocalSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> V2Project:
    """A project whose pinned artifact is on a different stage only."""
    tiny, _ = artifacts
    folder = tmp_path_factory.mktemp("not_staged") / "project"
    sql = "select {{ tf_embeddings.embed(\"'a fox'\") }} as embedding"
    made = make_snowflake_project(folder, local_snowflake, files={"models/embedded.sql": sql})
    made.put(tiny, stage="shared.artifacts")
    made.pin(tiny=tiny.pin())
    return as_v2(made)


def make(
    folder: Path, server: LocalSnowflake, artifacts: list[Artifact], embedder: Embedder
) -> SnowflakeProject:
    """Make the small project, with tests that fail."""
    project = make_smoke_project(folder / "project", server, artifacts=artifacts, embedder=embedder)
    assert isinstance(project, SnowflakeProject)
    project.write("models/failing.sql", "select * from {{ ref('joined') }}")
    project.write("models/failing.yml", FAILING)
    configure(project, tf_embeddings_keep_text=True, tf_embeddings_portion=2)
    return project


def configure(project: SnowflakeProject, **variables: object) -> dict[str, object]:
    """Set vars of the project; return those of before."""
    before = project.vars()
    project.configure(vars={**before, **variables})
    return before


def functions(project: SnowflakeProject) -> list[str]:
    """Return the names of the package's functions."""
    rows = project.rows("show user functions in schema tf_embeddings")
    return sorted(str(row[1]) for row in rows)


def schemas(project: SnowflakeProject) -> set[str]:
    """Return the schemas of the project's database that are not Snowflake's own."""
    rows = project.rows(f"show schemas in database {project.name}")
    return {str(row[1]).lower() for row in rows} - {"information_schema", "public", "main"}


def operation(project: V2Project, name: str, /, **arguments: object) -> Run:
    """Call an operation of the package."""
    return project.dbt("run-operation", f"tf_embeddings.{name}", "--args", json.dumps(arguments))


def test_a_cross_encoder_scores_beside_an_encoder(
    ranker: Artifact,
    tiny_with_runtime: Artifact,
    local_snowflake: LocalSnowflake,
    tmp_path: Path,
) -> None:
    """The choice of the models and the calls that no mark shows are rendered by v2 itself."""
    both = [ranker, tiny_with_runtime]
    made = make_snowflake_project(
        tmp_path / "project", local_snowflake, artifacts=both, files=RERANKING
    )
    run = as_v2(made).dbt("build")
    assert run.success, run.errors
    assert made.rows("select count(score) from dev.scored") == [(6,)]


def test_a_command_that_only_looks_creates_no_function(
    artifacts: list[Artifact],
    tiny_embedder: Embedder,
    local_snowflake: LocalSnowflake,
    tmp_path: Path,
) -> None:
    """Even where dbt runs the hooks, as a hook of the project shows, which leaves a schema."""
    project = as_v2(make(tmp_path, local_snowflake, artifacts, tiny_embedder))
    project.configure(**{"on-run-start": ["create schema {{ flags.WHICH }}_ran"]})
    project.execute("drop schema tf_embeddings")

    for command in (["parse"], ["list"], ["compile", "--exclude", *WRONG]):
        run = project.dbt(*command)
        assert run.success, run.errors
    assert schemas(project) == {"compile_ran"}

    project.dbt("show", "--select", "only_new")  # fails: there is no function
    project.dbt("clone", "--state", "target")
    assert schemas(project) == {"compile_ran", "show_ran", "clone_ran", "dev"}


def test_a_second_build_embeds_nothing(built: V2Project) -> None:
    reached, stores = built.embedded(), Smoke(built, PROGRAMS).stores()

    run = built.dbt("run", "--select", "embedding_store", "prefixed_store", "joined", "only_new")

    assert run.success, run.errors
    assert built.embedded() == reached
    assert len(stores) == 8
    assert Smoke(built, PROGRAMS).stores() == stores


def test_it_builds_what_dbt_1_builds(
    built: V2Project,
    artifacts: list[Artifact],
    tiny_embedder: Embedder,
    local_snowflake: LocalSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    other = make(tmp_path_factory.mktemp("v1"), local_snowflake, artifacts, tiny_embedder)
    # A function's name depends on the database: this one moves to the other's.
    configure(other, tf_embeddings_database=built.name, tf_embeddings_grants=[])

    run = other.dbt("build", "--exclude", *WRONG)

    assert run.success, run.errors
    assert len(functions(built)) == 2  # the first build made them, and this one found them
    for table in COLUMNS:
        assert Smoke(built, PROGRAMS).rows(table) == Smoke(other, PROGRAMS).rows(table), table
    metrics = "select model, texts, blank, total_texts from dev.embedding_store_metrics"
    assert built.rows(metrics) == other.rows(metrics)


def test_data_tests_fail_as_they_should(built: V2Project) -> None:
    run = built.dbt("test", "--select", *WRONG)

    assert not run.success
    assert [run.status(name) for name in WRONG] == ["fail"] * 3 + ["error"] * 2
    assert (
        "embedding_is_unit_norm: tolerance is {'a': 1}; it must be a number from 0 to 1, the most "
        "that a length may differ from 1."
    ) in run.output
    assert "embeddings_are_similar: pairs has [1]; each of its entries" in run.output


def test_unit_tests_embed_in_their_fixtures(built: V2Project) -> None:
    run = built.dbt("test", "--select", "duplicates,test_type:unit")

    assert run.success, run.errors
    assert [*run.statuses.values()] == ["pass"]


def test_every_operation(
    built: V2Project, artifacts: list[Artifact], litert_tokens_model: Saved, tmp_path: Path
) -> None:
    tiny, _ = artifacts
    put_unused(built, litert_tokens_model, tmp_path)
    for name, arguments, says in OPERATIONS:
        run = operation(built, name, **arguments)
        assert run.success, (name, run.errors)
        assert says.format(**tiny.pin()) in "\n".join(run.said), name
    assert {name for name, *_ in OPERATIONS} == public_in("operations")


def test_operations_that_find_something(built: V2Project, artifacts: list[Artifact]) -> None:
    tiny, _ = artifacts
    status = operation(built, "status")
    assert any(line.startswith("tiny") and line.endswith("ok") for line in status.said)

    estimate = operation(built, "estimate")
    assert estimate.said[-1].split()[2:] == ["4", "4", "-", "0", "0", "0"]
    built.execute("delete from dev.embedding_store where text = 'where is my invoice'")
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

    compare = operation(built, "compare_versions", model="tiny", other=tiny.version)
    assert "model and other are both version" in compare.output

    kept = functions(built)
    other = built.dbt("run", "--select", "only_new", "--vars", "tf_embeddings_max_batch_size: 7")
    assert other.success, other.errors
    assert len(functions(built)) == len(kept) + 1
    drop = operation(built, "drop_unused", drop=True, days=0)
    assert drop.said[0].startswith("dropped: function ")
    assert functions(built) == kept


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
            "embed in models/only_new.sql: model 'nothing' is not in var tf_embeddings_models (it "
            "has: prefixed, tiny)",
        ),
    ],
)
def test_wrong_settings_stop_the_run_with_their_sentence(
    built: V2Project, name: str, value: object, said: str
) -> None:
    before = configure(built, **{f"tf_embeddings_{name}": value})
    try:
        run = built.dbt("run", "--select", "only_new")
    finally:
        built.configure(vars=before)

    assert not run.success
    assert said in run.output


def test_a_failing_hook_points_to_status(built: V2Project) -> None:
    before = configure(built, tf_embeddings_grants=["nobody"])
    try:
        run = built.dbt("run", "--select", "only_new")
    finally:
        built.configure(vars=before)

    assert not run.success
    assert (
        "tf_embeddings: if this hook fails, dbt run-operation tf_embeddings.status says what to do"
    ) in run.output


def test_status_names_the_script_for_the_folder_where_dbt_was_called(
    not_staged: V2Project, tmp_path: Path
) -> None:
    script = "dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write --target dev"
    here = not_staged.dbt("run-operation", "tf_embeddings.status")
    there = not_staged.dbt("run-operation", "tf_embeddings.status", elsewhere=tmp_path)

    assert here.said[-1].endswith(f"not staged: python {script}")
    assert there.said[-1].endswith(
        f'not staged: python {not_staged.folder}/{script} --project-dir "{not_staged.folder}"'
    )


def test_a_retry_goes_on_after_a_model_is_staged(
    not_staged: V2Project, artifacts: list[Artifact]
) -> None:
    build = not_staged.dbt("build")
    not_staged.put(artifacts[0])
    retry = not_staged.dbt("retry")

    assert not build.success
    assert retry.success, retry.errors
    assert not_staged.rows("select array_size(embedding::array) from dev.embedded") == [(8,)]


def test_the_demo_is_built_twice_and_embeds_its_texts_once(
    minilm: Artifact,
    local_snowflake: LocalSnowflake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = {**VARIABLES, "LOCAL_SNOWFLAKE_PORT": str(local_snowflake.port)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    folder = make_demo(tmp_path / "tf_embeddings").folder
    demo = V2Project(folder, local_snowflake, "demo")
    pinned = (folder / "dbt_project.yml").read_text("utf-8")
    assert demo.dbt("deps").success
    staging = Smoke(demo, staging_programs(tmp_path / "environment", ENVIRONMENT))
    staging.call("python", SCRIPT, minilm.path, "--write", "--target", "local_snowflake")

    assert (folder / "dbt_project.yml").read_text("utf-8") == pinned
    build(demo)
    before = embedded_when(demo), demo.embedded()
    # The questions are embedded in each build, and this test has the function count tokens.
    build(demo, "--exclude", "search_results", "test_name:text_is_not_truncated")
    assert (embedded_when(demo), demo.embedded()) == before


def build(demo: V2Project, *options: str) -> None:
    """Build the demo, with no warning."""
    run = demo.dbt("build", "--target", "local_snowflake", *options)
    assert run.success, run.errors
    assert set(run.statuses.values()) <= {"success", "pass"}
    assert len(run.statuses) > 50
    assert not [message for message in run.printed if message.startswith("[warning]")]


def embedded_when(demo: V2Project) -> list[tuple[object, ...]]:
    """Return when each row of the demo was embedded."""
    return demo.rows(
        "select text_hash, embedded_at from dbt.embedding_store union all "
        "select gloss_id, embedded_at from dbt.glosses_embedded_incremental order by 1"
    )
