"""The pin in dbt_project.yml is written, and no other byte of the file changes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.process import python_environment
from tf_embeddings_staging.warehouse import pin as pins

PIN = {
    "version": "v98eb59103c31",
    "build": "b184c08832de4",
    "dimensions": 384,
    "kind": "tokens",
    "packages": ["numpy", "tensorflow", "tokenizers"],
}

FIELDS = """\
version: v98eb59103c31
build: b184c08832de4
dimensions: 384
kind: tokens
packages: [numpy, tensorflow, tokenizers]
"""

PROJECT = """\
# Our project: see the handbook, and don't touch  the spacing.
name:   'shop'
version: "1.0.0"     # of the project

model-paths: ["models"]
clean-targets:
    - target
    - "dbt_packages"

vars:
  start_date: '2020-01-01'   # quoted, or it is a date

  # the team's own
  regions: [ eu,us ]

models:
  shop:
    +materialized: table
"""


def indented(text: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}\n" for line in text.splitlines())


def test_the_printed_pin_is_what_dbt_reads() -> None:
    printed = pins.render("minilm", PIN)
    assert printed == f"vars:\n  tf_embeddings_models:\n    minilm:\n{indented(FIELDS, 6)}"
    assert yaml.safe_load(printed) == {"vars": {"tf_embeddings_models": {"minilm": PIN}}}


def test_a_first_pin_goes_below_the_other_vars() -> None:
    block = f"  tf_embeddings_models:\n    minilm:\n{indented(FIELDS, 6)}"
    after = "  regions: [ eu,us ]\n"
    assert pins.with_pin(PROJECT, "minilm", PIN) == PROJECT.replace(after, after + block)


def test_a_second_model_goes_below_the_first() -> None:
    first = pins.with_pin(PROJECT, "minilm", PIN)
    block = f"    tickets:\n{indented(FIELDS, 6)}"
    after = f"    minilm:\n{indented(FIELDS, 6)}"
    assert pins.with_pin(first, "tickets", PIN) == first.replace(after, after + block)


def test_a_new_build_changes_its_own_characters_only() -> None:
    first = pins.with_pin(PROJECT, "minilm", PIN).replace(
        "      build: b184c08832de4\n", '      build: "b184c08832de4"   # ticket 12\n'
    )
    second = pins.with_pin(first, "minilm", {**PIN, "build": "b000000000001"})
    assert second == first.replace("b184c08832de4", "b000000000001")


def test_the_same_pin_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "dbt_project.yml"
    file.write_text(PROJECT)
    assert pins.write(file, "minilm", PIN)
    inode = file.stat().st_ino
    assert not pins.write(file, "minilm", PIN)
    assert file.stat().st_ino == inode
    assert [path.name for path in tmp_path.iterdir()] == ["dbt_project.yml"]


def test_a_file_keeps_its_mode_and_its_place_behind_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "real.yml", tmp_path / "dbt_project.yml"
    file.write_text(PROJECT)
    file.chmod(0o640)
    link.symlink_to(file)
    assert pins.write(link, "minilm", PIN)
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert "b184c08832de4" in file.read_text()


WRITER = f"""
import sys, time
from pathlib import Path
from tf_embeddings_staging.warehouse import pin as pins

file, name, end = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if end == "killed":
    def never(*_):
        print("in the middle", flush=True)
        time.sleep(600)
    pins.os.replace = never
print("ready", flush=True)
sys.stdin.readline()
for number in range(5):
    pins.write(file, f"{{name}}_{{number}}", {PIN})
"""


def writer(file: Path, name: str, end: str = "") -> subprocess.Popen[str]:
    """Start a process that writes five pins once it is let go."""
    command = [sys.executable, "-P", "-c", WRITER, str(file), name, end]
    process = subprocess.Popen(
        command,
        env={**python_environment(), "TF_EMBEDDINGS_CACHE": str(file.parent / f"cache_{name}")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def test_all_pins_that_several_processes_write_at_once_are_there(tmp_path: Path) -> None:
    """Without the lock, one run replaced the file that another had just read."""
    file, link = tmp_path / "real.yml", tmp_path / "dbt_project.yml"
    file.write_text(PROJECT)
    file.chmod(0o640)
    link.symlink_to(file)
    names = ["a", "b", "c", "d", "e", "f"]
    # Half of them reach the file through a link.
    writers = [writer(link if name < "d" else file, name) for name in names]
    for process in writers:
        let_go(process)
    assert [process.wait(120) for process in writers] == [0] * len(names)

    written = yaml.safe_load(file.read_text())
    models = written["vars"].pop("tf_embeddings_models")
    assert models == {f"{name}_{number}": PIN for name in names for number in range(5)}
    assert written == yaml.safe_load(PROJECT)
    assert "# quoted, or it is a date" in file.read_text()
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dbt_project.yml", "real.yml"]


def test_a_killed_writer_leaves_the_old_file_and_blocks_no_other(tmp_path: Path) -> None:
    file = tmp_path / "dbt_project.yml"
    file.write_text(PROJECT)
    killed, waiting = writer(file, "killed", "killed"), writer(file, "waiting")
    let_go(killed)
    assert killed.stdout
    assert killed.stdout.readline() == "in the middle\n"

    let_go(waiting)
    assert file.read_text() == PROJECT
    killed.kill()
    killed.wait()
    assert waiting.wait(120) == 0
    models = yaml.safe_load(file.read_text())["vars"]["tf_embeddings_models"]
    assert set(models) == {f"waiting_{number}" for number in range(5)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: shop\n", f"name: shop\n\nvars:\n  M:\n    minilm:\n{indented(FIELDS, 6)}"),
        ("name: shop", f"name: shop\n\nvars:\n  M:\n    minilm:\n{indented(FIELDS, 6)}"),
        (
            "name: shop\n# The models that are staged:\n",
            "name: shop\n# The models that are staged:\n"
            f"vars:\n  M:\n    minilm:\n{indented(FIELDS, 6)}",
        ),
        (
            "vars:   # mine\nmodels: {}\n",
            f"vars:   # mine\n  M:\n    minilm:\n{indented(FIELDS, 6)}models: {{}}\n",
        ),
        (
            "vars: {}\nname: 'shop'\n",
            f"vars:\n  M:\n    minilm:\n{indented(FIELDS, 6)}name: 'shop'\n",
        ),
        (
            "vars:\n    a: |\n        text\n\n# end\n",
            "vars:\n    a: |\n        text\n"
            f"    M:\n        minilm:\n{indented(FIELDS, 12)}\n# end\n",
        ),
        (
            "vars:\r\n  a: 1\r\n",
            f"vars:\r\n  a: 1\r\n  M:\n    minilm:\n{indented(FIELDS, 6)}".replace(
                "\r\n", "\n"
            ).replace("\n", "\r\n"),
        ),
        (
            "vars:\n  M:\n    minilm: {version: v0, build: b0, owner: 'us'}  # flow\n",
            "vars:\n  M:\n    minilm: {version: v98eb59103c31, build: b184c08832de4, owner: 'us', "
            "dimensions: 384, kind: tokens, packages: [numpy, tensorflow, tokenizers]}  # flow\n",
        ),
    ],
    ids=["no vars", "no end", "comment", "null", "empty", "block text", "windows", "flow pin"],
)
def test_each_form_of_vars_is_kept(before: str, after: str) -> None:
    before, after = (text.replace("  M:", "  tf_embeddings_models:") for text in (before, after))
    assert pins.with_pin(before, "minilm", PIN) == after


def test_vars_in_flow_style_keep_their_comments_and_order() -> None:
    before = "# top\nvars: {b: 1, a: 'x'}  # two\nname: \"shop\"\n"
    after = pins.with_pin(before, "minilm", PIN)
    assert after.startswith("# top\nvars: {b: 1, a: 'x', tf_embeddings_models: {minilm: {")
    assert after.endswith('# two\nname: "shop"\n')


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "vars:\n  - a\n",
            "'vars' in dbt_project.yml is of type list, not a map, so the pin was not written. "
            "Add it by hand.",
        ),
        (
            "vars:\n  tf_embeddings_models: minilm\n",
            "'tf_embeddings_models' in dbt_project.yml is of type str, not a map, so the pin was "
            "not written. Add it by hand.",
        ),
        (
            "vars:\n  tf_embeddings_models:\n    minilm: v98eb59103c31\n",
            "'minilm' in dbt_project.yml is of type str, not a map, so the pin was not written. "
            "Add it by hand.",
        ),
    ],
)
def test_a_file_of_a_different_shape_does_not_change(
    tmp_path: Path, text: str, sentence: str
) -> None:
    file = tmp_path / "dbt_project.yml"
    file.write_text(text)
    with pytest.raises(StagingError) as error:
        pins.write(file, "minilm", PIN)
    assert str(error.value) == sentence
    assert file.read_text() == text


def test_a_file_that_is_not_yaml_does_not_change(tmp_path: Path) -> None:
    file = tmp_path / "dbt_project.yml"
    file.write_text("vars: [")
    with pytest.raises(StagingError, match=r"^dbt_project.yml is not YAML \(.*not written\.$"):
        pins.write(file, "minilm", PIN)
    assert file.read_text() == "vars: ["


@pytest.mark.parametrize("text", ["vars: {a: hunter1, a: hunter2}", "vars: hunter2: hunter2"])
def test_an_error_of_yaml_shows_no_value(tmp_path: Path, text: str) -> None:
    file = tmp_path / "dbt_project.yml"
    file.write_text(text)
    for call in (pins.home, lambda file: pins.write(file, "minilm", PIN)):
        with pytest.raises(StagingError, match=r"is not YAML \(.* at line 1, column ") as error:
            call(file)
        assert "hunter" not in str(error.value)


@pytest.mark.parametrize("file", ["dbt_project.yml", "vars.yml"])  # dbt 1.12 reads the second
@pytest.mark.parametrize("scope", [(), ("shop",), ("tf_embeddings",)])
def test_a_pin_goes_to_the_existing_map(file: str, scope: tuple[str, ...], tmp_path: Path) -> None:
    """A map below the project's name hides the one for all packages."""
    project, path = tmp_path / "dbt_project.yml", tmp_path / file
    project.write_text("name: shop\n")
    old = {**PIN, "build": "b000000000001", "packages": ["numpy==2", "tensorflow", "tokenizers"]}
    keys = ["vars", *scope, "tf_embeddings_models"]
    with path.open("a") as opened:
        opened.write(f"vars:\n  a: 1  # mine\n{pins.render('minilm', old, keys)[6:]}")
    before = path.read_text()
    others = {one: one.read_text() for one in tmp_path.iterdir() if one != path}

    assert pins.pinned_build(project, "minilm") == "b000000000001"
    assert pins.kept_packages(project, "minilm", ["numpy", "tensorflow", "tokenizers"])[0] == (
        "numpy==2"
    )
    assert pins.write(project, "minilm", {**old, "build": PIN["build"]})
    assert path.read_text() == before.replace("b000000000001", PIN["build"])
    assert all(one.read_text() == text for one, text in others.items())
    assert pins.home(project).file == path
    assert not pins.needs_default(project)

    assert pins.write(project, "other", PIN)
    written = yaml.safe_load(path.read_text())["vars"]
    for key in scope:
        written = written[key]
    assert set(written["tf_embeddings_models"]) == {"minilm", "other"}
    assert pins.needs_default(project)
    level = "  " * len(scope)
    map_line = f"{level}  tf_embeddings_models:\n"
    default = f"{level}  tf_embeddings_default_model: other\n"
    path.write_text(path.read_text().replace(map_line, default + map_line))
    assert not pins.needs_default(project)


def test_vars_of_the_project_file_hide_those_of_vars_yml(tmp_path: Path) -> None:
    """Version 1.11 of dbt does not read vars.yml, and 1.12 refuses a project that has both."""
    project = tmp_path / "dbt_project.yml"
    project.write_text(PROJECT)
    (tmp_path / "vars.yml").write_text("vars:\n  other: 1\n")
    assert pins.write(project, "minilm", PIN)
    assert pins.home(project).file == project
    assert pins.pinned_build(project, "minilm") == PIN["build"]


scalars = st.sampled_from(["1", "'q'", '"d"', "plain text", "[a, b]", "{a: 1}", "2024-01-01"])
comments = st.sampled_from(["", "  # a comment", " # minilm: x"])
keys = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=4)


@st.composite
def projects(draw: st.DrawFn) -> str:
    """A dbt_project.yml with any order, indentation, comments and blank lines."""

    def entries(indent: str) -> list[str]:
        return [f"{indent}{key}: {draw(scalars)}{draw(comments)}" for key in draw(keys)]

    step = " " * draw(st.integers(1, 4))
    lines = ["name: shop", *entries("")]
    pinned = ["vars:"] if draw(st.booleans()) else []
    if pinned:
        pinned += entries(step)
        if draw(st.booleans()):
            pinned += [
                f"{step}tf_embeddings_models:",
                *(f"{step}{step}{key}: {{version: v0}}" for key in draw(keys)),
            ]
            pinned += [f"{step}z: last"] if draw(st.booleans()) else []
    place = draw(st.integers(0, len(lines)))
    lines[place:place] = pinned
    for _ in range(draw(st.integers(0, 3))):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["", "# note"])))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


@settings(deadline=None)
@given(project=projects(), name=st.sampled_from(["minilm", "a", "b"]))
def test_whatever_the_file_every_old_line_stays_and_the_pin_is_read(
    project: str, name: str
) -> None:
    after = pins.with_pin(project, name, PIN)
    wanted = with_pin_set(yaml.safe_load(project), name)
    assert yaml.safe_load(after) == wanted
    changed = f"{name}: {{version: v0}}"
    old = [line for line in project.splitlines() if line.strip() != changed]
    remaining = iter(after.splitlines())
    assert all(line in remaining for line in old)  # in their order
    assert pins.with_pin(after, name, PIN) == after


def with_pin_set(project: Mapping[str, Any], name: str) -> dict[str, Any]:
    variables = dict(project.get("vars") or {})
    models = dict(variables.get("tf_embeddings_models") or {})
    models[name] = {**(models.get(name) or {}), **PIN}
    return {**project, "vars": {**variables, "tf_embeddings_models": models}}


def test_a_second_model_needs_a_default_until_one_is_named(tmp_path: Path) -> None:
    project = tmp_path / "dbt_project.yml"
    project.write_text(PROJECT, encoding="utf-8")
    pins.write(project, "minilm", PIN)
    assert not pins.needs_default(project)

    pins.write(project, "mine", PIN)
    assert pins.needs_default(project)

    text = project.read_text(encoding="utf-8")
    project.write_text(text.replace("\nvars:\n", "\nvars:\n  tf_embeddings_default_model: mine\n"))
    assert not pins.needs_default(project)
