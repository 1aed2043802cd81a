"""Write the generated pages of the documentation site: `python .ci/site_pages.py`.

The reference comes from the settings macro, the macros' YAML and the scripts' parsers, the messages
on the page on troubleshooting from the code. `make docs` runs this, and a test fails if a committed
page is not current.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path
from typing import Any, cast

import site_messages
import yaml
from dbt_common.clients.jinja import get_environment
from jinja2 import nodes

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
TROUBLESHOOTING = ROOT / "docs" / "guides" / "troubleshooting.md"
SETTINGS = ROOT / "macros" / "inputs" / "settings.sql"

GENERATED = "<!-- Written by `make docs` from {source}; edit that. -->"
BEGIN = "<!-- The messages below are written by `make docs` from the code. -->"

# Folder of public macros -> its heading.
OF_MODELS = {"embed": "Embed", "store": "Store", "search": "Compare and search"}

# Where a user meets a message: heading, and how the paths of its files begin. The first that fits.
PLACES = [
    (
        "When dbt reads the project: settings, pins, arguments",
        ["macros/inputs/"],
    ),
    (
        "When dbt compiles or runs a model that embeds",
        ["macros/embed/", "macros/duckdb/embed.sql", "macros/contract.sql", "macros/hook/"],
    ),
    ("The embedding store", ["macros/store/", "models/"]),
    ("Search", ["macros/search/"]),
    ("Data tests", ["macros/generic_tests/"]),
    (
        "Operations",
        [
            "macros/operations/",
            "macros/duckdb/",
            "macros/snowflake/operations.sql",
            "macros/snowflake/copying.sql",
        ],
    ),
    (
        "Snowflake: the hook, the end of a run, staging",
        ["macros/snowflake/", "macros/staging/"],
    ),
    (
        "Staging: the command line and the source",
        [
            "scripts/stage_model.py",
            *(
                f"scripts/tf_embeddings_staging/{name}"
                for name in (
                    "cli",
                    "command_line",
                    "catalogue",
                    "errors",
                    "fields",
                    "model",
                    "options",
                    "sources",
                )
            ),
        ],
    ),
    ("Staging: fetching a model", ["scripts/tf_embeddings_staging/fetching/"]),
    (
        "Staging: inspecting a model",
        ["scripts/tf_embeddings_staging/inspection/", "scripts/tf_embeddings_staging/sentences"],
    ),
    ("Staging: converting a model", ["scripts/tf_embeddings_staging/conversion/"]),
    (
        "Staging: building and checking the artifact",
        [
            f"scripts/tf_embeddings_staging/{name}"
            for name in ("building/", "cache", "memory", "process", "worker")
        ],
    ),
    ("Staging: dbt, the stage and the pin", ["scripts/tf_embeddings_staging/warehouse/"]),
    ("The map", ["macros/map/", "scripts/map_embeddings.py", "scripts/tf_embeddings_map/"]),
    (
        "The DuckDB connection",
        ["udf_src/tf_embeddings_duckdb.py", "udf_src/tf_embeddings_stage.py"],
    ),
    ("Where a model runs, on either warehouse", ["udf_src/tf_embeddings_udf/"]),
    ("The Python client", ["udf_src/"]),
]


def pages() -> dict[Path, str]:
    """Return the text of each generated page, by its path."""
    documented = _documented()
    return {
        REFERENCE / "settings.md": settings_page(),
        REFERENCE / "macros.md": macros_page(documented),
        REFERENCE / "data-tests.md": data_tests_page(documented),
        REFERENCE / "operations.md": operations_page(documented),
        REFERENCE / "command-line.md": command_line_page(),
        TROUBLESHOOTING: troubleshooting_page(TROUBLESHOOTING.read_text(encoding="utf-8")),
    }


# --- settings -------------------------------------------------------------------------------------


def settings_page() -> str:
    """Return the page of the vars, from settings.sql."""
    text = SETTINGS.read_text(encoding="utf-8")
    described = yaml.safe_load(
        re.findall(r"^\{#\n  What each setting is.*?\n\n(.*?)^#\}", text, re.M | re.S)[0]
    )
    read = _settings_read(text)
    if [*described] != [*read]:
        raise ValueError(f"settings.sql reads {[*read]} and describes {[*described]}.")
    on_snowflake = [*read][[*read].index("database") :]
    parts = [
        _head("Settings", "macros/inputs/settings.sql"),
        "The package's settings are vars of your project. Set them in `dbt_project.yml` (or "
        "`vars.yml`, from dbt 1.12), directly below `vars:` or below your project's name there. "
        "They are flat and prefixed because your models cannot see a package's own vars. All "
        "models, the hook and the operations must see the same value: a run stops before its first "
        "model if a node was parsed with a different pin. On DuckDB, the folder of the models is "
        "set in [the plugin's config](../get-started/duckdb.md).",
    ]
    for heading, names in (
        ("On every warehouse", [name for name in read if name not in on_snowflake]),
        ("On Snowflake", on_snowflake),
    ):
        parts.append(f"## {heading}")
        if heading == "On Snowflake":
            parts.append("Put a name that is a reserved word into double quotes.")
        for name in names:
            default, allowed = read[name]
            facts = f"Allowed: {allowed}." + (f" Default: `{default}`." if default else "")
            parts += [f"### `tf_embeddings_{name}`", described[name].strip(), facts]
    return _page(parts)


def _settings_read(text: str) -> dict[str, tuple[str, str]]:
    """Return the default (empty if it is not one value) and the allowed values of each var."""
    tree = get_environment(None, capture_macros=False).parse(text)
    shared = {
        step.target.name: str(step.node.value)
        for step in tree.find_all(nodes.Assign)
        if isinstance(step.target, nodes.Name) and isinstance(step.node, nodes.Const)
    }
    [known] = [
        step.node
        for step in tree.find_all(nodes.Assign)
        if isinstance(step.target, nodes.Name) and step.target.name == "known"
    ]
    read = {}
    for setting in cast("nodes.Dict", known).items:
        default, _, allowed = cast("nodes.List", setting.value).items
        parts = allowed.nodes if isinstance(allowed, nodes.Concat) else [allowed]
        said = "".join(
            shared[part.name] if isinstance(part, nodes.Name) else str(part.as_const())
            for part in parts
        )
        read[setting.key.as_const()] = (_default(default), said)
    return read


def _default(node: nodes.Expr) -> str:
    try:
        value = node.as_const()
    except nodes.Impossible:
        return ""
    return "" if value is None or value == {} else _literal(value)


def _literal(value: object) -> str:
    """Return a value as Jinja and YAML write it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:f}".rstrip("0")
    return str(value) if not isinstance(value, str) else f"'{value}'"


# --- macros ---------------------------------------------------------------------------------------


def _documented() -> dict[str, dict[str, Any]]:
    """Return what YAML says of each public macro, by its name, with its folder and its defaults."""
    listed = [
        entry
        for file in ("_macros.yml", "generic_tests/_generic_tests.yml")
        for entry in yaml.safe_load((ROOT / "macros" / file).read_text("utf-8"))["macros"]
    ]
    found = {}
    for entry in listed:
        stem = entry["name"].removeprefix("test_")
        folders = (
            ROOT / "macros" / folder for folder in (*OF_MODELS, "generic_tests", "operations")
        )
        [path] = (path for folder in folders if (path := folder / f"{stem}.sql").exists())
        macro = get_environment(None, capture_macros=False).parse(path.read_text("utf-8"))
        first = next(macro.find_all(nodes.Macro))
        optional = first.args[len(first.args) - len(first.defaults) :]
        defaults = {
            argument.name: _literal(value.as_const())
            for argument, value in zip(optional, first.defaults, strict=True)
        }
        found[stem] = {**entry, "folder": path.parent.name, "defaults": defaults}
    return found


def macros_page(documented: dict[str, dict[str, Any]]) -> str:
    """Return the page of the macros for models."""
    parts = [
        _head("Macros", "macros/_macros.yml"),
        "Call them from your models, as `{{ tf_embeddings.embed('body') }}`. Texts, vectors and "
        "columns are SQL expressions in quotes.",
        "`model` names a pinned model. Leave it out if there is only one, or for the one that "
        "[`tf_embeddings_default_model`](settings.md#tf_embeddings_default_model) names.",
    ]
    for folder, heading in OF_MODELS.items():
        parts.append(f"## {heading}")
        for name, macro in documented.items():
            if macro["folder"] == folder:
                parts += _macro(name, macro)
    return _page(parts)


def data_tests_page(documented: dict[str, dict[str, Any]]) -> str:
    """Return the page of the data tests."""
    parts = [
        _head("Data tests", "macros/generic_tests/_generic_tests.yml"),
        "Put them on a column of a model, as `tf_embeddings.embedding_dimension`, and their "
        "arguments below `arguments`. Each returns the failing rows. [The guide](../guides/"
        "data-tests.md) says which to choose.",
        "If a store has vectors of several versions, test one of them, with "
        "`config: {where: \"model_version = 'v…'\"}`. With `dbt build --empty` or `--sample`, "
        "missing ids, golden vectors and baselines do not fail a test.",
    ]
    for name, macro in documented.items():
        if macro["folder"] == "generic_tests":
            parts += _macro(name, macro, passed=("model", "column_name"))
    return _page(parts)


def operations_page(documented: dict[str, dict[str, Any]]) -> str:
    """Return the page of the operations."""
    parts = [
        _head("Operations", "macros/_macros.yml"),
        "Call them with dbt: `dbt run-operation tf_embeddings.verify --args '{model: minilm}'`. "
        "[The guide](../guides/operations.md) says when.",
    ]
    for name, macro in documented.items():
        if macro["folder"] == "operations":
            parts += _macro(name, macro)
    return _page(parts)


def _macro(name: str, macro: dict[str, Any], passed: tuple[str, ...] = ()) -> list[str]:
    arguments = [one for one in macro.get("arguments", []) if one["name"] not in passed]
    defaults = macro["defaults"]
    signature = ", ".join(
        one["name"] + (f"={defaults[one['name']]}" if one["name"] in defaults else "")
        for one in arguments
    )
    parts = [f"### `{name}`", f"`{name}({signature})`", *_paragraphs(macro["description"])]
    if called := re.match(r"An operation: (`[^`]*`)", parts[2]):
        parts[1:3] = [f"{parts[1]}, such as {called[1]}", parts[2][called.end() + 2 :]]
    if arguments:
        rows = [
            f"| `{one['name']}` | {_type(one['type'])} | {_code(defaults.get(one['name']))} "
            f"| {_cell(one['description'])} |"
            for one in arguments
        ]
        parts.append("\n".join(["| argument | type | default | is |", "|---|---|---|---|", *rows]))
    return parts


def _paragraphs(description: str) -> list[str]:
    return re.split(r"\n\s*", description.strip())


def _type(text: str) -> str:
    return _code(re.sub(r"^optional\[(.*)\]$", r"\1", text))


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


# --- command line ---------------------------------------------------------------------------------


def command_line_page() -> str:
    """Return the page of the scripts, from their parsers."""
    sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "udf_src")]
    parts = [
        _head("Command line", "the scripts' parsers"),
        "Call a script in your project's folder, with the Python of an environment that has its "
        "[requirements](../guides/deployment.md).",
    ]
    scripts = sorted((ROOT / "scripts").glob("*.py"), key=lambda path: path.stem != "stage_model")
    for script in scripts:
        [module] = re.findall(r"from (\w+\.cli) import main", script.read_text(encoding="utf-8"))
        parts += _parser_parts(script.name, importlib.import_module(module)._parser())
    return _page(parts)


def _parser_parts(script: str, parser: argparse.ArgumentParser) -> list[str]:
    needed = [
        str(action.metavar or action.dest)
        if not action.option_strings
        else f"{action.option_strings[0]} {action.metavar or action.dest.upper()}"
        for action in parser._actions
        if action.required or not action.option_strings
    ]
    called = " ".join(["python", f"dbt_packages/tf_embeddings/scripts/{script}", *needed])
    parts = [f"## `{script}`", f"`{called} [flags]`", str(parser.description)]
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.dest != "help"]
        rows = [f"| {_flag(action)} | {_help(parser, action)} |" for action in actions]
        if not rows:
            continue
        if group.title and group.title not in ("positional arguments", "options"):
            title = group.title
            parts.append(f"### {title if title.startswith('dbt') else title.capitalize()}")
        if group.description:
            parts.append(group.description)
        name = "argument" if group.title == "positional arguments" else "flag"
        parts.append("\n".join([f"| {name} | is |", "|---|---|", *rows]))
    return parts


def _flag(action: argparse.Action) -> str:
    value = ""
    if action.option_strings and action.nargs != 0:
        value = f" {action.metavar or action.dest.upper()}"
    names = action.option_strings or [str(action.metavar or action.dest)]
    return ", ".join(f"`{name}{value}`" for name in names)


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = _cell(parser._get_formatter()._expand_help(action))
    return re.sub(r"(?<![\w-])(--[\w-]+|__\w+__|<[\w-]+>\S*)(?<![).,:;])", r"`\1`", text)


# --- troubleshooting ------------------------------------------------------------------------------


def troubleshooting_page(text: str) -> str:
    """Return the page with its list of messages written again; what is above it stays."""
    written, found, _ = text.partition(BEGIN)
    if not found:
        raise ValueError(f"{TROUBLESHOOTING.name} lacks the line {BEGIN}")
    by_place: dict[str, list[str]] = {heading: [] for heading, _ in PLACES}
    for message in site_messages.messages():
        by_place[_place(message.path)] += _of_settings(message.text)
    parts = [written + BEGIN]
    for heading, texts in by_place.items():
        if texts:
            items = [f"- {_inline(text)}" for text in dict.fromkeys(texts)]
            parts += [f"### {heading}", "\n".join(items)]
    return "\n\n".join(parts) + "\n"


def _of_settings(message: str) -> list[str]:
    """Return a message, or what it says of each setting if it is theirs."""
    wrong = "var tf_embeddings_… is …; it must be …."
    if wrong not in message:
        return [message]
    return [
        message.replace(wrong, f"var tf_embeddings_{name} is …; it must be {allowed}.")
        for name, (_, allowed) in _settings_read(SETTINGS.read_text(encoding="utf-8")).items()
    ]


def _place(path: str) -> str:
    for heading, beginnings in PLACES:
        if path.startswith(tuple(beginnings)):
            return heading
    raise ValueError(f"{path} has messages; say in PLACES where a user meets them.")


def _inline(text: str) -> str:
    """Return a text as inline code."""
    if "`" not in text:
        return f"`{text}`"
    return f"`` {text} ``"


# --- pages ----------------------------------------------------------------------------------------


def _head(title: str, source: str) -> str:
    return f"{GENERATED.format(source=source)}\n\n# {title}"


def _page(parts: list[str]) -> str:
    return "\n\n".join(_wrapped(part) for part in parts) + "\n"


def _wrapped(part: str) -> str:
    """Break a paragraph at 120 characters; tables, headings and comments stay as they are."""
    if part.startswith(("|", "#", "<")):
        return part
    lines, line = [], ""
    for word in part.split():
        if line and len(line) + 1 + len(word) > 120:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


def main() -> None:
    """Write the pages that are not current."""
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"Wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
