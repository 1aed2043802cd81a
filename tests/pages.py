r"""The pages, README.md and docs/, are run: a reader follows each one block by block.

A page's front matter says where its reader starts, such as `run: tickets`; after a comment
`<!-- run: nothing -->` the reader starts again, elsewhere. What a block does is in its info string:

    sql title="models/x.sql"         the file is written; so are YAML, Python, CSV, …
    yaml title="dbt_project.yml"     merged into the file (packages.yml and profiles.yml, too)
    sh                               each command runs in the project's folder
    sql title="Snowflake"            runs on the local Snowflake, as a new account's first user
    sql title="DuckDB"               runs in the project's `dev.duckdb`
    sql title="dbt show"             a query, or one expression, for `dbt show --inline`
    text title="prints"              is what the block before printed; … stands for anything
    text                             is not run

Other blocks stand in pages_not_run.yml, with the reason. What a block says of the environment is
replaced by the tests' own: `python -m venv` and `source …/activate` do nothing, pip checks only
that all is installed, the package comes from this checkout instead of its repository, and a target
of Snowflake gets the connection of the local one. In all blocks, `v0123456789ab` and
`b0123456789ab` are the version and build of the project's `minilm`, once it is pinned.

A test of what a page's project holds at the end asks the fixture `finished`, which follows each
page once a session:

    def test_the_duplicates_are_found(finished: Finished) -> None:
        assert finished("docs/recipes/duplicates.md").rows("select …") == […]
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import staging_cli
import tf_embeddings_map.cli
import tf_embeddings_staging.cli
import yaml
from dbt.cli.main import dbtRunner
from duckdb_projects import close_database
from snowflake_projects import LocalSnowflake, serve
from tf_embeddings_udf.lock import locked

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).parents[1]
PAGES = sorted(["README.md", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))])
PROGRAMS = Path(sys.executable).parent
LIGHT = Path(sys.prefix) / "light" / "bin"  # the environment without TensorFlow

# Where a page may start beside `nothing`: at the end of a run of a page.
AT_THE_END_OF = {
    "tickets": ("docs/get-started/duckdb.md", 0),
    "tickets_store": ("docs/guides/store.md", 0),
    "account": ("docs/get-started/snowflake.md", 0),
    "snowflake": ("docs/get-started/snowflake.md", 1),
}

_SCRIPTS = {
    f"dbt_packages/tf_embeddings/scripts/{name}.py": main
    for name, main in {
        "map_embeddings": tf_embeddings_map.cli.main,
        "stage_model": tf_embeddings_staging.cli.main,
    }.items()
}
_FENCE = re.compile(r"( *)(`{3,})([^`\n]*)")
_START = re.compile(r"(?:<!-- )?run: (\w+)(?: -->)?")
_FILE = re.compile(r"[\w./-]+\.\w+")
_MERGED = ("dbt_project.yml", "packages.yml", "profiles.yml")
_SHELL = set("|&;<>()")
_ENVIRONMENT = re.compile(r"python -m venv \S+|source \S*\.venv/bin/activate")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_TIME = re.compile(r"^\d\d:\d\d:\d\d +", re.M)
_SNOWFLAKE_KEYS = ("user", "role", "warehouse", "database", "schema", "threads")
_SNOWFLAKE_PORT = "LOCAL_SNOWFLAKE_PORT"


class PageError(AssertionError):
    """A block of a page does not do what the page says."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: `sql title="models/x.sql"` is its language and its title."""

    page: str
    line: int
    language: str
    title: str
    text: str

    def error(self, what: str, output: str = "") -> PageError:
        printed = f"\n--- printed\n{output.strip()}" if output.strip() else ""
        block = f"```{self.language} {self.title}\n{self.text.rstrip()}"
        return PageError(f"{self.page}:{self.line}: {what}\n--- block\n{block}{printed}")


@dataclass(frozen=True)
class Start:
    """Where the blocks that follow it start."""

    page: str
    line: int
    name: str


def parse(page: str) -> list[Block | Start]:
    """Return a page's blocks, and where they start."""
    found: list[Block | Start] = []
    lines = enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1)
    for number, line in lines:
        if start := _START.fullmatch(line.strip()):
            found.append(Start(page, number, start[1]))
        if fence := _FENCE.fullmatch(line.rstrip()):
            language, _, rest = fence[3].strip().partition(" ")
            title = re.search(r'title="([^"]*)"', rest)
            inside: list[str] = []
            for _, text in lines:
                if text.strip() == fence[2]:
                    break
                inside.append(text)
            text = textwrap.dedent("\n".join(inside)) + "\n"
            found.append(Block(page, number, language, title[1] if title else "", text))
    return found


def section(page: str, title: str) -> str:
    """Return the text of a page's section, up to the next heading of its level or above."""
    level = title.index(" ")
    _, found, rest = (ROOT / page).read_text(encoding="utf-8").partition(f"\n{title}\n")
    assert found, f"{page}: {title}"
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.M)[0]


def the_block(page: str, text: str, title: str | None = None) -> Block:
    """Return the one block of a page that holds this text and, if given, has this title."""
    [found] = [
        part
        for part in parse(page)
        if isinstance(part, Block) and text in part.text and title in (None, part.title)
    ]
    return found


@functools.cache
def not_run() -> dict[str, list[dict[str, str]]]:
    """Return what pages_not_run.yml lists: page -> entries of `block`, its beginning, and `why`.

    An entry may have `instead`, commands that stand for the block.
    """
    text = (ROOT / "tests" / "pages_not_run.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text) or {}


def listed(block: Block) -> dict[str, str] | None:
    """Return the entry of a block in pages_not_run.yml, if it has one."""
    entries = not_run().get(block.page, [])
    return next((entry for entry in entries if block.text.startswith(entry["block"])), None)


class Place:
    """A folder with what a reader has at the end of a page: the project, and the account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.account = folder / "account"
        self._note = folder / "project.txt"

    @property
    def project(self) -> Path:
        return self.folder / self._note.read_text()

    @property
    def is_finished(self) -> bool:
        return self._note.is_file()

    def finish(self, project: Path) -> None:
        self._note.write_text(str(project.relative_to(self.folder)))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the project's DuckDB."""
        with duckdb.connect(str(self.project / "dev.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def snowflake_rows(self, sql: str, **keys: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401
        """Query the local Snowflake that the page used."""
        with serve(keep=self.account) as server:
            return server.execute(sql, database="analytics", **keys)

    def copy(self, folder: Path) -> Path:
        """Copy it into a folder that is not there yet; return the project in it.

        The copies share unpacked models, so that a process loads each once.
        """
        shutil.copytree(self.folder, folder, symlinks=True, ignore=_unpacked)
        for cache in self.folder.rglob("tf_embeddings_stage/.cache"):
            (folder / cache.relative_to(self.folder)).symlink_to(cache.resolve())
        (folder / self._note.name).unlink()
        return folder / self.project.relative_to(self.folder)


def _unpacked(folder: str, names: list[str]) -> list[str]:
    is_stage = Path(folder).name == "tf_embeddings_stage"
    return [name for name in names if is_stage and name == ".cache"]


class Reader:
    """Somebody who follows a page: in a folder, with the programs of an environment."""

    def __init__(self, place: Place, project: Path, programs: Path = PROGRAMS) -> None:
        self.place = place
        self.project = project
        self.programs = programs
        self.printed = ""
        self._server: LocalSnowflake | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Reader:
        if self.place.account.is_dir():
            self.server()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def server(self) -> LocalSnowflake:
        """Return the reader's Snowflake account, which is empty at first."""
        if self._server is None:
            self._server = self._open.enter_context(serve(keep=self.place.account))
        return self._server

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        if entry := listed(block):
            if "instead" in entry:
                for command in commands(entry["instead"].format(tests=ROOT / "tests")):
                    self._tell(block, "what runs instead", functools.partial(self.call, command))
            return
        title, text = block.title, self._with_pins(block.text)
        if block.language == "text":
            if title not in ("", "prints"):
                raise block.error('has an unknown title: text takes title="prints", or none')
            if title:
                self._compare(block, text)
            return
        self.printed = ""
        if block.language == "sh":
            for command in commands(text):
                self._tell(block, command, functools.partial(self.call, command))
        elif title == "Snowflake":
            self._tell(block, "the SQL", functools.partial(self._snowflake, text))
        elif title == "DuckDB":
            self._tell(block, "the SQL", functools.partial(self._duckdb, text))
        elif title == "dbt show":
            query = text if re.match(r"\s*(select|with)\b", text) else f"select {text.strip()} as x"
            command = shlex.join(["dbt", "show", "--inline", query])
            self._tell(block, "dbt show", functools.partial(self.call, command))
        elif _FILE.fullmatch(title):
            self.write(title, text)
        else:
            raise block.error(
                "is not run. Give it a title (see tests/pages.py), or list it in "
                "tests/pages_not_run.yml"
            )

    def call(self, command: str) -> str:
        """Run a command; return what it prints.

        dbt and the scripts run in this process, which saves seconds; `make demo` and those who
        follow a page in a different environment run them as a reader does.
        """
        words = shlex.split(command)
        if words[0] == "cd" and len(words) == 2:
            self.project = (self.project / words[1]).resolve()
            return ""
        if _ENVIRONMENT.fullmatch(command):
            return ""  # it is active
        if words[0] in ("export", "source", "."):
            raise RuntimeError(f"{words[0]} has no effect on the next command here")
        tokens = shlex.shlex(command, punctuation_chars=True)
        is_plain = not any(token[0] in _SHELL for token in tokens)
        if is_plain and "$" not in command and self.programs == PROGRAMS:
            if words[0] == "dbt":
                return self.dbt(words[1:])
            if words[0] == "python" and words[1] in _SCRIPTS:
                return self.script(words[1], words[2:])
        environment = {**os.environ, **self._environment()}
        environment["PATH"] = f"{self.programs}:{os.environ['PATH']}"
        # The environment has all that is asked for, and nothing may be installed into it. (dbt's
        # parser, which dbt runs without, cannot be installed without GitHub.)
        environment.update(PIP_NO_DEPS="1", PIP_NO_INDEX="1")
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{done.stdout}\nexit code {done.returncode}")
        return done.stdout

    def dbt(self, arguments: list[str]) -> str:
        """Call dbt in this process; return what it prints."""
        printed = io.StringIO()
        with (
            contextlib.chdir(self.project),
            contextlib.redirect_stdout(printed),
            _set(self._environment()),
        ):
            try:
                done = dbtRunner().invoke(arguments)
            finally:
                close_database()
        if not done.success:
            raise RuntimeError(f"{printed.getvalue()}\n{done.exception or ''}")
        return printed.getvalue()

    def script(self, path: str, arguments: list[str]) -> str:
        """Call a script of the package in this process; return what it prints."""
        printed = io.StringIO()
        with (
            staging_cli.as_script(path, self.project, self._environment()),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            code = _SCRIPTS[path](arguments)
        if code:
            raise RuntimeError(f"{printed.getvalue()}\nexit code {code}")
        return printed.getvalue()

    def write(self, path: str, text: str) -> None:
        """Write a file of the project; merge one of dbt's settings into the one that is there."""
        file = self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if path not in _MERGED:
            file.write_text(text, encoding="utf-8")
            return
        old = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
        content = merged(old or {}, yaml.safe_load(text))
        if path == "packages.yml":
            content["packages"] = [
                {"local": str(ROOT)} if set(one) == {"git", "revision"} else one
                for one in content["packages"]
            ]
        for profile in content.values() if path == "profiles.yml" else ():
            outputs = profile["outputs"]
            profile["outputs"] = {name: self._target(one) for name, one in outputs.items()}
        file.write_text(yaml.safe_dump(content, sort_keys=False, width=1000), encoding="utf-8")

    def _target(self, target: dict[str, Any]) -> dict[str, Any]:
        """Return a target with the local Snowflake's connection, if it is one of Snowflake."""
        if target["type"] != "snowflake":
            return target
        ours = {key: target[key] for key in _SNOWFLAKE_KEYS if key in target}
        port = f"{{{{ env_var('{_SNOWFLAKE_PORT}') | int }}}}"
        return self.server().profile(**{**ours, "port": port})

    def _environment(self) -> dict[str, str]:
        if self._server is None:
            return {}
        # What connections.toml has, which the connector reads from this variable too.
        login = self._server.profile(user="dbt_runner", role="transformer", database="analytics")
        keys = ("account", "host", "port", "protocol", "user", "password", "role", "database")
        toml = "".join(f"my_project.{key} = {login[key]!r}\n" for key in keys)
        return {_SNOWFLAKE_PORT: str(self._server.port), "SNOWFLAKE_CONNECTIONS": toml}

    def _snowflake(self, script: str) -> str:
        with self.server().connect(role="public") as connection:
            *_, last = connection.execute_string(script, remove_comments=True)
            return _table(last.fetchall())

    def _duckdb(self, script: str) -> str:
        with contextlib.chdir(self.project), duckdb.connect("dev.duckdb") as connection:
            return _table(connection.execute(script).fetchall())

    def _tell(self, block: Block, what: str, act: Callable[[], str]) -> None:
        try:
            self.printed += act()
        except Exception as error:
            raise block.error(f"fails: {what}", f"{self.printed}\n{error}") from error

    def _compare(self, block: Block, text: str) -> None:
        expected, printed = tidy(text), tidy(self.printed)
        pattern = ".*?".join(re.escape(part.strip()) for part in expected.split("…"))
        if not re.fullmatch(pattern, printed, re.S):
            raise block.error("is not what the block before prints", printed)

    def _with_pins(self, text: str) -> str:
        file = self.project / "dbt_project.yml"
        variables = (yaml.safe_load(file.read_text()) if file.is_file() else {}).get("vars") or {}
        pin = variables.get("tf_embeddings_models", {}).get("minilm")
        if pin is None:
            return text
        return text.replace("v0123456789ab", pin["version"]).replace("b0123456789ab", pin["build"])


def commands(text: str) -> list[str]:
    """Return the commands of a shell block, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def tidy(printed: str) -> str:
    """Return what was printed without colors, dbt's times, and white space that is not a space."""
    text = _TIME.sub("", _COLORS.sub("", printed))
    lines = (re.sub(r" +", " ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge maps deeply; what is not a map replaces what was there."""
    both = {
        key: merged(old[key], value)
        for key, value in new.items()
        if isinstance(value, dict) and isinstance(old.get(key), dict)
    }
    return {**old, **new, **both}


def runs(page: str) -> list[tuple[Start, list[Block]]]:
    """Return a page's blocks by the start that they follow."""
    found: list[tuple[Start, list[Block]]] = []
    for part in parse(page):
        if isinstance(part, Start):
            found.append((part, []))
        elif found:
            found[-1][1].append(part)
    return found


class Finished:
    """Follows each page once a session; `finished(page)` is what its reader then has.

    Its folder is shared by all tests: copy it before you change it. A page has a run for each of
    its starts; `finished(page)` is the last one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, page: str, run: int = -1) -> Place:
        every = runs(page)
        begin, blocks = every[run]
        name = f"{page.removesuffix('.md').replace('/', '-')}-{run % len(every)}"
        place = Place(self.folder / name)
        with locked(self.folder / f"{name}.lock"):
            if not place.is_finished:
                shutil.rmtree(place.folder, ignore_errors=True)
                project = self.start(begin.name, place)
                with Reader(place, project) as reader:
                    for block in blocks:
                        reader.follow(block)
                place.finish(reader.project)
        return place

    def start(self, name: str, place: Place) -> Path:
        """Make a start in a new place; return the folder of its project."""
        if name in AT_THE_END_OF:
            return self(*AT_THE_END_OF[name]).copy(place.folder)
        if name != "nothing":
            raise KeyError(f"run: {name}. Pages start at: nothing, {[*AT_THE_END_OF]}")
        project = place.folder / "project"
        project.mkdir(parents=True)
        return project


def _table(rows: list[Any]) -> str:
    return "".join(" | ".join(str(cell) for cell in row) + "\n" for row in rows)


@contextlib.contextmanager
def _set(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
