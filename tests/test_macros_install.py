"""What the package adds to a project that installs it: macros, and nothing that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from dbt_projects import NAME, PACKAGE, Project, make_project

PUBLIC = {
    "compare_versions",
    "cosine_similarity",
    "drop_unused",
    "embed",
    "embedding_store",
    "embedding_store_metrics",
    "embedding_version",
    "estimate",
    "inner_product",
    "l2_distance",
    "near_duplicates",
    "nearest_neighbors",
    "prune",
    "status",
    "test_embedding_coverage",
    "test_embedding_dimension",
    "test_embedding_drift",
    "test_embedding_is_finite",
    "test_embedding_is_not_constant",
    "test_embedding_is_not_zero",
    "test_embedding_is_unit_norm",
    "test_embedding_matches_golden",
    "test_embedding_no_collapse",
    "test_embedding_version_is_current",
    "test_embeddings_are_similar",
    "test_embeddings_keep_order",
    "test_neighbors_recall",
    "test_text_is_not_truncated",
    "text_hash",
    "token_count",
    "verify",
    "with_embeddings",
}

MACROS = PACKAGE / "macros"
DIALECTS = ["duckdb", "snowflake"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with nothing of its own that has installed the package, parsed."""
    project = make_project(tmp_path_factory.mktemp("dbt") / "project", plugin=False)
    project.write("models/plain.sql", "select 1 as id")
    run = project.dbt("parse")
    assert run.success, run.errors
    return project


def files_of(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((PACKAGE / folder).rglob("*.sql"))]


def test_the_package_adds_no_node_but_its_hooks(project: Project) -> None:
    manifest = project.manifest()
    ours = [
        id_
        for kind in ("nodes", "sources", "exposures", "metrics", "unit_tests", "saved_queries")
        for id_, node in manifest[kind].items()
        if node["package_name"] == "tf_embeddings"
    ]

    assert ours == [
        "operation.tf_embeddings.tf_embeddings-on-run-start-0",
        "operation.tf_embeddings.tf_embeddings-on-run-end-0",
    ]


def test_the_hooks_send_nothing(project: Project) -> None:
    for command in ("build", "run", "test", "compile"):
        run = project.dbt(command)
        assert run.success, run.errors
        assert run.sent("tf_embeddings") == []
        nodes = {id_.partition(".")[0] for id_ in run.statuses if NAME in id_.split(".")}
        assert nodes <= {"model"}


def test_no_deprecations(project: Project) -> None:
    run = project.dbt("parse", "--show-all-deprecations", "--no-partial-parse")

    assert run.success, run.errors
    assert [message for message in run.messages if "eprecat" in message] == []


def test_the_documented_arguments_are_those_of_the_macros(project: Project) -> None:
    project.configure(flags={"validate_macro_args": True, "send_anonymous_usage_stats": False})
    run = project.dbt("parse", "--no-partial-parse", "--warn-error")

    assert run.success, run.errors


def test_every_public_macro_and_its_arguments_are_documented(project: Project) -> None:
    macros = [
        macro
        for macro in project.manifest()["macros"].values()
        if macro["package_name"] == "tf_embeddings"
    ]
    shown = {macro["name"]: macro for macro in macros if macro["docs"]["show"]}

    assert set(shown) == PUBLIC
    for macro in shown.values():
        assert macro["description"]
        assert all(argument["type"] and argument["description"] for argument in macro["arguments"])


def dispatcher_of(path: Path) -> Path | None:
    """Return where the dispatcher of a file below a warehouse's folder would be."""
    if not path.is_relative_to(MACROS):
        return None
    dialect, *below = path.relative_to(MACROS).parts
    return MACROS.joinpath(*below) if dialect in DIALECTS else None


def test_a_file_is_named_after_its_macro() -> None:
    for path in files_of("macros", "tests/generic"):
        names = re.findall(r"\{% (?:macro|test) (\w+)\(", path.read_text(encoding="utf-8"))
        dispatcher = dispatcher_of(path)
        if dispatcher is not None and dispatcher.is_file():
            dialect = path.relative_to(MACROS).parts[0]
            assert names == [f"{dialect}__{path.stem}"], path
        else:
            assert names[0] == path.stem, path
            assert names[1:] in ([], [f"default__{path.stem}"]), path


def test_a_dialect_is_at_the_place_of_its_dispatcher() -> None:
    places = {path.name: path for path in files_of("macros") if dispatcher_of(path) is None}
    for path in files_of("macros"):
        dispatcher = dispatcher_of(path)
        if dispatcher is not None and path.name in places:
            assert dispatcher == places[path.name]


def test_public_macros_are_on_top_and_private_ones_one_folder_down() -> None:
    for path in files_of("macros"):
        *folders, name = path.relative_to(MACROS).parts
        folders = folders[1:] if folders[:1] and folders[0] in DIALECTS else folders
        is_private = name.startswith("_") and path != MACROS / "_settings.sql"
        assert len(folders) == (1 if is_private else 0), path


def test_every_macro_that_is_dispatched_has_each_dialect_or_a_default_that_will_do() -> None:
    for path in files_of("macros"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"adapter\.dispatch\('(\w+)', 'tf_embeddings'\)", text):
            assert name == path.stem
            assert f"{{% macro default__{name}(" in text
            for dialect in DIALECTS if "_unsupported" in text else []:
                assert (MACROS / dialect / path.relative_to(MACROS)).is_file(), (dialect, name)


def test_macros_hold_no_sql_comment_and_no_long_line() -> None:
    for path in files_of("macros", "tests/generic"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert len(line) <= 100, path
            assert not line.lstrip().startswith("--"), path


def test_the_package_needs_no_other(project: Project) -> None:
    text = (PACKAGE / "packages.yml").read_text(encoding="utf-8")

    assert yaml.safe_load(text) == {"packages": []}
    packages = {macro["package_name"] for macro in project.manifest()["macros"].values()}
    assert packages <= {"tf_embeddings", NAME, "dbt", "dbt_duckdb"}
