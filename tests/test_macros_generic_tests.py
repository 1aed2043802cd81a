"""Each generic test, seen to pass and seen to fail."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from conftest import load_artifact
from duckdb_projects import NAME, Project, Run, make_project, stage
from makers import Artifact

# One vector of each kind, as DuckDB writes a FLOAT[3].
VECTORS = {
    "good": "[0.6, 0.8, 0]",
    "missing": "null",
    "zero": "[0, 0, 0]",
    "tiny": "[1e-30, 0, 0]",
    "long": "[3, 4, 0]",
    "rounded": "[0.60003, 0.8, 0]",
    "nan": "['nan'::float, 0, 0]",
    "infinite": "['-infinity'::float, 0, 0]",
    "with_null": "[null, 1, 0]",
}

TABLE = " union all ".join(
    f"select '{name}' as name, cast({vector} as float[3]) as embedding"
    for name, vector in VECTORS.items()
)


def properties(model: str, *tests: dict[str, Any] | str) -> dict[str, Any]:
    """Return the properties of a model whose column `embedding` has these tests."""
    column = {"name": "embedding", "data_tests": list(tests)}
    return {"models": [{"name": model, "columns": [column]}]}


def call_of(name: str, **arguments: object) -> dict[str, Any]:
    return {f"tf_embeddings.{name}": {"arguments": arguments}}


@pytest.fixture(scope="module")
def project(tiny: Artifact, strings: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the table of vectors and a table of texts; `strings` is the default model."""
    project = make_project(tmp_path_factory.mktemp("dbt") / "project", artifacts=[tiny, strings])
    project.configure(
        vars={
            "tf_embeddings_models": {one.model: stage(project, one) for one in (tiny, strings)},
            "tf_embeddings_default_model": "strings",
        }
    )
    project.write("models/vectors.sql", TABLE)
    project.write("models/lists.sql", f"select embedding::float[] as embedding from ({TABLE})")
    project.write(
        "models/covered.sql",
        "select body, {{ tf_embeddings.embed('body') }} as embedding from (values"
        " ('a'), (null), (''), ('   '), (chr(160) || chr(8195)), ('  b  ')) as texts(body)",
    )
    run = project.dbt("run")
    assert run.success, run.errors
    return project


def failing(project: Project, run: Run) -> list[str]:
    """Return the names of the rows that the one test of a run found."""
    [id_] = [id_ for id_ in run.statuses if id_.startswith("test.")]
    table = run.relations[id_].split(".", 1)[1]
    return [name for (name,) in project.rows(f"select name from {table} order by name")]


def outcome(project: Project, model: str, test: dict[str, Any] | str) -> Run:
    project.write_yaml("models/properties.yml", properties(model, test))
    return project.dbt("test", "--select", model, "--store-failures")


@pytest.mark.parametrize(
    ("test", "rows"),
    [
        (call_of("embedding_dimension", dimensions=3), []),
        ("tf_embeddings.embedding_dimension", []),
        (call_of("embedding_dimension", embedding_model="strings"), []),
        (call_of("embedding_dimension", dimensions=4), sorted(set(VECTORS) - {"missing"})),
        (
            call_of("embedding_dimension", embedding_model="tiny"),
            sorted(set(VECTORS) - {"missing"}),
        ),
        ("tf_embeddings.embedding_is_finite", ["infinite", "nan", "with_null"]),
        ("tf_embeddings.embedding_is_not_zero", ["zero"]),
        (
            "tf_embeddings.embedding_is_unit_norm",
            ["infinite", "long", "nan", "tiny", "zero"],
        ),
        (
            call_of("embedding_is_unit_norm", tolerance="1e-5"),
            ["infinite", "long", "nan", "rounded", "tiny", "zero"],
        ),
        (
            call_of("embedding_is_unit_norm", tolerance=0.99),
            ["infinite", "long", "nan", "tiny", "zero"],
        ),
    ],
)
def test_the_failing_rows_are_returned(
    project: Project, test: dict[str, Any] | str, rows: list[str]
) -> None:
    run = outcome(project, "vectors", test)

    assert run.success == (not rows), run.errors
    assert failing(project, run) == rows


@pytest.mark.parametrize(
    "name", ["embedding_is_finite", "embedding_is_not_zero", "embedding_is_unit_norm"]
)
def test_good_vectors_pass(project: Project, name: str) -> None:
    test = {f"tf_embeddings.{name}": {"config": {"where": "name in ('good', 'missing')"}}}

    assert outcome(project, "vectors", test).success


def test_a_list_is_a_vector_too(project: Project) -> None:
    test = {
        "tf_embeddings.embedding_dimension": {
            "arguments": {"dimensions": 3},
            "config": {"where": "embedding is not null"},
        }
    }

    assert outcome(project, "lists", test).success
    assert not outcome(project, "lists", "tf_embeddings.embedding_is_finite").success


def test_coverage_passes_where_every_text_has_a_vector(project: Project) -> None:
    run = outcome(project, "covered", call_of("embedding_coverage", text="body"))

    assert run.success, run.errors
    assert project.rows("select count(*) from covered where embedding is null") == [(4,)]


@pytest.mark.parametrize(
    ("without_vector", "passes"),
    [("a", False), ("  b  ", False), ("", True), ("   ", True), ("\u00a0\u2003", True)],
)
def test_coverage_fails_for_a_text_without_a_vector_unless_it_is_blank(
    project: Project, without_vector: str, passes: bool
) -> None:
    project.write(
        "models/uncovered.sql",
        "select body, case when body is distinct from '" + without_vector + "' then embedding end"
        " as embedding, body as name from {{ ref('covered') }}",
    )
    assert project.dbt("run", "--select", "uncovered").success
    run = outcome(project, "uncovered", call_of("embedding_coverage", text="body"))

    assert run.success == passes, run.errors
    assert failing(project, run) == ([] if passes else [without_vector])


@pytest.mark.parametrize(("at_least", "passes"), [(0.5, True), (0.51, False)])
def test_coverage_may_be_a_share_of_what_has_content(
    project: Project, at_least: float, passes: bool
) -> None:
    project.write(
        "models/half_covered.sql",
        "select body, case when body = 'a' then embedding end as embedding, body as name"
        " from {{ ref('covered') }}",
    )
    assert project.dbt("run", "--select", "half_covered").success
    test = call_of("embedding_coverage", text="body", at_least=at_least)
    run = outcome(project, "half_covered", test)

    assert run.success == passes, run.errors
    assert failing(project, run) == ([] if passes else ["  b  "])


def test_coverage_finds_a_text_that_the_model_fails_on(project: Project) -> None:
    project.write(
        "models/broken.sql",
        "select body as name, {{ tf_embeddings.embed('body') }} as embedding"
        " from (values ('a'), ('not a number')) as texts(body)",
    )
    assert project.dbt("run", "--select", "broken").success
    run = outcome(project, "broken", call_of("embedding_coverage", text="name"))

    assert not run.success
    assert failing(project, run) == ["not a number"]


def test_coverage_asks_for_the_model_that_it_names(project: Project) -> None:
    run = outcome(
        project, "covered", call_of("embedding_coverage", text="body", embedding_model="tiny")
    )

    assert run.success, run.errors
    [check] = run.sent("tf_embeddings_check(")
    assert "'tiny'" in check
    assert "'strings'" not in check


def test_the_tests_of_vectors_alone_need_no_model(project: Project) -> None:
    run = outcome(project, "vectors", "tf_embeddings.embedding_is_finite")

    assert run.sent("tf_embeddings_check(") == []


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (
            call_of("embedding_dimension", dimensions="384"),
            "embedding_dimension: dimensions is '384'; it must be a whole number from 1, or be "
            "left out for that of the pinned model.",
        ),
        (
            call_of("embedding_dimension", embedding_model="use"),
            "embedding_dimension: model 'use' is not in var tf_embeddings_models (it has: tiny, "
            "strings). Correct the name, or stage it with "
            "dbt_packages/tf_embeddings/scripts/stage_model.py and add its pin to "
            "dbt_project.yml (or vars.yml).",
        ),
        (
            call_of("embedding_dimension", embedding_model=7),
            "embedding_dimension: model is 7; it must be the name of a model in quotes, such as "
            "embedding_model: minilm, or be left out for the default model.",
        ),
        (
            call_of("embedding_is_unit_norm", tolerance="small"),
            "embedding_is_unit_norm: tolerance is 'small'; it must be a number from 0 to 1, the "
            "most that a length may differ from 1.",
        ),
        (
            call_of("embedding_coverage", text=""),
            "embedding_coverage: text is empty; it must be a SQL expression in quotes, such as a "
            "column: embedding_coverage(text='body', …).",
        ),
    ],
)
def test_a_wrong_argument(project: Project, test: dict[str, Any], says: str) -> None:
    run = outcome(project, "vectors", test)

    assert not run.success
    assert says in run.output


def test_the_model_is_asked_only_about_texts_without_a_vector(
    project: Project, strings: Artifact
) -> None:
    """Else testing a table would cost what making it did."""
    project.write_yaml(
        "models/properties.yml",
        properties("covered", call_of("embedding_coverage", text="body")),
    )
    assert project.dbt("compile", "--select", "covered").success
    [compiled] = (project.folder / "target/compiled").rglob(
        "*_coverage_covered_embedding__body.sql"
    )
    asked = texts_passed_to(project, strings, compiled.read_text(encoding="utf-8"))

    assert sorted(asked) == ["", "   ", "\u00a0\u2003"]


def texts_passed_to(project: Project, artifact: Artifact, sql: str) -> list[str]:
    """Run SQL with the real model behind its function; return the texts that it was given."""
    embedder = load_artifact(artifact)
    asked: list[str] = []

    def status(text: str, _: bool) -> dict[str, str]:
        asked.append(text)
        return {"status": str(embedder.embed([text]).statuses[0])}

    with duckdb.connect(str(project.database), read_only=True) as connection:
        connection.create_function(
            artifact.function,
            status,
            ["VARCHAR", "BOOLEAN"],
            connection.sqltype("STRUCT(status VARCHAR)"),
        )
        connection.execute(sql.replace(f'"{NAME}".', "")).fetchall()
    return asked
