"""The lint of Jinja that dbt v2 reads differently finds each construct, and not what to write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from duckdb_projects import PACKAGE

LINT = PACKAGE / ".ci" / "lint_jinja.py"


def lint(*files: Path) -> tuple[int, str]:
    """Return the exit code and the output of the lint."""
    run = subprocess.run(
        [sys.executable, str(LINT), *map(str, files)], capture_output=True, text=True, check=False
    )
    assert not run.stderr
    return run.returncode, run.stdout


# Name of a construct -> what its sentence says, how it is found, and what to write.
CONSTRUCTS = {
    "float with a default": (
        "float takes no default",
        ["{{ x | float(none) }}", "{{ x | float(0) }}", "{{ x | float(default=0) }}"],
        ["{{ x | float }}"],
    ),
    "int with a default": ("int takes no default", ["{{ x | int(0) }}"], ["{{ x | int }}"]),
    "chained comparison": (
        "write two comparisons",
        ["{% if 0 < x < 10 %}{% endif %}", "{% set a = 1 <= x | length <= 2 %}"],
        ["{% if 0 < x and x < 10 %}{% endif %}", "{{ x in range(1, 3) }}"],
    ),
    "default of a missing item": (
        "`first | default` of an empty list",
        ["{{ x | select | first | default(none) }}", "{{ (x | first) | d(1) }}"],
        ["{{ x | first or none }}", "{{ x.type | default('') }}"],
    ),
    "fullmatch": (
        "fullmatch gives a list in dbt v2, without .group",
        [
            "{% set m = modules.re.fullmatch('a', x) %}{{ m.group(1) }}",
            "{% set f = modules.re.fullmatch %}{{ fullmatch('a', x).group(1) }}",
            "{% macro a() %}{% set m = modules.re.fullmatch('a', x) %}{{ m[1] }}{% endmacro %}",
        ],
        [
            "{% if modules.re.fullmatch('a', x) %}{% endif %}",
            "{% set m = modules.re.match('a$', x) %}{{ m.group(1) }}",
            # Another macro's name.
            "{% macro a() %}{% set m = modules.re.fullmatch('a', x) %}{% endmacro %}"
            "{% macro b() %}{% set m = modules.re.match('a', x) %}{{ m.group(1) }}{% endmacro %}",
        ],
    ),
    "format": (
        "dbt v2's format neither pads nor knows %e and %g",
        [
            "{{ '%-*s' | format(3, x) }}",
            "{{ '%-10s' | format(x) }}",
            "{{ '%.2g' | format(x) }}",
            "{{ '%e' | format(x) }}",
            "{{ '%5d' % x }}",
        ],
        ["{{ '%.3f' | format(x) }}", "{{ '%s, 10 %%' | format(x) }}", "{{ x.ljust(10) }}"],
    ),
    "tzinfo": (
        "write `.tzinfo is none`",
        ["{{ x if x.tzinfo else y }}"],
        ["{{ y if x.tzinfo is none else x }}"],
    ),
    "localize": (
        "localize fails",
        ["{{ utc.localize(x) }}", "{{ x if x.tzinfo is none else utc.localize(x) }}"],
        ["{{ utc.localize(x) if x.tzinfo is none else x }}"],
    ),
}


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_a_construct_is_found_and_its_allowed_form_is_not(name: str, tmp_path: Path) -> None:
    said, found, allowed = CONSTRUCTS[name]
    bad, good = tmp_path / "bad.sql", tmp_path / "good.sql"
    bad.write_text("".join(f"{text}\n" for text in found), encoding="utf-8")
    good.write_text("".join(f"{text}\n" for text in allowed), encoding="utf-8")

    code, output = lint(bad)
    lines = output.splitlines()

    assert code == 1
    assert [line.rpartition(f"{bad}:")[2].partition(":")[0] for line in lines] == [
        str(place) for place in range(1, len(found) + 1)
    ]
    assert all(said in line for line in lines)
    assert lint(good)[0] == 0


def test_dbts_own_tags_raw_and_comments_are_parsed(tmp_path: Path) -> None:
    file = tmp_path / "tags.sql"
    file.write_text(
        "{% test a(model) %}{{ x | float(0) }}{% endtest %}\n"
        "{% macro b() %}{% do x.append(y | int(0)) %}{% endmacro %}\n"
        "{% call statement('c') %}{{ 1 < x < 2 }}{% endcall %}\n"
        "{% raw %}{{ x | float(1) }}{% endraw %}\n"
        "{% materialization d, default %}{{ x | float(1) }}{% endmaterialization %}\n"
        "{# {{ x | float(1) }} #}\n",
        encoding="utf-8",
    )

    places = [line.split(":")[1] for line in lint(file)[1].splitlines()]

    assert places == ["1", "2", "3", "4", "5"]


def test_yaml_readme_and_empty_lists_of_paths_are_looked_at(tmp_path: Path) -> None:
    project, readme = tmp_path / "dbt_project.yml", tmp_path / "README.md"
    project.write_text(
        "name: a\ntest-paths: []\nmodel-paths: [models]\nvars: {a: []}\n"
        "on-run-start: ['{{ x | float(0) }}']\n",
        encoding="utf-8",
    )
    readme.write_text(
        "{{ x | float(0) }}\n\n```sql\nselect 1\n{{ x | int(0) }}\n```\n"
        '```sql title="models/a.sql"\n{{ x | int(0) }}\n```\n',
        encoding="utf-8",
    )

    code, output = lint(project, readme)

    assert code == 1
    assert output.splitlines() == [
        f"{project}:2: test-paths is empty, which dbt v2 takes as unset; name a folder that does "
        "not exist",
        f"{project}:5: float takes no default in dbt v2; test the value before",
        f"{readme}:5: int takes no default in dbt v2; test the value before",
        f"{readme}:8: int takes no default in dbt v2; test the value before",
    ]


def test_this_repository_is_clean() -> None:
    assert lint() == (0, "No Jinja that dbt v2 reads differently.\n")
