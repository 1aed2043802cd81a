"""The README is run, not believed: its project is built block by block, its tables are compared."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from dbt.cli.main import dbtRunner
from duckdb_projects import close_database
from snowflake_projects import LocalSnowflake, serve
from test_macros_install import PUBLIC
from tf_embeddings_staging.building.engine import choose_engine
from tf_embeddings_staging.catalogue import catalogue
from tf_embeddings_staging.model import Model
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = Path(sys.executable).parent
LIGHT = Path(sys.prefix) / "light" / "bin"  # the environment without TensorFlow


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


def call(folder: Path, command: str, programs: Path = PROGRAMS) -> str:
    """Run a line of the README's shell in a folder; return what it prints.

    Its `python` and `pip` are those in the folder `programs`, and its `dbt`, which in this
    environment runs in this process: that saves seconds of imports.
    """
    if programs == PROGRAMS and command.startswith("dbt "):
        return dbt(folder, shlex.split(command)[1:])
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    # The environments have all that is asked for; dbt 1.12's parser, which dbt runs without, cannot
    # be installed without GitHub.
    environment["PIP_NO_DEPS"] = "1"
    done = subprocess.run(
        shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def dbt(folder: Path, arguments: list[str]) -> str:
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        try:
            done = dbtRunner().invoke(arguments)
        finally:
            close_database()
    assert done.success, f"{arguments}\n{printed.getvalue()}{done.exception}"
    return printed.getvalue()


def init_project(parent: Path, flags: str) -> Path:
    """Make a project as `dbt init` does, without its example, and with these flags."""
    call(parent, "dbt init my_project --skip-profile-setup --profiles-dir .")
    folder = parent / "my_project"
    shutil.rmtree(folder / "models" / "example")
    with (folder / "dbt_project.yml").open("a") as file:
        file.write(flags)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that follows `Your own project on DuckDB`, block by block, to its end."""
    guide = section("## Your own project on DuckDB").partition("\n### ")[0]
    packages, install, profiles, stage, pin, flags, model, tests, build = blocks(guide)
    folder = init_project(tmp_path_factory.mktemp("readme"), flags.text)
    (folder / "seeds" / "tickets.csv").write_text(
        "id,body,title,customer_id,lang\n1,My card was stolen,A card,7,en\n2,,Nothing,7,en\n"
        "3,Hello,A greeting,8,en\n4,Hello,Hello,8,en\n5,MY CARD WAS STOLEN,Help,7,fr\n"
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
    assert rows == [(1, 384), (2, None), (3, 384), (4, 384), (5, 384)]


def test_a_colleague_and_ci_need_no_tensorflow(project: Path, tmp_path: Path) -> None:
    """A clone of the project, the artifact's file, and the environment that requirements.txt is."""
    (job,) = [
        block.text for block in blocks(section("### In CI and in a team")) if block.language == "sh"
    ]
    for name in ("dbt_project.yml", "packages.yml", "profiles.yml", "models", "seeds"):
        original = project / name
        copy = shutil.copytree if original.is_dir() else shutil.copyfile
        copy(original, tmp_path / name)
    before = (tmp_path / "dbt_project.yml").read_text()
    (artifact,) = (project / "tf_embeddings_stage").glob("minilm/*/minilm-*.zip")
    shutil.copyfile(artifact, tmp_path / artifact.name)

    assert "requirements-staging.txt" not in job
    assert "stage_model.py minilm-b0123456789ab.zip\n" in job
    for command in job.replace("minilm-b0123456789ab.zip", artifact.name).splitlines():
        call(tmp_path, command, LIGHT)

    assert (tmp_path / "dbt_project.yml").read_text() == before
    with duckdb.connect(str(tmp_path / "dev.duckdb"), read_only=True) as connection:
        embedded = connection.execute("select count(*), count(embedding) from tickets_embedded")
        assert embedded.fetchall() == [(5, 4)]


def test_a_search_in_a_notebook_finds_what_is_near(project: Path) -> None:
    script, command = blocks(section("### From a notebook or an app"))
    (pin,) = every_pin(yaml.safe_load((project / "dbt_project.yml").read_text())["vars"])
    shown = "v0123456789ab_b0123456789ab"
    assert shown in script.text
    (project / "search.py").write_text(
        script.text.replace(shown, f"{pin['version']}_{pin['build']}")
    )

    for programs in (PROGRAMS, LIGHT):
        said = call(project, f"sh -c {shlex.quote(command.text)}", programs)
        found = [body for _, body, _ in ast.literal_eval(said)]
        assert sorted(found[:2]) == ["MY CARD WAS STOLEN", "My card was stolen"]
        assert found[2:] == ["Hello", "Hello"]


def test_the_lines_on_the_engine_are_what_staging_says(capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = (
        block.text.splitlines() for block in blocks(section("### Engines: LiteRT and TensorFlow"))
    )
    litert, tensorflow = shown
    assert f"{litert}\n" in section("## Quick start")

    use = catalogue()["use"]
    model, nowhere = Model(use.kind, {}, name=use.name), Path("nowhere")
    choose_engine(model, nowhere, nowhere, Report(), Options(), Limits())
    assert f"{tensorflow}\n" in capsys.readouterr().err


@dataclass(frozen=True)
class Follower:
    """Somebody who follows the README on an empty Snowflake account."""

    server: LocalSnowflake
    folder: Path

    def execute(self, script: str) -> None:
        """Run a block of SQL, in one session of a new account's first user."""
        with self.server.connect(role="public") as connection:
            for statement in script.split(";"):
                if statement.strip():
                    connection.cursor().execute(statement)

    def rows(self, sql: str, **keys: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401
        return self.server.execute(sql, database="analytics", **keys)

    def write_profile(self, text: str, **roles: str) -> None:
        """Write the README's profile with the local connection; `roles`: target -> its role."""
        (target,) = yaml.safe_load(text)["my_project"]["outputs"].values()
        ours = ("user", "role", "warehouse", "database", "schema", "threads")
        target = self.server.profile(**{key: target[key] for key in ours})
        outputs = {name: {**target, "role": role} for name, role in roles.items()}
        profile = {"my_project": {"target": next(iter(outputs)), "outputs": outputs}}
        (self.folder / "profiles.yml").write_text(yaml.safe_dump(profile))


def follower(server: LocalSnowflake, parent: Path) -> Follower:
    """Make the project that the DuckDB guide has by now, with the package installed."""
    *_, flags, model, tests, _ = blocks(
        section("## Your own project on DuckDB").partition("\n### ")[0]
    )
    folder = init_project(parent, flags.text)
    write_tickets(folder, model.text, tests.text)
    return Follower(server, folder)


def write_tickets(folder: Path, model: str, tests: str) -> None:
    """Write what the DuckDB guide has a reader add to a project, and a seed of texts."""
    for place, text in {
        "packages.yml": yaml.safe_dump({"packages": [{"local": str(ROOT)}]}),
        "seeds/tickets.csv": "id,body\n1,My card was stolen\n2,\n3,Hello\n",
        "models/tickets_embedded.sql": model,
        "models/tickets_embedded.yml": tests,
    }.items():
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text(text)


def test_who_follows_the_snowflake_guide_has_vectors(tmp_path: Path) -> None:
    roles, profile, install, build = blocks(section("### Set it up"))
    with serve() as server:
        reader = follower(server, tmp_path)
        reader.execute(roles.text)
        reader.write_profile(profile.text, prod="transformer")
        for command in [*install.text.splitlines(), *build.text.splitlines()]:
            call(reader.folder, command)

        sql = "select id, array_size(embedding::array) from dbt.tickets_embedded order by id"
        assert reader.rows(sql) == [(1, 384), (2, None), (3, 384)]

        operations = blocks(section("### Day to day"))[0].text.splitlines()
        said = [call(reader.folder, command) for command in operations]
        assert "minilm" in said[0]
        assert "minilm" in said[1]


def test_one_role_stages_and_another_runs_dbt(tmp_path: Path) -> None:
    roles, profile, *_ = blocks(section("### Set it up"))
    admin, manage, stage, upgrade = blocks(section("### One role stages, another runs dbt"))
    with serve() as server:
        reader = follower(server, tmp_path)
        reader.execute(roles.text)
        reader.execute(admin.text)
        reader.write_profile(profile.text, prod="transformer", admin="embeddings_admin")
        with (reader.folder / "dbt_project.yml").open("a") as project:
            project.write(manage.text)
        call(reader.folder, "dbt deps")
        call(reader.folder, stage.text)
        for command in upgrade.text.splitlines():
            call(reader.folder, command)

        status, verify, _ = blocks(section("### Day to day"))[0].text.splitlines()
        call(reader.folder, status)
        call(reader.folder, verify)

        sql = "select count(embedding) from dbt.tickets_embedded"
        assert reader.rows(sql, user="dbt_runner", role="transformer") == [(2,)]
        functions = "show user functions like 'TF_EMBEDDINGS_%' in schema analytics.tf_embeddings"
        assert len(reader.rows(functions)) == 2


def test_where_dbt_runs_names_the_tests_that_there_are() -> None:
    table = re.findall(r"^\| (.*) \|$", section("### Where dbt runs"), re.M)[1:]
    rows = [row.split(" | ") for row in table]
    assert [row[0] for row in rows] == [
        "a laptop",
        "GitHub Actions",
        "dbt platform",
        "dbt Projects on Snowflake",
        "Airflow",
    ]
    for where, *cells in rows:
        assert len(cells) == 5, where
        files = re.findall(r"`(tests/[^`]*)`", cells[-1])
        assert files or cells[-1] == "from the documents, not run", where
        assert all((ROOT / file).is_file() for file in files), where
    for name in re.findall(r"`(\w+)` (?:by|as)", " ".join(table)):
        assert name in PUBLIC


def test_the_workflow_calls_what_is_there() -> None:
    workflow, profile = blocks(section("### dbt platform (dbt Cloud)"))
    assert yaml.safe_load(profile.text)["my_project"]["outputs"]["admin"]["private_key"]
    (job,) = yaml.safe_load(workflow.text)["jobs"].values()
    commands = " ".join(step.get("run", "") for step in job["steps"])
    for path in re.findall(r"dbt_packages/tf_embeddings/(\S+)", commands):
        assert (ROOT / path).is_file()
    for macro in re.findall(r"tf_embeddings\.(\w+)", commands):
        assert list((ROOT / "macros").rglob(f"{macro}.sql"))


def test_no_workflow_runs_with_the_branch_of_a_fork() -> None:
    """`head_ref` names a branch that is not here, and a fork's run has neither secrets nor push."""
    workflows = [block.text for block in blocks(README) if "\njobs:" in block.text]
    jobs = [job for text in workflows for job in yaml.safe_load(text)["jobs"].values()]
    assert any("github.head_ref" in json.dumps(job) for job in jobs)
    for job in jobs:
        assert job["if"] == (
            "github.event_name == 'push' || "
            "github.event.pull_request.head.repo.full_name == github.repository"
        )


@pytest.fixture(scope="module")
def with_store(project: Path) -> Path:
    """Return the project after it has also followed `The embedding store` and `Search`."""
    sources, table, own_store = blocks(section("## The embedding store").partition("\n### ")[0])
    nearest, duplicates = blocks(section("## Search").partition("\n### ")[0])
    settings = project / "dbt_project.yml"
    variables = yaml.safe_load(sources.text)["vars"]["tf_embeddings_sources"]
    settings.write_text(
        settings.read_text().replace(
            "vars:\n", f"vars:\n  tf_embeddings_sources: {json.dumps(variables)}\n"
        )
    )
    (project / "seeds" / "questions.csv").write_text(
        "question_id,question,lang\n1,Where is my card?,en\n2,Where is my card?,fr\n"
    )
    crm = {"name": "crm", "tables": [{"name": "chats"}]}
    (project / "models" / "sources.yml").write_text(yaml.safe_dump({"sources": [crm]}))
    with duckdb.connect(str(project / "dev.duckdb")) as connection:
        connection.execute("create schema crm")
        connection.execute(
            "create table crm.chats as select 'Hello' as question, 'Hello, dear' as answer"
        )
    models = {
        "tickets_embedded": table,
        "titles_store": own_store,
        "answers": nearest,
        "duplicates": duplicates,
    }
    (project / "models" / "tickets_embedded.yml").unlink()
    for name, block in models.items():
        (project / "models" / f"{name}.sql").write_text(block.text)
    call(project, "dbt build")
    return project


def test_the_store_embeds_each_text_once(with_store: Path) -> None:
    with duckdb.connect(str(with_store / "dev.duckdb"), read_only=True) as connection:
        texts = ["My card was stolen", "Hello", "MY CARD WAS STOLEN", "Hello, dear"]
        hashes = {hashlib.sha256(text.encode()).hexdigest() for text in texts}
        assert {row[0] for row in connection.execute("from embedding_store").fetchall()} == hashes
        counted = connection.execute("select count(*), count(embedding) from tickets_embedded")
        assert counted.fetchall() == [(5, 4)]
        assert connection.execute("select count(*) from titles_store").fetchall() == [(5,)]


def test_the_store_has_the_columns_that_are_listed(with_store: Path) -> None:
    listed = names(first_cells(section("## The embedding store").partition("\n### ")[0]))
    with duckdb.connect(str(with_store / "dev.duckdb"), read_only=True) as connection:
        columns = connection.execute("select column_name from (describe embedding_store)")
        assert [name for (name,) in columns.fetchall()] == listed


def test_the_searches_find_what_is_near(with_store: Path) -> None:
    with duckdb.connect(str(with_store / "dev.duckdb"), read_only=True) as connection:
        best = "select query_id, neighbor_id from answers where neighbor_rank = 1 order by 1"
        assert connection.execute(best).fetchall() == [(1, 1), (2, 5)]  # in their own languages
        found = connection.execute("select id_a, id_b from duplicates order by all").fetchall()
        assert found == [(1, 5), (3, 4)]


def test_the_stores_operations_run(with_store: Path) -> None:
    text = section("### Large tables, CI, deleted texts")
    estimate, build, prune = (block.text for block in blocks(text))
    assert "minilm" in call(with_store, estimate)
    assert "tf_embeddings_shared_store: analytics.dbt.embedding_store" in build
    for command in prune.splitlines():
        call(with_store, command)


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
    macro = (ROOT / "macros" / "inputs" / "settings.sql").read_text(encoding="utf-8")
    read = re.findall(r"_setting\(\s*'(\w+)'", macro)
    assert names(first_cells(section("## Settings"))) == [f"tf_embeddings_{name}" for name in read]


def test_every_public_macro_is_listed() -> None:
    public = {name for name in PUBLIC if not name.startswith("test_")}
    assert set(names(first_cells(section("## Macros")))) == public


def test_every_generic_test_is_listed() -> None:
    generic = {name[5:] for name in PUBLIC if name.startswith("test_")}
    assert set(names(first_cells(section("## Data tests")))) == generic


def test_every_flag_of_the_script_is_listed() -> None:
    text = section("## Staging models").partition("\n### The catalogue")[0]
    lines = re.findall(r"^  -.*?(?=  |$)", call(ROOT, "python scripts/stage_model.py --help"), re.M)
    flags = set(re.findall(r"--[\w-]+", " ".join(lines)))
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text)) == flags - {"--help"}


def test_the_catalogue_is_listed_as_it_is() -> None:
    row = r"^\| `(\w+)` \| (\d+) \| `(\w+)` \| .* \| (not )?checked \|$"
    listed = [
        (name, int(dimensions), kind, not unchecked)
        for name, dimensions, kind, unchecked in re.findall(row, section("### The catalogue"), re.M)
    ]
    assert listed == [
        (entry.name, entry.dimensions, entry.kind, entry.verified) for entry in catalogue().values()
    ]


def test_the_version_is_the_same_everywhere() -> None:
    package = yaml.safe_load((ROOT / "dbt_project.yml").read_text(encoding="utf-8"))["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changelog, re.M)[0] == package
    assert re.findall(r'^version = "(.*)"', project, re.M) == [package]


def test_the_versions_of_dbt_are_those_that_ci_tests() -> None:
    """Each row's version is locked, and its command is a part of `.ci/run` that runs its tests."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    [checks] = re.findall(r"^make (.*)$", (ROOT / ".ci" / "run").read_text("utf-8"), re.M)
    targets = checks.replace('"${1:-test}"', "test").split()
    rows = re.findall(
        r"^\| (\S+)[^|]* \| (\S+), `make (\S+)` \| (.*) \| (.*) \|$",
        section("## Versions of dbt"),
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
