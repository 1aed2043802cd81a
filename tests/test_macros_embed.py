"""`embed` in every place where SQL is written, and the hook that asks for what the run needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from duckdb_projects import NAME, Project, Run, make_project, stage
from makers import Artifact
from tf_embeddings_udf import Embedder

TEXT = "the quick brown fox"

WRAPPERS = """
{% macro embedded(relation) %}
  select *, {{ a_column('body') }} as embedding from {{ relation }}
{% endmacro %}

{% macro a_column(text) %}
  {{ return(tf_embeddings.embed(text)) }}
{% endmacro %}
"""

EMBED_ONLY_NEW = """
{{ config(materialized='incremental') }}
{# tf_embeddings.embed('this is a comment') #}
{% if is_incremental() %}
  select body, {{ tf_embeddings.embed("upper(trim(body))", model='strings') }} as embedding
  from {{ ref('texts') }}
{% else %}
  select body, cast(null as float[3]) as embedding from {{ ref('texts') }}
{% endif %}
"""

GENERIC_TEST = """
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
  - name: embedded_by_configured_hook
    config:
      post_hook: >-
        create or replace table by_configured_hook as
        select {{{{ tf_embeddings.embed('body', 'strings') }}}} as embedding from {{{{ this }}}}
  - name: versioned
    latest_version: 2
    versions: [{{v: 1}}, {{v: 2}}]
unit_tests:
  - name: has_an_id
    model: versioned
    given: []
    expect:
      rows: [{{id: 1}}]
  - name: two_texts_have_two_vectors
    model: embedded
    given:
      - input: ref('texts')
        rows: [{{body: "{TEXT}"}}, {{body: "{TEXT}"}}, {{body: ""}}]
    expect:
      rows:
        - {{body: "{TEXT}", dimensions: 8}}
        - {{body: "{TEXT}", dimensions: 8}}
        - {{body: "", dimensions: null}}
  - name: is_not_embedded
    model: counted
    given:
      - input: ref('embedded_in_passing')
        format: sql
        rows: select 'a' as body, null as embedding
    expect:
      rows: [{{texts: 1}}]
"""

FILES = {
    "macros/wrappers.sql": WRAPPERS,
    "macros/resembles.sql": GENERIC_TEST,
    "models/texts.sql": f"select '{TEXT}' as body",
    "models/plain.sql": "select * from {{ ref('texts') }}",
    "models/embedded.sql": (
        "{{ config(meta={'owner': 'search'}) }}"
        "select body, len({{ tf_embeddings.embed('body') }}) as dimensions from {{ ref('texts') }}"
    ),
    "models/embedded_by_macro.sql": "{{ embedded(ref('texts')) }}",
    "models/embedded_twice.sql": (
        "select {{ tf_embeddings.embed('body') }} as a,"
        " {{ tf_embeddings.embed('body', 'strings') }} as b from {{ ref('texts') }}"
    ),
    "models/embedded_in_passing.sql": (
        "{{ config(materialized='ephemeral') }}"
        "select body, {{ tf_embeddings.embed('body') }} as embedding from {{ ref('texts') }}"
    ),
    "models/passed_on.sql": (
        "{{ config(materialized='ephemeral') }} select * from {{ ref('embedded_in_passing') }}"
    ),
    "models/counted.sql": "select count(*) as texts from {{ ref('embedded_in_passing') }}",
    "models/counted_again.sql": "select count(*) as texts from {{ ref('passed_on') }}",
    "models/over_a_table.sql": "select * from {{ ref('embedded_by_macro') }}",
    "models/embed_only_new.sql": EMBED_ONLY_NEW,
    "models/embedded_by_hook.sql": """
        {{ config(post_hook="
          create or replace table by_post_hook as
          select {{ tf_embeddings.embed('body') }} as embedding from {{ this }}
        ") }}
        select 'fox' as body
    """,
    "models/embedded_by_configured_hook.sql": "select 'fox' as body",
    "models/versioned_v1.sql": "select 1 as id",
    "models/versioned_v2.sql": "select 1 as id, {{ tf_embeddings.embed(\"'fox'\") }} as embedding",
    "snapshots/remembered.sql": """
        {% snapshot remembered %}
          {{ config(unique_key='body', strategy='check', check_cols=['body']) }}
          select body, {{ tf_embeddings.embed('body') }} as embedding from {{ ref('texts') }}
        {% endsnapshot %}
    """,
    "models/properties.yml": PROPERTIES,
    "tests/has_a_neighbor.sql": (
        "select 1 from {{ ref('texts') }} where {{ tf_embeddings.embed('body') }} is null"
    ),
    "tests/has_text.sql": "select 1 from {{ ref('texts') }} where body is null",
}


@pytest.fixture(scope="module")
def project(tiny: Artifact, strings: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that uses `embed` in every place, with two models, `tiny` by default, built."""
    project = make_project(
        tmp_path_factory.mktemp("dbt") / "project", artifacts=[tiny, strings], files=FILES
    )
    models = {one.model: stage(project, one) for one in (tiny, strings)}
    project.configure(vars={"tf_embeddings_models": models, "tf_embeddings_default_model": "tiny"})
    run = project.dbt("build")
    assert run.success, run.errors
    return project


def checked(run: Run) -> list[str]:
    """Return the names of the models that the hook's SQL asked for."""
    assert run.success, run.errors
    return [
        call.partition("'")[2].partition("'")[0]
        for statement in run.sent("tf_embeddings_check(")
        for call in statement.split("tf_embeddings_check(")[1:]
    ]


def test_a_column_is_the_vector_that_the_runtime_gives(
    project: Project, tiny_embedder: Embedder
) -> None:
    [(embedding,)] = project.rows("select embedding from embedded_by_macro")

    np.testing.assert_allclose(embedding, tiny_embedder.embed([TEXT]).embeddings[0], atol=1e-6)


def test_a_vector_has_a_fixed_length(project: Project) -> None:
    columns = project.rows("select column_name, column_type from (describe embedded_twice)")

    assert columns == [("a", "FLOAT[8]"), ("b", "FLOAT[3]")]


def test_the_sql_is_one_call_of_the_function_of_the_pinned_build(
    project: Project, tiny: Artifact
) -> None:
    project.dbt("compile", "--select", "embedded_by_macro")

    compiled = project.folder / "target/compiled/a_project/models/embedded_by_macro.sql"
    assert (
        f"struct_extract({tiny.function}(cast(body as varchar), false), 'embedding')"
        in compiled.read_text()
    )


def test_the_hook_sends_one_statement_for_all_models_of_the_run(
    project: Project, tiny: Artifact, strings: Artifact
) -> None:
    run = project.dbt("build")

    assert run.sent("tf_embeddings_check") == [
        f"select tf_embeddings_check('strings', '{strings.version}', '{strings.build}', 3), "
        f"tf_embeddings_check('tiny', '{tiny.version}', '{tiny.build}', 8)"
    ]


@pytest.mark.parametrize(
    ("selected", "models"),
    [
        ("texts plain", []),
        ("embedded", ["tiny"]),
        ("embedded_by_macro", ["tiny"]),
        ("embedded_twice", ["strings", "tiny"]),
        ("counted", ["tiny"]),  # through an ephemeral model
        ("counted_again", ["tiny"]),  # through an ephemeral model over another
        ("over_a_table", []),
        ("embed_only_new", ["strings"]),
        ("embedded_by_hook", ["tiny"]),
        ("embedded_by_configured_hook", ["strings"]),
        ("versioned.v1", []),
        ("versioned.v2", ["tiny"]),
    ],
)
def test_a_run_asks_for_the_models_that_it_needs(
    project: Project, selected: str, models: list[str]
) -> None:
    assert checked(project.dbt("run", "--select", *selected.split())) == models


@pytest.mark.parametrize(
    ("selected", "models"),
    [
        ("has_a_neighbor", ["tiny"]),
        ("has_text", []),
        ("embedded_by_macro_resembles_body", ["tiny"]),
        ("two_texts_have_two_vectors", ["tiny"]),
        ("is_not_embedded", []),  # the ephemeral model's rows are given
        ("versioned.v1", []),
        ("versioned.v2", ["tiny"]),
    ],
)
def test_a_test_asks_for_the_models_that_it_needs(
    project: Project, selected: str, models: list[str]
) -> None:
    assert checked(project.dbt("test", "--select", selected)) == models


def test_a_snapshot_asks_for_the_models_that_it_needs(project: Project) -> None:
    assert checked(project.dbt("snapshot")) == ["tiny"]


def test_a_call_inside_is_incremental_is_run(project: Project) -> None:
    assert project.dbt("run", "--full-refresh", "--select", "embed_only_new").success
    assert project.dbt("run", "--select", "embed_only_new").success

    rows = project.rows("select embedding is null from embed_only_new")
    assert sorted(rows) == [(False,), (True,)]


def test_the_mark_joins_the_meta_that_a_node_has(project: Project, tiny: Artifact) -> None:
    project.dbt("parse")

    nodes = project.manifest()["nodes"]
    assert nodes["model.a_project.embedded"]["config"]["meta"] == {
        "owner": "search",
        "tf_embeddings_tiny": [True, tiny.version, tiny.build],
    }
    assert nodes["model.a_project.plain"]["config"]["meta"] == {}


def test_the_nodes_of_a_model_can_be_selected_by_their_mark(project: Project) -> None:
    run = project.dbt("run", "--select", "config.meta.tf_embeddings_strings:true")

    assert run.success
    assert "model.a_project.embedded_twice" in run.statuses
    assert "model.a_project.embedded" not in run.statuses


def test_a_hook_of_the_project_may_embed(tiny: Artifact, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", artifacts=[tiny])
    project.write("models/plain.sql", "select 1 as id")
    hook = "create or replace table by_hook as select {{ tf_embeddings.embed(\"'fox'\") }} as v"
    project.configure(**{"on-run-end": [hook]})

    assert checked(project.dbt("run")) == ["tiny"]
    assert project.rows("select len(v) from by_hook") == [(8,)]


def test_partial_parsing_follows_an_edit(tiny: Artifact, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", artifacts=[tiny])
    project.write("macros/column.sql", "{% macro a_column() %}1{% endmacro %}")
    project.write("models/a.sql", "select {{ a_column() }} as v")
    assert checked(project.dbt("run")) == []

    project.write(
        "macros/column.sql",
        "{% macro a_column() %}{{ tf_embeddings.embed(\"'fox'\") }}{% endmacro %}",
    )
    run = project.dbt("run")
    assert checked(run) == ["tiny"]
    assert not any("Unable to do partial parsing" in message for message in run.messages)
    assert checked(project.dbt("run")) == ["tiny"]

    project.write("macros/column.sql", "{% macro a_column() %}1{% endmacro %}")
    assert checked(project.dbt("run")) == []


def test_a_changed_pin_is_seen_without_an_edit(
    tiny: Artifact, strings: Artifact, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", artifacts=[tiny])
    project.write("models/a.sql", "select {{ tf_embeddings.embed(\"'fox'\") }} as v")
    assert checked(project.dbt("run")) == ["tiny"]

    project.pin(strings=stage(project, strings))
    assert checked(project.dbt("run")) == ["strings"]
    assert project.rows("select len(v) from a") == [(3,)]


def test_show_embeds_without_a_model(project: Project) -> None:
    run = project.dbt(
        "show", "--output", "json",
        "--inline", "select len({{ tf_embeddings.embed(\"'hello'\") }}) as dimensions",
    )  # fmt: skip

    assert run.success, run.errors
    assert '"dimensions": 8' in run.output


def test_an_operation_embeds(project: Project) -> None:
    project.write(
        "macros/operation.sql",
        "{% macro dimensions() %}"
        "{% set sql = 'select len(' ~ tf_embeddings.embed(\"'hello'\") ~ ')' %}"
        "{% do log('dimensions: ' ~ run_query(sql).columns[0].values()[0], info=true) %}"
        "{% endmacro %}",
    )
    run = project.dbt("run-operation", "dimensions")
    (project.folder / "macros/operation.sql").unlink()

    assert run.success, run.errors
    assert "dimensions: 8" in run.output


def test_a_model_that_embeds_and_becomes_a_view_by_default_is_warned_of(
    tiny: Artifact, tmp_path: Path
) -> None:
    """Each data test would embed all its texts again."""
    embed = "select {{ tf_embeddings.embed(\"'fox'\") }} as v"
    files = {
        "models/plain.sql": "select 1 as id",
        "models/forgotten.sql": embed,
        "models/meant.sql": "{{ config(materialized='view') }}" + embed,
        "models/table.sql": "{{ config(materialized='table') }}" + embed,
    }
    project = make_project(tmp_path / "project", artifacts=[tiny], files=files)
    project.configure(models={})
    run = project.dbt("build")

    assert run.success, run.errors
    assert (
        "tf_embeddings: model.a_project.forgotten would be a view, which embeds all its texts at "
        "each query and each data test. Add {{ config(materialized='table') }}, or 'incremental'; "
        "or 'view' to keep it a view."
    ) in run.output
    project.write("models/forgotten.sql", "{{ config(materialized='view') }}" + embed)
    assert project.dbt("--warn-error", "build").success


# Nodes that change with the pin of `tiny`; of data tests, dbt compares neither meta nor code.
PINNED = {
    "models/configured.sql": (
        "{{ config(materialized='table', meta={'owner': 'search'}) }}"
        "select {{ tf_embeddings.embed('body') }} as v from {{ ref('texts') }}"
    ),
    "models/unconfigured.sql": "select {{ tf_embeddings.embed('1') }} as v",
    "models/wrapped.sql": "{{ config(materialized='table') }}{{ embedded(ref('texts')) }}",
    "models/twice.sql": (
        "{{ config(materialized='table') }}"
        "select {{ tf_embeddings.embed('body', 'strings') }} as a, "
        "{{ tf_embeddings.embed('body') }} as b from {{ ref('texts') }}"
    ),
    "models/store.sql": (
        "{{ config(tags=['mine']) }}"
        "{{ tf_embeddings.embedding_store({'ref': 'texts', 'column': 'body'}) }}"
    ),
    "models/joined.sql": (
        "{{ config(materialized='table') }}"
        "{{ tf_embeddings.with_embeddings(ref('texts'), 'body', 'another.store') }}"
    ),
    "models/searched.sql": (
        "{{ config(materialized='table') }}"
        "{{ tf_embeddings.near_duplicates('another.vectors', 'id') }}"
    ),
    "snapshots/kept.sql": """
        {% snapshot kept %}
          {{ config(unique_key='body', strategy='check', check_cols=['body']) }}
          select body, {{ tf_embeddings.embed('body') }} as embedding from {{ ref('texts') }}
        {% endsnapshot %}
    """,
}
UNPINNED = {
    "macros/wrappers.sql": WRAPPERS,
    "models/texts.sql": f"select '{TEXT}' as body",
    "models/other.sql": (
        "{{ config(materialized='table') }}"
        "select {{ tf_embeddings.embed('body', 'strings') }} as v from {{ ref('texts') }}"
    ),
}


@pytest.mark.parametrize("compares_unrendered", [False, True])  # dbt 1.12's default is True
@pytest.mark.parametrize("scope", [None, pytest.param(NAME, marks=pytest.mark.exhaustive)])
def test_dbt_sees_a_changed_pin_as_a_change_of_the_nodes_that_use_it(
    compares_unrendered: bool, scope: str | None, tiny: Artifact, strings: Artifact, tmp_path: Path
) -> None:
    """What slim CI selects: a different target or folder changes nothing."""

    def pin(tiny: Artifact) -> None:
        models = {one.model: one.pin() for one in (tiny, strings)}
        given = {"tf_embeddings_models": models, "tf_embeddings_default_model": "tiny"}
        project.configure(vars={scope: given} if scope else given)

    def modified(*flags: str) -> set[str]:
        run = project.dbt(
            "list", "--select", "state:modified", "--state", "state", "--output", "name", *flags
        )
        assert run.success, run.errors
        return {Path(path).stem for path in {**UNPINNED, **PINNED}} & set(run.printed)

    project = make_project(tmp_path / "project", files={**UNPINNED, **PINNED})
    flags = {"state_modified_compare_more_unrendered_values": compares_unrendered}
    project.configure(flags={"send_anonymous_usage_stats": False, **flags})
    pin(tiny)
    assert project.dbt("parse", "--write-json").success
    (project.folder / "target/manifest.json").rename(project.folder / "manifest.json")
    (project.folder / "state").mkdir()
    (project.folder / "manifest.json").rename(project.folder / "state/manifest.json")
    assert modified() == set()

    pin(replace(tiny, build="b0123456789ab"))
    embedding = {Path(path).stem for path in PINNED} - {"joined", "searched"}
    assert modified() == embedding
    pin(replace(tiny, version="v0123456789ab"))
    assert modified() == {Path(path).stem for path in PINNED}
    assert modified("--no-partial-parse") == {Path(path).stem for path in PINNED}


@pytest.mark.parametrize("command", ["compile", "parse", "list", "docs generate"])
def test_nothing_is_sent_where_nothing_runs(project: Project, command: str) -> None:
    run = project.dbt(*command.split())

    assert run.success, run.errors
    assert run.sent("tf_embeddings") == []


def test_an_expression_of_any_type_is_cast(project: Project) -> None:
    run = project.dbt(
        "show", "--output", "json",
        "--inline",
        "select {{ tf_embeddings.embed('42') }} = {{ tf_embeddings.embed(\"'42'\") }} as is_same,"
        " {{ tf_embeddings.embed('null') }} is null as is_null,"
        " {{ tf_embeddings.embed(\"'  '\") }} is null as is_blank",
    )  # fmt: skip

    assert run.success, run.errors
    assert '"is_same": true' in run.output
    assert '"is_null": true' in run.output
    assert '"is_blank": true' in run.output
