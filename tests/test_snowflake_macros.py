"""`embed` in every place where SQL is written, and what the hook creates for it on Snowflake.

Runs with `--empty` are told by what dbt sends; the others embed, in the local Snowflake's workers.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import Saved
from duckdb_projects import Run
from makers import Artifact, shortened, write_artifact
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project
from tf_embeddings_udf import Embedder

TEXT = "the quick brown fox"
TEXTS = [
    TEXT,
    '$$ it\'s; a "text" -- with /* quotes */ \\ and\n lines $$',
    "",
    " \u00a0\t",
    None,
    "x" * 200,
]

MACROS = """
{% macro embedded(relation) %}
  select *, {{ a_column('body') }} as embedding from {{ relation }}
{% endmacro %}

{% macro a_column(text) %}
  {{ return(tf_embeddings.embed(text)) }}
{% endmacro %}

{% macro with_new_vectors(relation) %}
  {% if is_incremental() %}
    select body, {{ a_column('body') }} as embedding from {{ relation }}
  {% else %}
    select body, cast(null as vector(float, 8)) as embedding from {{ relation }}
  {% endif %}
{% endmacro %}

{% test resembles(model, column_name, text) %}
  select * from {{ model }}
  where {{ tf_embeddings.cosine_similarity(column_name, tf_embeddings.embed(text)) }} < 0.999
{% endtest %}
"""

PROPERTIES = f"""
models:
  - name: embedded_by_macro
    columns:
      - name: embedding
        data_tests:
          - resembles:
              name: embedded_by_macro_resembles_body
              arguments: {{text: body}}
          - tf_embeddings.embedding_coverage:
              name: embedded_by_macro_is_covered
              arguments: {{text: body}}
unit_tests:
  - name: two_texts_have_two_vectors
    model: measured
    given:
      - input: ref('texts')
        rows: [{{body: "{TEXT}"}}, {{body: "{TEXT}"}}, {{body: ""}}]
    expect:
      rows:
        - {{body: "{TEXT}", dimensions: 8}}
        - {{body: "{TEXT}", dimensions: 8}}
        - {{body: "", dimensions: null}}
"""

INCREMENTAL = "{{ config(materialized='incremental') }}\n"

FILES = {
    "macros/macros.sql": MACROS,
    "models/properties.yml": PROPERTIES,
    "models/texts.sql": f"select '{TEXT}' as body",
    "models/plain.sql": "select * from {{ ref('texts') }}",
    "models/measured.sql": (
        "select body, array_size(cast({{ tf_embeddings.embed('body') }} as array)) as dimensions"
        " from {{ ref('texts') }}"
    ),
    "models/embedded_by_macro.sql": "{{ embedded(ref('texts')) }}",
    "models/embedded_twice.sql": (
        "select {{ tf_embeddings.embed('body') }} as a,"
        " {{ tf_embeddings.embed('body', 'other') }} as b from {{ ref('texts') }}"
    ),
    "models/embedded_in_passing.sql": (
        "{{ config(materialized='ephemeral') }}"
        "select body, {{ tf_embeddings.embed('body') }} as embedding from {{ ref('texts') }}"
    ),
    "models/counted.sql": "select count(*) as texts from {{ ref('embedded_in_passing') }}",
    "models/over_a_table.sql": "select * from {{ ref('embedded_by_macro') }}",
    "models/embed_only_new.sql": INCREMENTAL
    + """
        {% if is_incremental() %}
          select body, {{ tf_embeddings.embed('body', 'other') }} as embedding
          from {{ ref('texts') }}
        {% else %}
          select body, cast(null as vector(float, 3)) as embedding from {{ ref('texts') }}
        {% endif %}
    """,
    "snapshots/remembered.sql": """
        {% snapshot remembered %}
          {{ config(unique_key='body', strategy='check', check_cols=['body']) }}
          select body, {{ tf_embeddings.embed('body') }} as embedding from {{ ref('texts') }}
        {% endsnapshot %}
    """,
    "tests/has_a_vector.sql": (
        "select 1 from {{ ref('texts') }} where {{ tf_embeddings.embed('body') }} is null"
    ),
    "tests/has_text.sql": "select 1 from {{ ref('texts') }} where body is null",
}


def settings(*artifacts: Artifact, **others: object) -> dict[str, object]:
    """Return vars that pin these artifacts, the first of them by default."""
    models = {artifact.model: artifact.pin() for artifact in artifacts}
    return {
        "tf_embeddings_models": models,
        "tf_embeddings_default_model": artifacts[0].model,
        **{f"tf_embeddings_{name}": value for name, value in others.items()},
    }


@pytest.fixture(scope="session")
def tiny(tiny_with_runtime: Artifact) -> Artifact:
    return tiny_with_runtime


@pytest.fixture(scope="session")
def other(litert_tokens_model: Saved, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The same, its vectors cut to three numbers."""
    folder = tmp_path_factory.mktemp("other_stage")
    shorter = shortened(litert_tokens_model, 3)
    return write_artifact(*shorter, folder, model="other", with_runtime=True)


@pytest.fixture(scope="module")
def project(
    tiny: Artifact,
    other: Artifact,
    local_snowflake: LocalSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> SnowflakeProject:
    """A project that uses `embed` in every place, with two models, `tiny` by default, built."""
    project = make_snowflake_project(
        tmp_path_factory.mktemp("dbt") / "project",
        local_snowflake,
        artifacts=[tiny, other],
        files=FILES,
    )
    project.configure(vars=settings(tiny, other))
    run = project.dbt("build")
    assert run.success, run.errors
    assert created(run) == ["other", "tiny"]
    return project


def created(run: Run, *, success: bool = True) -> list[str]:
    """Return the models whose functions the hook asked for."""
    assert run.success is success, run.errors
    pattern = re.compile(r"tf_embeddings_([a-z]+)_b[0-9a-f]{12}_[0-9a-f]{8}\(text varchar, ")
    return [
        match[1]
        for statement in run.sent("create function")
        if (match := pattern.search(statement))
    ]


def test_a_column_is_the_vector_that_the_runtime_gives(
    project: SnowflakeProject, tiny_embedder: Embedder
) -> None:
    [(embedding,)] = project.rows("select embedding from dev.embedded_by_macro")

    np.testing.assert_allclose(embedding, tiny_embedder.embed([TEXT]).embeddings[0], atol=1e-6)


def test_texts_may_arrive_as_objects(project: SnowflakeProject, tiny_embedder: Embedder) -> None:
    """As `string` in the other tests: Snowflake's own take either, so the runtime does."""
    with project.server.fault("object_dtypes"):
        [row] = project.show(
            "select {{ tf_embeddings.embed('body') }} as embedding,"
            " {{ tf_embeddings.embed('cast(null as varchar)') }} as nothing from {{ ref('texts') }}"
        )

    vector = tiny_embedder.embed([TEXT]).embeddings[0]
    np.testing.assert_allclose(json.loads(str(row["embedding"])), vector, atol=1e-6)
    assert row["nothing"] is None


def test_a_vector_has_a_fixed_length(project: SnowflakeProject) -> None:
    columns = project.rows("describe table dev.embedded_twice")

    assert [row[:2] for row in columns] == [("A", "VECTOR(FLOAT, 8)"), ("B", "VECTOR(FLOAT, 3)")]


def test_the_sql_is_one_call_of_the_function_of_the_pinned_build(
    project: SnowflakeProject, tiny: Artifact
) -> None:
    assert project.dbt("compile", "--select", "embedded_by_macro").success

    compiled = project.folder / "target/compiled/a_project/models/embedded_by_macro.sql"
    assert re.search(
        rf"cast\(as_array\(get\({project.name}\.tf_embeddings\.tf_embeddings_tiny_{tiny.build}_"
        r"[0-9a-f]{8}\(cast\(body as varchar\), false\), 'embedding'\)\) as vector\(float, 8\)\)",
        compiled.read_text(encoding="utf-8"),
    )


def ddl(run: Run) -> list[str]:
    """Return what the hook sent; dbt's own statements have no comment of ours."""
    ours = r"grant |create (schema|stage|function) if not exists .* comment = 'tf_embeddings: "
    return [sql for sql in run.statements if re.match(ours, " ".join(sql.split()))]


@pytest.mark.parametrize(
    ("command", "selected", "models"),
    [
        ("run", "texts plain", []),
        ("run", "measured", ["tiny"]),
        ("run", "embedded_by_macro", ["tiny"]),
        ("run", "embedded_twice", ["other", "tiny"]),
        ("run", "counted", ["tiny"]),  # through an ephemeral model
        ("run", "over_a_table", []),
        ("run", "embed_only_new", ["other"]),
        ("test", "has_text", []),
        ("test", "has_a_vector", ["tiny"]),
        ("test", "embedded_by_macro_resembles_body", ["tiny"]),
        ("test", "two_texts_have_two_vectors", ["tiny"]),
        ("build", "remembered", ["tiny"]),
    ],
)
def test_a_run_creates_the_functions_that_it_needs(
    project: SnowflakeProject, command: str, selected: str, models: list[str]
) -> None:
    empty = [] if command == "test" else ["--empty"]
    run = project.dbt(command, *empty, "--select", *selected.split())

    assert created(run) == models
    assert len(ddl(run)) == (len(models) + 2 if models else 0)


@pytest.mark.parametrize("command", ["compile", "parse", "list", "docs generate"])
def test_nothing_is_created_where_nothing_runs(project: SnowflakeProject, command: str) -> None:
    run = project.dbt(*command.split())

    assert run.success, run.errors
    assert ddl(run) == []


def test_nothing_is_sent_where_another_role_manages(
    project: SnowflakeProject, tiny: Artifact, other: Artifact
) -> None:
    variables = settings(tiny, other, manage=False, grants=["public"])
    run = project.dbt("run", "--empty", "--select", "measured", "--vars", json.dumps(variables))

    assert run.success, run.errors
    assert ddl(run) == []


def test_wrong_settings_stop_the_run_before_its_first_node(
    project: SnowflakeProject, tiny: Artifact
) -> None:
    variables = json.dumps(settings(tiny, max_batch_size=0))
    run = project.dbt("run", "--select", "plain", "measured", "--vars", variables)

    assert not run.success
    assert run.statuses == {}
    assert project.dbt("run", "--select", "plain", "--vars", variables).success


def test_the_schema_of_the_target_is_no_name(project: SnowflakeProject, tiny: Artifact) -> None:
    variables = json.dumps(settings(tiny, schema="a\\b"))
    run = project.dbt("compile", "--select", "measured", "--vars", variables)

    assert not run.success
    assert "tf_embeddings: var tf_embeddings_schema is 'a\\\\b'; it must be a name" in run.output


def test_show_and_operations_embed_without_a_node(project: SnowflakeProject) -> None:
    project.write(
        "macros/operation.sql",
        "{% macro dimensions() %}"
        "{% set vector = a_column(\"'hello'\") %}"
        "{% set sql = 'select array_size(cast(v as array)) from (select ' ~ vector ~ ' as v)' %}"
        "{% do log('dimensions: ' ~ run_query(sql).columns[0].values()[0], info=true) %}"
        "{% endmacro %}",
    )
    operation = project.dbt("run-operation", "dimensions")
    (project.folder / "macros/operation.sql").unlink()
    show = project.dbt(
        "show", "--output", "json",
        "--inline",
        "select array_size(cast(v as array)) as dimensions"
        " from (select {{ a_column(\"'hello'\") }} as v)",
    )  # fmt: skip

    assert operation.success, operation.errors
    assert "dimensions: 8" in operation.output
    assert show.success, show.errors
    assert '"DIMENSIONS": 8' in show.output


def literal(text: str | None) -> str:
    if text is None:
        return "null"
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def test_a_text_of_any_kind_is_data(project: SnowflakeProject, tiny_embedder: Embedder) -> None:
    project.execute("create or replace table dev.any_texts (id integer, body varchar)")
    for id_, text in enumerate(TEXTS):
        project.execute(f"insert into dev.any_texts select {id_}, {literal(text)}")
    project.write(
        "models/any_texts_embedded.sql",
        "select id, body, {{ tf_embeddings.embed('body') }} as embedding from dev.any_texts",
    )
    column = {
        "name": "embedding",
        "data_tests": [
            {"tf_embeddings.embedding_coverage": {"arguments": {"text": "body"}}},
            "tf_embeddings.embedding_dimension",
            "tf_embeddings.embedding_is_finite",
            "tf_embeddings.embedding_is_unit_norm",
        ],
    }
    project.write_yaml(
        "models/any_texts.yml", {"models": [{"name": "any_texts_embedded", "columns": [column]}]}
    )
    run = project.dbt("build", "--select", "any_texts_embedded")

    assert run.success, run.errors
    rows = project.rows("select body, embedding from dev.any_texts_embedded order by id")
    assert [body for body, _ in rows] == TEXTS
    expected = tiny_embedder.embed(TEXTS)
    assert [embedding is not None for _, embedding in rows] == expected.valid.tolist()
    for (_, embedding), vector in zip(rows, expected.embeddings, strict=True):
        if embedding is not None:
            np.testing.assert_allclose(embedding, vector, atol=1e-6)


MARK = "{{ config(meta={'tf_embeddings_tiny': true}) }}\n"


def test_a_call_that_parsing_cannot_see_asks_for_a_line(
    project: SnowflakeProject, tiny: Artifact
) -> None:
    body = INCREMENTAL + "{{ with_new_vectors(ref('texts')) }}"
    project.write("models/new_vectors.sql", body)
    assert project.dbt("run", "--select", "new_vectors").success
    run = project.dbt("run", "--select", "new_vectors")

    assert not run.success
    assert created(run, success=False) == []
    assert (
        "embed: model.a_project.new_vectors uses model 'tiny' through a macro that calls embed "
        "only if is_incremental() or execute is true, so the hook cannot see that it "
        "needs the function. Add this line to models/new_vectors.sql: "
        "{{ config(meta={'tf_embeddings_tiny': true}) }}"
    ) in run.output

    managed = json.dumps(settings(tiny, manage=False))
    unmanaged = project.dbt("compile", "--select", "new_vectors", "--vars", managed)
    assert unmanaged.success, unmanaged.errors

    project.write("models/new_vectors.sql", MARK + body)
    run = project.dbt("run", "--select", "new_vectors")
    (project.folder / "models/new_vectors.sql").unlink()

    assert created(run) == ["tiny"]
    assert project.rows("select count(*), count(embedding) from dev.new_vectors") == [(2, 1)]


def test_a_mark_of_another_model_is_no_mark(project: SnowflakeProject) -> None:
    project.write(
        "models/marked.sql",
        "{{ config(meta={'tf_embeddings_other': true}) }}"
        "{% if execute %}select {{ a_column(\"'fox'\") }} as v{% else %}select 1{% endif %}",
    )
    run = project.dbt("compile", "--select", "marked")
    (project.folder / "models/marked.sql").unlink()

    assert not run.success
    assert "embed: model.a_project.marked uses model 'tiny'" in run.output


NAMES = {
    "plain": {"schema": "Embeddings", "stage": "Files"},
    "quoted": {"schema": '"lower schema"', "stage": 'it\'s a "stage"; $'},
    "upper": {"schema": "UPPER", "stage": '"MODELS"'},
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_kind_reach_the_warehouse(
    name: str, tiny: Artifact, local_snowflake: LocalSnowflake, tmp_path: Path
) -> None:
    project = make_snowflake_project(tmp_path / "project", local_snowflake)
    role = f'"{name} Role"'
    local_snowflake.execute(f"create role if not exists {role}")
    project.configure(vars=settings(tiny, **NAMES[name], grants=[role]))
    project.write("models/a.sql", "select 'fox' as body")
    project.write(
        "models/b.sql",
        "select {{ tf_embeddings.embed('body') }} as embedding from {{ ref('a') }}",
    )
    project.write(
        "macros/stage.sql",
        "{% macro a_stage() %}{{ log('stage ' ~ tf_embeddings._stage_name(), info=true) }}"
        "{% endmacro %}",
    )
    told = project.dbt("run-operation", "a_stage")
    [stage] = [line.removeprefix("stage ") for line in told.printed if line.startswith("stage ")]
    schema = stage.split(".")[1]
    project.execute(f"create schema {schema}")
    project.execute(f"create stage {stage} encryption = (type = 'SNOWFLAKE_SSE')")
    location = f"@{stage}/{tiny.model}/{tiny.version}/".replace("'", "\\'")
    project.execute(f"put 'file://{tiny.path}' '{location}' auto_compress = false")
    run = project.dbt("run")

    assert run.success, run.errors
    assert len([sql for sql in ddl(run) if f"to role {role}" in sql]) == 3
    assert project.rows("select count(embedding) from dev.b") == [(1,)]


@pytest.mark.parametrize("flag", [True, False, None])
def test_an_artifact_that_is_not_staged(
    flag: bool | None, tiny: Artifact, local_snowflake: LocalSnowflake, tmp_path: Path
) -> None:
    project = make_snowflake_project(tmp_path / "project", local_snowflake)
    project.configure(vars=settings(tiny))
    project.configure(flags={} if flag is None else {"skip_nodes_if_on_run_start_fails": flag})
    stops = flag is not False  # dbt's default from 1.12 on
    project.write("models/plain.sql", "select 1 as id")
    project.write("models/a.sql", "select {{ tf_embeddings.embed(\"'fox'\") }} as embedding")
    run = project.dbt("run")

    place = f"@{project.name}.tf_embeddings.models/tiny/{tiny.version}/{tiny.path.name}"
    assert not run.success
    assert f"Remote file '{place}' was not found." in run.output  # as Snowflake has it
    # Where the hook stops the run, dbt does not tell a macro what the hook said.
    assert ("tf_embeddings: model" in run.output) is not stops
    assert (
        stops
        or (
            f"tf_embeddings: model 'tiny' cannot run: its staged file is missing: '{place}'. "
            "Stage it with: python dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write "
            "--target dev"
        )
        in run.output
    )
    assert run.status("plain") == ("skipped" if stops else "success")
    assert run.status("a") == ("skipped" if stops else "error")


def test_a_run_of_ephemeral_models_alone_is_not_told_to_stage(project: SnowflakeProject) -> None:
    run = project.dbt("run", "--select", "embedded_in_passing")

    assert run.success, run.errors
    assert "stage it with" not in run.output


def test_a_run_that_fails_for_another_reason_is_not_told_to_stage(
    project: SnowflakeProject,
) -> None:
    project.write("models/broken.sql", "select nothing from {{ ref('texts') }}")
    run = project.dbt("run", "--empty", "--select", "broken", "measured")
    (project.folder / "models/broken.sql").unlink()

    assert run.status("broken") == "error"
    assert "stage it with" not in run.output


OTHER_ERRORS = {
    "a column": "select {{ tf_embeddings.embed('no_column') }} as v from {{ ref('texts') }}",
    "a table": "select {{ tf_embeddings.embed('body') }} as v from no_table",
    "a cast": "select {{ tf_embeddings.embed('body') }} as v, cast('x' as integer) as n",
    "a function": "select {{ tf_embeddings.embed('body') }} as v, no_function(1) as n",
    "syntax": "select {{ tf_embeddings.embed('body') }} as v frm {{ ref('texts') }}",
    "a schema": "select {{ tf_embeddings.embed('body') }} as v from nobody.tf_embeddings_2.t",
    "a hook": "select {{ tf_embeddings.embed('body') }} as v from {{ ref('texts') }}",
    "a hook that stops": "select {{ tf_embeddings.embed('body') }} as v from {{ ref('texts') }}",
}


def test_what_another_error_says_is_not_put_down_to_the_model(
    tiny: Artifact, local_snowflake: LocalSnowflake, tmp_path: Path
) -> None:
    project = make_snowflake_project(tmp_path / "project", local_snowflake, artifacts=[tiny])
    project.write("models/texts.sql", "select 'fox' as body")
    for name, sql in OTHER_ERRORS.items():
        project.write("models/broken.sql", sql)
        if "hook" in name:
            project.configure(
                **{"on-run-start": "select * from no_table"},
                flags={"skip_nodes_if_on_run_start_fails": name.endswith("stops")},
            )
        run = project.dbt("run", "--empty")

        assert not run.success, name
        assert "tf_embeddings: " not in run.output, name


LACKING = "Package 'tokenizers' is not supported."

# What Snowflake says, whether it said it to the hook, and how the cause begins that is told.
CAUSES: list[tuple[str, bool, str | None]] = [
    (
        "Object 'snowflake.snowpark.pypi_shared_repository' does not exist or not authorized.",
        False,
        "the role of target 'dev' may not use snowflake.snowpark.pypi_shared_repository, where "
        "the function's Python packages come from. Let ACCOUNTADMIN run: grant database role "
        "SNOWFLAKE.PYPI_REPOSITORY_USER to role accountadmin",
    ),
    ("Object 'A.B' does not exist or not authorized.", False, None),
    ("Role 'NOBODY' does not exist or not authorized.", True, "a role in var tf_embeddings_g"),
    ("Database 'NONE' does not exist or not authorized.", True, "the role of target 'dev' sees"),
    ("Insufficient privileges to operate on schema 'TF_EMBEDDINGS'", True, "the role of targe"),
    ("Insufficient privileges to operate on schema 'OTHER'", False, None),
    ("Schema 'DB.TF_EMBEDDINGS' does not exist or not authorized.", False, "its function does"),
    ("Unknown user-defined function DB.TF_EMBEDDINGS.FUNCTION", False, "its function does n"),
    ("Unknown user-defined function DB.DEV.OTHER", False, None),
    ("Function available memory exhausted. in function FUNCTION", False, "its process takes m"),
    ("Function available memory exhausted. in function OTHER", False, None),
    ("timed out after 180s vs. max of 180s in function FUNCTION", False, "a batch takes longe"),
    (LACKING, True, "snowflake.snowpark.pypi_shared_repository"),
    (LACKING, False, None),
    ("No active warehouse selected in the current session.", True, None),
    # No page has the error of a packages policy.
    ("'numpy' is blocked by packages policy P in FUNCTION", False, "the account's packages policy"),
    ("Packages policy P does not allow 'tokenizers'.", True, "the account's packages policy f"),
    ("Packages policy P does not allow 'tokenizers'.", False, None),
]


def test_the_cause_is_what_snowflake_said(project: SnowflakeProject, tiny: Artifact) -> None:
    """Some of it no local Snowflake says; the guide to troubleshooting has the same table."""
    project.write(
        "macros/causes.sql",
        "{% macro causes(cases) %}{% for said, is_of_hook, _ in cases %}{{ log('cause: ' ~ "
        "tf_embeddings._cause(said, tf_embeddings._pin('tiny'), is_of_hook), info=true) }}"
        "{% endfor %}{% endmacro %}",
    )
    text = json.dumps({"cases": CAUSES}).replace("DB.", f"{project.name.upper()}.")
    text = text.replace("FUNCTION", f"TF_EMBEDDINGS_TINY_{tiny.build.upper()}_0123ABCD")
    run = project.dbt("run-operation", "causes", "--args", text)
    (project.folder / "macros/causes.sql").unlink()

    assert run.success, run.errors
    told = [line.removeprefix("cause: ") for line in run.printed if line.startswith("cause: ")]
    for (said, _, cause), one in zip(CAUSES, told, strict=True):
        assert one.startswith(cause) if cause else one == "None", said
    shows = f"select * from {project.name}.information_schema.current_packages_policy"
    assert "it must allow them, all that they need, and python." in told[12]
    assert shows in told[12]
    assert told[-3].endswith(f", all that they need, and python; this shows it: {shows}")


def test_the_cause_with_a_repository_of_the_account(project: SnowflakeProject) -> None:
    """A role needs USAGE to create a function and to call it; no packages policy applies."""
    project.write(
        "macros/cause.sql",
        "{% macro cause(said) %}{{ log('cause: ' ~ tf_embeddings._cause(said, "
        "tf_embeddings._pin('tiny'), true), info=true) }}{% endmacro %}",
    )
    own = "tools.python.our_packages"
    told = []
    for said in (f"Artifact repository '{own.upper()}' does not exist or not authorized.", LACKING):
        options = ("--vars", json.dumps({"tf_embeddings_artifact_repository": own}))
        run = project.dbt("run-operation", "cause", "--args", json.dumps({"said": said}), *options)
        assert run.success, run.errors
        told += [line.removeprefix("cause: ") for line in run.printed if line.startswith("cause: ")]
    (project.folder / "macros/cause.sql").unlink()

    assert told[0] == (
        f"the role of target 'dev' may not use {own}, where the function's Python packages come "
        "from. Let its owner grant usage on its database and schema, and run: grant usage on "
        f"artifact repository {own} to role accountadmin"
    )
    assert told[1].startswith(f"{own} does not resolve the packages ")
    assert told[1].endswith(
        "or set var tf_embeddings_runtime_version or tf_embeddings_artifact_repository."
    )


@pytest.mark.parametrize(
    ("repository", "engines"),
    [
        ("snowflake.snowpark.pypi_shared_repository", ["litert", "tensorflow"]),
        ("tools.python.our_packages", ["litert", "tensorflow"]),
        ("Snowflake.Snowpark.Anaconda_Shared_Repository", ["tensorflow"]),
    ],
)
def test_the_target_says_which_engines_its_functions_can_have(
    project: SnowflakeProject, tiny: Artifact, repository: str, engines: list[str]
) -> None:
    variables = json.dumps(settings(tiny, artifact_repository=repository))
    run = project.dbt("run-operation", "tf_embeddings._staging_target", "--vars", variables)

    assert run.success, run.errors
    [line] = [text for text in run.printed if text.startswith("tf_embeddings_target ")]
    assert json.loads(line.removeprefix("tf_embeddings_target "))["engines"] == engines
