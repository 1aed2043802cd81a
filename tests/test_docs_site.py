"""The documentation: generated pages are current, and nothing lacks a description.

`make docs` builds the site itself: strictly, with every link and anchor checked.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import site_hooks
import site_messages
import site_pages
import tf_embeddings_duckdb
import yaml
from duckdb_projects import PACKAGE, Project, make_project
from makers import Artifact
from test_macros_install import PUBLIC
from tf_embeddings_staging.cli import main

TROUBLESHOOTING = PACKAGE / "docs" / "guides" / "troubleshooting.md"


# --- generated pages ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages() -> dict[Path, str]:
    """Return what `make docs` would write."""
    return site_pages.pages()


def test_the_generated_pages_are_current(pages: dict[Path, str]) -> None:
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `make docs`"


def test_a_setting_without_a_description_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = site_pages.SETTINGS.read_text(encoding="utf-8")
    settings = tmp_path / "settings.sql"
    settings.write_text(re.sub(r"\n  runtime_version: >\n.*\n", "\n", text))
    monkeypatch.setattr(site_pages, "SETTINGS", settings)

    with pytest.raises(
        ValueError, match=r"settings\.sql reads .*'runtime_version'.* and describes"
    ):
        site_pages.settings_page()


def test_every_setting_is_on_the_page_with_its_default() -> None:
    page = site_pages.settings_page()

    assert "### `tf_embeddings_max_batch_size`\n" in page
    assert "Allowed: a whole number from 1 to 4096. Default: `512`." in page
    assert page.index("`tf_embeddings_full_refresh`") < page.index("## On Snowflake")
    assert page.index("## On Snowflake") < page.index("`tf_embeddings_database`")


def test_a_macro_is_shown_as_it_is_called(pages: dict[Path, str]) -> None:
    named = {path.name: text for path, text in pages.items()}

    assert "\n`embed(text, model=none)`\n" in named["macros.md"]
    assert "\n`embedding_coverage(text=none, status=none, " in named["data-tests.md"]
    assert "`tf_embeddings.status`" in named["operations.md"].replace("dbt run-operation ", "")
    assert (
        "| `drop` | `bool` | `false` | Whether to drop; false lists only. |"
        in (named["operations.md"])
    )
    assert "| `--target TARGET`, `-t TARGET` |" in named["command-line.md"]


# --- messages -------------------------------------------------------------------------------------


MACROS = """\
{% macro one(k) %}
  {% do tf_embeddings._number_argument('one', 'k', k, 1, none, 'how many', whole=true) %}
  {% do exceptions.raise_compiler_error(
    'one: ' ~ k ~ ' is ' ~ ('far ' if k > 9 else '') ~ 'too large. ' ~ tf_embeddings._step()
  ) %}
{% endmacro %}
{% macro _step() %}
  {{ return('Give a smaller ' ~ 'number, which is less.') }}
{% endmacro %}
{% macro _number_argument(macro, name, value, least, most, meaning, whole=false) %}
  {% do exceptions.raise_compiler_error(
    macro ~ ': ' ~ name ~ ' is ' ~ value ~ '; it must be a ' ~ ('whole ' if whole else '')
    ~ 'number from ' ~ least ~ (' to ' ~ most if most is not none else '') ~ ', ' ~ meaning ~ '.'
  ) %}
{% endmacro %}
"""


def test_messages_are_read_from_macros_and_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "macros" / "embed").mkdir(parents=True)
    (tmp_path / "macros" / "embed" / "one.sql").write_text(MACROS)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "two.py").write_text(
        '"""A docstring is not a message."""\n'
        'NEXT = "Stage it again."\n'
        "def go(name):\n"
        '    say("Staging is what it does now ...")\n'
        '    raise StagingError(f"the file {name!r} is damaged. {NEXT}")\n'
    )
    monkeypatch.setattr(site_messages, "ROOT", tmp_path)

    assert [(message.path, message.text) for message in site_messages.messages()] == [
        ("macros/embed/one.sql", "one: … is far too large. Give a smaller number, which is less."),
        ("macros/embed/one.sql", "one: … is too large. Give a smaller number, which is less."),
        ("macros/embed/one.sql", "one: k is …; it must be a whole number from 1, how many."),
        ("scripts/two.py", "the file … is damaged. Stage it again."),
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "macros/a.sql",
            "{% macro a(x) %}{% do exceptions.raise_compiler_error(x) %}{% endmacro %}",
        ),
        ("scripts/a.py", 'raise StagingError("one" + name)'),
    ],
)
def test_a_message_that_cannot_be_read_is_an_error(
    path: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_text(text)
    monkeypatch.setattr(site_messages, "ROOT", tmp_path)

    with pytest.raises(ValueError, match="line 1 is not read"):
        site_messages.messages()


def on_the_page(message: str) -> bool:
    """Tell whether the page on troubleshooting has a template that a message fits."""
    listed = re.findall(r"^- `+ ?(.*?) ?`+$", TROUBLESHOOTING.read_text(encoding="utf-8"), re.M)
    text = re.sub(r"\s+", " ", message).strip()
    for template in listed:
        if len(re.sub(r"\W", "", template)) < 20:  # One that fits too much.
            continue
        pattern = ".*".join(re.escape(part) for part in template.split("…"))
        if re.search(rf"(?:^|: ){pattern}$", text):
            return True
    return False


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tiny: Artifact) -> Project:
    """A project with the package's store, parsed."""
    project = make_project(tmp_path_factory.mktemp("docs") / "project", artifacts=[tiny])
    project.write("models/tickets.sql", "select 1 as id, 'hello' as body")
    project.configure(
        vars={**project.vars(), "tf_embeddings_sources": [{"ref": "tickets", "column": "body"}]}
    )
    run = project.dbt("build")
    assert run.success, run.errors
    return project


@pytest.mark.parametrize(
    "expression",
    [
        "embed('body', model='other')",
        "embed('')",
        "near_duplicates(ref('tickets'), 'id', threshold=7)",
        "nearest_neighbors(ref('tickets'), ref('tickets'), 'id', 'id', exclude_self='yes')",
        "embedding_store({'ref': 'tickets', 'column': []})",
        "with_embeddings(ref('tickets'), 'body', ref('nothing_built'))",
    ],
)
def test_what_dbt_reports_is_on_the_page(project: Project, expression: str) -> None:
    project.write("models/nothing_built.sql", "{{ config(materialized='table') }} select 1 as id")
    project.write("models/wrong.sql", f"select * from {{{{ tf_embeddings.{expression} }}}}")
    run = project.dbt("run", "--select", "wrong")
    for name in ("wrong", "nothing_built"):
        (project.folder / f"models/{name}.sql").unlink()

    assert not run.success
    text = re.sub(r"\s+", " ", f"{run.output} {' '.join(run.errors)}")
    said = re.findall(r"Compilation Error in \w+ \S+ \(\S+\) (.*?) > in macro", text)
    assert said
    assert on_the_page(said[0])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--list", "--inspect"],
        ["minilm", "--max-tokens", "0"],
        ["./no_such_model", "--name", "mine"],
        ["minilm", "--catalogue", "no_such_file.yml"],
    ],
)
def test_what_the_script_reports_is_on_the_page(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) != 0
    assert on_the_page(capsys.readouterr().err)


def test_what_a_connection_reports_is_on_the_page(tmp_path: Path) -> None:
    import duckdb

    with pytest.raises(Exception, match="threads") as raised:
        tf_embeddings_duckdb.register(duckdb.connect(), stage=tmp_path, threads=-1)

    assert on_the_page(str(raised.value))
    assert not on_the_page("tf_embeddings: no one has written this message, which is made up.")


def in_a_table(said: str) -> list[str]:
    """Return the messages of the page's tables that occur in a text."""
    written = TROUBLESHOOTING.read_text(encoding="utf-8").partition(site_pages.BEGIN)[0]
    first_cells = re.findall(r"^\| (`.*?) \|", written, re.M)
    messages = [text for cell in first_cells for text in re.findall(r"`([^`]{20,})`", cell)]
    patterns = {text: ".*?".join(map(re.escape, text.split("…"))) for text in messages}
    return [text for text, pattern in patterns.items() if re.search(pattern, said, re.S)]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"models/joined.sql": "select * from {{ ref('embedding_store') }}"},
            "depends on a node named 'embedding_store' which is disabled",
        ),
        (
            {
                "models/x.yml": "models: [{name: embedding_store, description: mine}]",
                "dbt_project.yml": "vars: {tf_embeddings_sources: [{ref: tickets, column: body}]}",
            },
            "dbt found two schema.yml entries for the same resource named embedding_store",
        ),
        (
            {"packages.yml": "packages: []", "models/a.sql": "{{ tf_embeddings.embed('x') }}"},
            "'tf_embeddings' is undefined",
        ),
        (
            {"models/a.sql": "select tf_embeddings_tiny_v0_b0('a', false)"},
            "Scalar Function with name tf_embeddings_… does not exist",
        ),
        (
            {"models/a.sql": "select {{ tf_embeddings.embed('x') }} from nowhere", "stage": "gone"},
            "tf_embeddings.on-run-start.0 failed, error: …",
        ),
        ({"vars.yml": "vars: {a: 1}", "dbt_project.yml": "vars: {b: 1}"}, "Variables cannot be …"),
    ],
)
def test_what_dbt_and_duckdb_say_themselves_is_in_a_table(
    files: dict[str, str], message: str, tmp_path: Path, tiny: Artifact
) -> None:
    project = make_project(tmp_path / "project", artifacts=[tiny])
    project.write("models/tickets.sql", "select 1 as id, 'hello' as body")
    for path, text in files.items():
        if path == "stage":
            shutil.rmtree(project.stage)
        elif path == "dbt_project.yml":
            project.configure(vars={**project.vars(), **yaml.safe_load(text)["vars"]})
        else:
            project.write(path, text)
        if path == "packages.yml":
            shutil.rmtree(project.folder / "dbt_packages")
            (project.folder / "package-lock.yml").unlink()
    run = project.dbt("run")

    assert not run.success
    found = in_a_table(f"{run.output} {' '.join(run.errors)}")
    assert any(text.startswith(message.rstrip("…")) for text in found), (run.output, run.errors)


# --- dbt docs -------------------------------------------------------------------------------------


def test_every_column_of_the_packages_models_is_described(project: Project) -> None:
    run = project.dbt("parse", "--no-partial-parse")
    assert run.success, run.errors
    models = [
        node
        for node in project.manifest()["nodes"].values()
        if node["package_name"] == "tf_embeddings" and node["resource_type"] == "model"
    ]

    assert {model["name"] for model in models} == {"embedding_store", "embedding_store_metrics"}
    for model in models:
        assert model["description"]
        described = [name for name, column in model["columns"].items() if column["description"]]
        columns = project.rows(f"select column_name from (describe {model['name']})")
        assert sorted(described) == sorted(name for (name,) in columns), model["name"]


def test_the_overview_of_the_package_names_what_is_public(project: Project) -> None:
    overview = project.manifest()["docs"]["doc.tf_embeddings.__tf_embeddings__"]["block_contents"]
    macros = {name for name in PUBLIC if not name.startswith("test_")}

    named = set(re.findall(r"`(\w+)`", overview))
    assert macros <= named
    assert {name for name in named if not name.startswith(("tf_", "test_"))} == macros


def test_every_argument_of_a_macro_has_a_type_that_dbt_knows(project: Project) -> None:
    """`validate_macro_args`, on by default in dbt 1.12, has compared the names with the macros."""
    plain = "string|str|boolean|bool|integer|int|float|any|relation|column"
    known = re.compile(rf"(optional\[)?(list\[)?({plain})\]?\]?")
    shown = [
        macro
        for macro in project.manifest()["macros"].values()
        if macro["package_name"] == "tf_embeddings" and macro["docs"]["show"]
    ]

    assert len(shown) > 30
    for macro in shown:
        for argument in macro["arguments"]:
            assert known.fullmatch(argument["type"]), (macro["name"], argument)


# --- the site -------------------------------------------------------------------------------------


def test_a_page_is_read_as_github_reads_it() -> None:
    github = """\
These are:
- one
- two,
  on two lines

Then:
1. first

   ```yaml
   a:
     - b
   ```

   More of the first.
2. second
   - inner,
     on two lines

   Of the second again.

A year:
1986. Not a list.

```text
Not:
- a list, [nor](../../a/link.sql)
```
"""
    mkdocs = """\
These are:

- one
- two,
    on two lines

Then:

1. first

    ```yaml
    a:
      - b
    ```

    More of the first.
2. second
    - inner,
        on two lines

    Of the second again.

A year:
1986. Not a list.

```text
Not:
- a list, [nor](../../a/link.sql)
```
"""
    assert site_hooks.as_mkdocs_reads(github, "guides/x.md", set()) == mkdocs


def test_a_link_out_of_docs_leads_to_a_page_of_that_file() -> None:
    files = {"index.md", "repository/demo/models.md", "repository/Makefile.md"}
    markdown = (
        "[home](../../README.md#top) [models](../../demo/models) [make](../../Makefile) "
        "[store](store.md#a) [out](https://example.com/x.md) [gone](../../nothing.sql) [up](#top)"
    )

    assert site_hooks.as_mkdocs_reads(markdown, "guides/x.md", files) == (
        "[home](../index.md) [models](../repository/demo/models.md) "
        "[make](../repository/Makefile.md) [store](store.md#a) [out](https://example.com/x.md) "
        "[gone](../../nothing.sql) [up](#top)"
    )


def test_a_linked_folder_lists_its_files_and_a_large_one_is_only_named() -> None:
    pages = site_hooks.repository_pages({"demo/seeds", "README.md", "no/such/file"})

    assert "demo/seeds/questions.csv" in pages["repository/demo/seeds.md"]
    assert "](seeds/questions.csv.md)" in pages["repository/demo/seeds.md"]
    assert (
        "# demo/seeds/questions.csv\n\n``````csv\n"
        in pages["repository/demo/seeds/questions.csv.md"]
    )
    assert "exclude: true" in pages["repository/demo/seeds/questions.csv.md"]
    assert {*pages} <= {
        "repository/demo/seeds.md",
        *(f"repository/demo/seeds/{path.name}.md" for path in (PACKAGE / "demo/seeds").iterdir()),
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://cdn.example.com/a.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//fonts.example.com/css">'),
        ("a.html", '<link rel="preconnect" href="https://fonts.example.com">'),
        ("a.html", '<img alt="" src="http://example.com/badge.svg">'),
        ("a.html", '<img srcset="a.png 1x, https://example.com/b.png 2x">'),
        ("a.html", '<iframe src="https://example.com"></iframe>'),
        ("a.html", "<style>@import 'https://example.com/a.css';</style>"),
        ("a.html", '<p style="background: url(https://example.com/a.png)">'),
        ("a.html", '<pre class="mermaid"><code>a --&gt; b</code></pre>'),
        ("a.svg", '<svg><image href="https://example.com/a.png"/></svg>'),
        ("a.css", '@font-face { src: url("https://example.com/a.woff2") }'),
        ("a.css", '@import "https://example.com/b.css";'),
        ("a.js", 'load("https://unpkg.com/mermaid@11/dist/mermaid.min.js")'),
        ("a.js", "import('https://example.com/module.mjs')"),
    ],
)
def test_what_a_browser_would_load_from_elsewhere_is_found(name: str, text: str) -> None:
    assert [*site_hooks.loads(name, text)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<a href="https://example.com">a link to follow</a>'),
        ("a.html", '<link rel="canonical" href="https://example.com/a.html">'),
        ("a.html", '<script src="../assets/a.js"></script><img src="a.svg"><code>url(x)</code>'),
        ("a.svg", '<svg xmlns="http://www.w3.org/2000/svg"><use href="#a"/></svg>'),
        ("a.css", "a { background: url(data:image/svg+xml;base64,AA==) }"),
        ("a.js", 'const ns = "http://www.w3.org/1999/xhtml"'),
        ("a.txt", "https://unpkg.com"),
    ],
)
def test_what_stays_on_the_site_is_not(name: str, text: str) -> None:
    assert not [*site_hooks.loads(name, text)]


def build_site(folder: Path, pages: dict[str, str], nav: list[str]) -> tuple[bool, str]:
    """Build these pages as `make docs` does; return whether that succeeds, and what it says."""
    mkdocs = Path(sys.prefix) / "docs" / "bin" / "mkdocs"
    if not mkdocs.exists():
        pytest.skip("MkDocs is not installed: make docs")
    makefile = (PACKAGE / "Makefile").read_text(encoding="utf-8")
    [arguments] = re.findall(r"^\t\$\(VENV\)/docs/bin/mkdocs (build .*)$", makefile, re.M)
    ours = (PACKAGE / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[0]
    (folder / "mkdocs.yml").write_text(ours + "\nnav:\n" + "".join(f"  - {page}\n" for page in nav))
    (folder / ".ci").mkdir()
    shutil.copy(PACKAGE / ".ci" / "site_hooks.py", folder / ".ci")
    shutil.copytree(PACKAGE / "docs" / "assets", folder / "docs" / "assets")
    for name, text in pages.items():
        (folder / "docs" / name).write_text(text)
    done = subprocess.run(
        [mkdocs, *arguments.split()], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode == 0, done.stderr


def test_a_site_without_a_fault_is_built_and_its_lists_are_lists(tmp_path: Path) -> None:
    text = "# A\n\nIt has:\n- one\n\n  ```sh\n  dbt build\n  ```\n\n[B](b.md#more-or-less)\n"
    built, said = build_site(
        tmp_path, {"a.md": text, "b.md": "# B\n## More, or less\n"}, ["a.md", "b.md"]
    )

    assert built, said
    page = (tmp_path / "site" / "a.html").read_text(encoding="utf-8")
    assert re.search(r"<li>\s*<p>one</p>\s*<div class=\"language-sh highlight\">", page)
    assert 'href="b.html#more-or-less"' in page
    for path in (tmp_path / "site").rglob("*.js"):
        assert "https://unpkg.com" not in path.read_text(encoding="utf-8"), path


def test_each_fault_of_a_page_fails_the_build(tmp_path: Path) -> None:
    faults = (
        "# A\n\n[gone](gone.md) [no such heading](b.md#gone) [of the root](/a.md)\n\n"
        "![badge](https://example.com/badge.svg)\n\n"
        '<script src="https://cdn.example.com/a.js"></script>\n'
    )
    pages = {"a.md": faults, "b.md": "# B\n", "unlisted.md": "# C\n"}
    built, said = build_site(tmp_path, pages, ["a.md", "b.md", "missing.md"])

    assert not built
    for words in (
        "'gone.md'",
        "'b.md#gone'",
        "'/a.md'",
        "a.html loads https://example.com/badge.svg",
        "a.html loads https://cdn.example.com/a.js",
        "unlisted.md",
        "'missing.md'",
    ):
        assert words in said, words
