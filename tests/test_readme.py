"""The README is run, not believed: its project is built block by block, its tables are compared."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


def section(title: str) -> str:
    """Return the text of a section of the README, up to the next heading of its level or above."""
    level = title.index(" ")
    _, found, rest = README.partition(f"\n{title}\n")
    assert found, title
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.M)[0]


def blocks(text: str) -> list[Block]:
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)]


def first_cells(table: str) -> list[str]:
    """Return the first column of a Markdown table, without its heading."""
    return re.findall(r"^\| (`.*?) \|", table, re.M)


def names(cells: list[str]) -> list[str]:
    """Return the names in backticks, without arguments."""
    return re.findall(r"`(\w+)[^`]*`", " ".join(cells))


def call(folder: Path, command: str) -> str:
    """Run a line of the README's shell in a folder, with the `dbt`, `python` and `pip` of here."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that follows `Your own project on DuckDB`, block by block, to its end."""
    guide = section("## Your own project on DuckDB").partition("\n### ")[0]
    packages, install, profiles, stage, pin, flags, model, tests, build = blocks(guide)
    folder = tmp_path_factory.mktemp("readme") / "my_project"
    (folder / "models").mkdir(parents=True)
    (folder / "seeds").mkdir()
    (folder / "seeds" / "tickets.csv").write_text("id,body\n1,My card was stolen\n2,\n3,Hello\n")
    (folder / "dbt_project.yml").write_text(
        "name: my_project\nversion: 1.0.0\nprofile: my_project\n" + flags.text
    )

    (asked,) = yaml.safe_load(packages.text)["packages"]
    assert set(asked) == {"git", "revision"}
    (folder / "packages.yml").write_text(yaml.safe_dump({"packages": [{"local": str(ROOT)}]}))
    (folder / "profiles.yml").write_text(profiles.text)
    for command in install.text.splitlines():
        call(folder, command)
    for command in stage.text.splitlines():
        call(folder, command)
    written = yaml.safe_load((folder / "dbt_project.yml").read_text())["vars"]
    shown = yaml.safe_load(pin.text)["vars"]
    for wrote, example in zip(every_pin(written), every_pin(shown), strict=True):
        assert [*wrote] == [*example]
        assert wrote["dimensions"] == example["dimensions"]
        assert wrote["packages"] == example["packages"]
    (folder / "models" / "tickets_embedded.sql").write_text(model.text)
    (folder / "models" / "tickets_embedded.yml").write_text(tests.text)
    for command in build.text.splitlines():
        call(folder, command)
    return folder


def every_pin(variables: dict[str, dict[str, dict[str, object]]]) -> list[dict[str, object]]:
    assert [*variables] == ["tf_embeddings_models"]
    assert [*variables["tf_embeddings_models"]] == ["minilm"]
    return [*variables["tf_embeddings_models"].values()]


def test_a_project_that_follows_the_readme_has_its_vectors(project: Path) -> None:
    with duckdb.connect(str(project / "dev.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "select id, len(embedding) from tickets_embedded order by id"
        ).fetchall()
    assert rows == [(1, 384), (2, None), (3, 384)]


def test_the_incremental_recipe_is_the_demos_model() -> None:
    (recipe,) = blocks(section("### Only what is new: an incremental model"))
    model = ROOT / "demo" / "models" / "marts" / "glosses_embedded_incremental.sql"
    assert model.read_text(encoding="utf-8").endswith(recipe.text)


def test_the_quick_starts_commands_are_those_that_are_tested() -> None:
    commands = [block.text for block in blocks(section("## Quick start")) if block.language]
    clone, show = commands
    assert clone.splitlines()[1:] == ["make demo"]  # run in test_demo_project.py
    assert show.splitlines() == [
        "source ../.venv/bin/activate",
        """dbt show --inline "select {{ tf_embeddings.embed(\\"'hello'\\") }} as v\"""",
    ]


def test_the_quick_starts_inline_query_runs(project: Path) -> None:
    show = blocks(section("## Quick start"))[-1].text.splitlines()[-1]
    assert "-0.0627717" in call(project, show)


def test_the_settings_are_those_of_the_settings_macro() -> None:
    macro = (ROOT / "macros" / "_settings.sql").read_text(encoding="utf-8")
    read = re.findall(r"_setting\(\s*'(\w+)'", macro)
    assert names(first_cells(section("## Settings"))) == [f"tf_embeddings_{name}" for name in read]


def test_every_public_macro_is_listed() -> None:
    public = {path.stem for path in (ROOT / "macros").glob("[!_]*.sql")}
    assert set(names(first_cells(section("## Macros")))) == public


def test_every_generic_test_is_listed() -> None:
    generic = {path.stem for path in (ROOT / "tests" / "generic").glob("*.sql")}
    assert set(names(first_cells(section("## Data tests")))) == generic


def test_the_version_is_the_same_everywhere() -> None:
    package = yaml.safe_load((ROOT / "dbt_project.yml").read_text(encoding="utf-8"))["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changelog, re.M)[0] == package
    assert re.findall(r'^version = "(.*)"', project, re.M) == [package]
