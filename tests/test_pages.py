"""The pages are run, not believed: see pages.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pages import (
    PAGES,
    ROOT,
    Block,
    Finished,
    PageError,
    Place,
    Reader,
    listed,
    not_run,
    parse,
    runs,
    section,
    the_block,
)

RUNS = [(page, run) for page in PAGES for run in range(len(runs(page)))]
SNOWFLAKE = "docs/get-started/snowflake.md"


@pytest.mark.parametrize(("page", "run"), RUNS)
def test_who_follows_a_page_gets_to_its_end(page: str, run: int, finished: Finished) -> None:
    finished(page, run)


@pytest.mark.parametrize("page", PAGES)
def test_a_block_before_the_start_is_listed(page: str) -> None:
    followed = [block for _, blocks in runs(page) for block in blocks]
    for part in parse(page):
        if isinstance(part, Block) and part not in followed and part.language != "text":
            assert listed(part), part.error("is not run: where does it start?")


def test_what_is_not_run_is_there_once() -> None:
    assert [*not_run()] == sorted(not_run())
    for page, entries in not_run().items():
        texts = [part.text for part in parse(page) if isinstance(part, Block)]
        for entry in entries:
            found = [text for text in texts if text.startswith(entry["block"])]
            assert len(found) == 1, f"{page}: {entry['block']}"
            assert entry["why"]


@pytest.mark.parametrize("page", ["README.md", "docs/get-started/duckdb.md"])
def test_who_follows_a_guide_to_duckdb_has_vectors(page: str, finished: Finished) -> None:
    place = finished(page)
    counted = "select count(*), count(embedding), max(len(embedding)) from tickets_embedded"
    assert place.rows(counted) == [(150, 149, 384)]
    assert place.rows("select count(distinct body) from tickets") == [(149,)]
    assert place.rows("select count(*) from embedding_store") == [(149,)]


@pytest.mark.parametrize(("page", "run"), [("README.md", 1), (SNOWFLAKE, 1), (SNOWFLAKE, 2)])
def test_who_follows_a_guide_to_snowflake_has_vectors(
    page: str, run: int, finished: Finished
) -> None:
    sql = """
        select count(*), count(embedding), max(array_size(embedding::array))
        from dbt.tickets_embedded
    """
    roles = {"user": "dbt_runner", "role": "transformer"}
    assert finished(page, run).snowflake_rows(sql, **roles) == [(150, 149, 384)]


def test_two_roles_have_one_function_that_both_may_use(finished: Finished) -> None:
    functions = "show user functions like 'TF_EMBEDDINGS_%' in schema analytics.tf_embeddings"
    for role in ("embeddings_admin", "transformer"):
        keys = {"user": "dbt_runner", "role": role}
        assert len(finished(SNOWFLAKE, 2).snowflake_rows(functions, **keys)) == 2


def test_the_pin_looks_as_the_guide_says(finished: Finished) -> None:
    place = finished("docs/get-started/duckdb.md")
    block = the_block("docs/get-started/duckdb.md", "vars:\n  tf_embeddings_models:")
    shown = yaml.safe_load(block.text)["vars"]["tf_embeddings_models"]
    content = yaml.safe_load((place.project / "dbt_project.yml").read_text("utf-8"))
    written = content["vars"]["tf_embeddings_models"]
    assert [*shown] == [*written] == ["minilm"]
    assert [*shown["minilm"]] == [*written["minilm"]]
    for key in ("dimensions", "kind", "packages"):
        assert shown["minilm"][key] == written["minilm"][key]


def test_the_readme_has_at_most_250_lines_and_five_commands_to_vectors() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 250
    own = section("README.md", "## Your own project on DuckDB")
    lines = re.findall(r"^(?:pip|dbt|python) .*", own, re.M)
    made = ("dbt init", "python -m venv")  # for whoever has no project or environment
    assert [line for line in lines if not line.startswith(made)] == [
        'pip install "dbt-core>=1.11,<2" dbt-duckdb',
        "dbt deps",
        "pip install -r dbt_packages/tf_embeddings/requirements-staging.txt",
        "python dbt_packages/tf_embeddings/scripts/stage_model.py minilm --write",
        "dbt build",
    ]


def test_the_readmes_links_lead_somewhere() -> None:
    """Those of the other pages are checked where the site is built."""
    text = (ROOT / "README.md").read_text("utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = link.partition("#")
        assert (ROOT / path).exists(), link
        titles = re.findall(r"^#+ (.*)", (ROOT / path).read_text("utf-8"), re.M) if anchor else ()
        slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
        assert anchor == "" or anchor in slugs, link


def test_the_demos_line_on_the_engine_is_that_of_the_guide() -> None:
    line = the_block("docs/guides/stage-a-model.md", "Engine of minilm").text.splitlines()[0]
    assert f"\n{line}\n" in section("docs/get-started/no-account.md", "## The demo")


def test_the_version_is_the_same_everywhere() -> None:
    package = yaml.safe_load((ROOT / "dbt_project.yml").read_text("utf-8"))["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert re.findall(r"^## (\S+)", changelog, re.M)[0] == package
    assert re.findall(r'^version = "(.*)"', project, re.M) == [package]


def test_the_versions_of_dbt_are_those_that_ci_tests() -> None:
    """Each row's version is locked, and its command is a part of `.ci/run` that runs its tests."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    calls = re.findall(r"^make ([^#\n]*)", (ROOT / ".ci" / "run").read_text("utf-8"), re.M)
    targets = " ".join(calls).replace('"${1:-test}"', "test").replace("--jobs=2", "").split()
    rows = re.findall(
        r"^\| (\S+)[^|]* \| (\S+), `make (\S+)` \| (.*) \| (.*) \|$",
        section("README.md", "## Versions of dbt"),
        re.M,
    )
    tested = {
        "test": ("requirements-dev.lock", "dbt-core", "all tests", "all tests"),
        "test-dbt-1.11": ("requirements-dbt-1.11.lock", "dbt-core", "smoke suite", "smoke suite"),
        "test-dbt-v2": ("requirements-dbt-v2.lock", "dbt", "does not run", "smoke suite"),
    }

    assert targets == ["lint", "docs", *tested]
    assert [target for _, _, target, _, _ in rows] == [*tested]
    for named, version, target, *engines in rows:
        lock, package, *expected = tested[target]
        [variable] = re.findall(rf"^(\w+) := .*digest,{re.escape(lock)}\)", makefile, re.M)
        [needs, recipe] = re.findall(
            rf"^{re.escape(target)}: (.*)  ## .*\n((?:\t.*\n)+)", makefile, re.M
        )[0]
        assert engines == expected
        assert f"{package}=={version} \\\n" in (ROOT / lock).read_text("utf-8")
        assert version.startswith(named.replace("v", ""))
        assert f"$({variable})" in needs
        assert ("tests/test_dbt_" in recipe) is (target != "test")


def test_the_smoke_suite_of_dbt_1_11_runs_both_engines_and_the_demo_on_both() -> None:
    suite = (ROOT / "tests" / "test_dbt_1_11.py").read_text("utf-8")

    assert 'params=["duckdb", "snowflake"]' in suite
    assert 'parametrize("target", ["duckdb", "local_snowflake"])' in suite


def block(language: str, title: str, text: str) -> Block:
    return Block("a page", 1, language, title, text)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (block("sh", "", "false | true\n"), "fails: false | true"),
        (block("sh", "", "dbt --version || dbt --nothing && false\n"), "fails: dbt --version ||"),
        (block("sh", "", "export A=1\n"), "export has no effect on the next command here"),
        (block("sh", "", "source no/such/file\n"), "source has no effect on the next command here"),
        (block("text", "print", "1\n"), "has an unknown title"),
        (block("text", "prints", "not this\n"), "is not what the block before prints"),
        (block("python", "", "print(1)\n"), "is not run. Give it a title"),
        (block("sql", "DuckDB", "select no_such_column\n"), "fails: the SQL"),
    ],
)
def test_what_a_page_cannot_do_fails(tmp_path: Path, wrong: Block, says: str) -> None:
    with Reader(Place(tmp_path), tmp_path) as reader, pytest.raises(PageError) as error:
        reader.follow(wrong)
    assert says in str(error.value)
