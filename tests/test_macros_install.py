"""What the package adds to a project that installs it: macros, and nothing that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from duckdb_projects import NAME, PACKAGE, Project, make_project

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
    "rerank",
    "stage_copy",
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
WAREHOUSES = ["duckdb", "snowflake"]


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


def macros_in(path: Path) -> list[str]:
    return re.findall(r"\{% (?:macro|test) (\w+)\(", path.read_text(encoding="utf-8"))


def test_a_public_macro_is_the_first_of_a_file_of_its_name() -> None:
    for path in files_of("macros"):
        public = [name for name in macros_in(path) if "__" not in name and name[0] != "_"]
        assert public in ([], [path.stem]), path
        assert not public or macros_in(path)[0] == path.stem, path
    names = {name.removeprefix("test_") for name in PUBLIC}
    for folder in ("embed", "generic_tests", "operations", "search", "store"):
        assert {path.stem for path in (MACROS / folder).glob("[!_]*.sql")} <= names, folder


def test_each_feature_has_a_folder_and_a_file_of_its_name_for_each_warehouse() -> None:
    features = {path.name for path in MACROS.iterdir() if path.is_dir()} - {*WAREHOUSES, "inputs"}
    assert features == {
        *("embed", "generic_tests", "hook", "map", "operations", "search", "staging", "store"),
    }
    for warehouse in WAREHOUSES:
        assert features <= {path.stem for path in (MACROS / warehouse).iterdir()}, warehouse


def dispatched() -> dict[str, str]:
    """Return the arguments of each dispatch of the contract, by its name."""
    text = (MACROS / "contract.sql").read_text(encoding="utf-8")
    return {
        name: re.sub(r"\s+", " ", arguments).strip()
        for name, arguments in re.findall(
            r"adapter\.dispatch\('(\w+)', 'tf_embeddings'\)\(([^)]*)\)", text
        )
    }


def defaults() -> dict[str, str]:
    """Return the body of each default of the contract, by the name of its dispatch."""
    text = (MACROS / "contract.sql").read_text(encoding="utf-8")
    return dict(re.findall(r"\{% macro default__(\w+)\([^)]*\) %\}\n(.*?)endmacro", text, re.S))


def test_only_the_contract_dispatches_and_each_warehouse_answers_it() -> None:
    assert set(defaults()) == set(dispatched())

    for path in files_of("macros"):
        assert path.name == "contract.sql" or "adapter.dispatch" not in path.read_text("utf-8"), (
            path
        )
    for warehouse in WAREHOUSES:
        prefix = f"{warehouse}__"
        answers = {
            name.removeprefix(prefix): path
            for path in files_of("macros")
            for name in macros_in(path)
            if name.startswith(prefix)
        }
        assert {path.parent.name for path in answers.values()} == {warehouse}
        assert set(answers) <= set(dispatched())
        assert {name for name, body in defaults().items() if "_unsupported" in body} <= set(answers)


def test_the_guide_to_a_new_warehouse_lists_the_contract() -> None:
    guide = (PACKAGE / "docs" / "new-warehouse.md").read_text(encoding="utf-8")
    file, listed, optional = "", {}, set()
    for cell, name, arguments, answer in re.findall(
        r"^\| ([^|]*) ?\| `(\w+)\(([^)]*)\)` \| (.*) \|$", guide, re.M
    ):
        file = cell.strip(" `") or file
        listed[name] = arguments
        optional |= {name} if answer.startswith("optional: ") else set()
        for warehouse in WAREHOUSES:
            answers = {f"{warehouse}__{name}"} & {
                macro for path in files_of(f"macros/{warehouse}") for macro in macros_in(path)
            }
            assert answers <= {*macros_in(MACROS / warehouse / file)}, name

    assert listed == dispatched()
    assert [*listed] == [*defaults()]
    assert optional == {name for name in listed if "_unsupported" not in defaults()[name]}


def test_an_unknown_warehouse_is_told_which_there_are() -> None:
    text = (MACROS / "contract.sql").read_text(encoding="utf-8")

    [said] = re.findall(r"\(it runs on: ([^)]*)\)", re.sub(r'"\s*~ "', "", text))
    assert said == ", ".join(WAREHOUSES)


def test_macros_hold_no_sql_comment_and_no_long_line() -> None:
    for path in files_of("macros"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert len(line) <= 100, path
            assert not line.lstrip().startswith("--"), path


def test_the_package_needs_no_other(project: Project) -> None:
    text = (PACKAGE / "packages.yml").read_text(encoding="utf-8")

    assert yaml.safe_load(text) == {"packages": []}
    packages = {macro["package_name"] for macro in project.manifest()["macros"].values()}
    assert packages <= {"tf_embeddings", NAME, "dbt", "dbt_duckdb"}
