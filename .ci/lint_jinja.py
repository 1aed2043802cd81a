"""Find Jinja that dbt 1.x and dbt v2 read differently: `python .ci/lint_jinja.py [FILE …]`.

dbt v2 renders with minijinja. Each rule is a construct that it refuses, or reads as something else
without a word. A file is parsed with dbt's own Jinja, so comments and other SQL do not count.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from dbt_common.clients.jinja import get_environment
from jinja2 import nodes

ROOT = Path(__file__).parents[1]

FLOAT_DEFAULT = "{filter} takes no default in dbt v2; test the value before"
CHAINED = (
    "dbt v2 reads a < b < c from left to right, and 0 < -1 < 10 is true; write two comparisons"
)
MISSING_ITEM = "`{filter} | default` of an empty list is '' in dbt v2; write a loop, or use `or`"
FULLMATCH = "fullmatch gives a list in dbt v2, without .{attribute}; use match, and $ at the end"
FORMAT = "dbt v2's format neither pads nor knows %e and %g, as in {format}; use .ljust or round"
TZINFO = "a time's .tzinfo is false in dbt v2; write `.tzinfo is none`"
LOCALIZE = "localize fails for a time with a zone in dbt v2; guard it with `if ….tzinfo is none`"
EMPTY_PATHS = "{key} is empty, which dbt v2 takes as unset; name a folder that does not exist"

# `%`, flags, a width or `*`; or `%`, a precision, and the conversions e and g.
WIDTH_OR_EXPONENT = re.compile(r"%(?:[-+ #0]*(?:[1-9]\d*|\*)|[-+ #0]*(?:\.\d+)?[eEgG])")
RAW = re.compile(r"{%-?\s*(?:end)?raw\s*-?%}")
BLOCK = re.compile(r"^```(?:sql|yaml|yml|jinja)(?: [^\n]*)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def problems_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the sentence of each construct in a template."""
    # Inside of raw, a unit test's fixture has Jinja for later.
    text = RAW.sub(lambda match: " " * len(match.group()), text)
    tree = get_environment(None, capture_macros=False).parse(text)
    guarded = {id(node) for node in _guarded(tree)}
    for node in tree.find_all(nodes.Node):
        if id(node) not in guarded:
            for sentence in _of_node(node):
                yield node.lineno, sentence
    for scope in [tree, *tree.find_all(nodes.Macro)]:
        yield from _of_fullmatch(scope)


def _of_node(node: nodes.Node) -> Iterator[str]:
    match node:
        case nodes.Filter(name="float" | "int", args=args, kwargs=kwargs) if args or kwargs:
            yield FLOAT_DEFAULT.format(filter=node.name)
        case nodes.Compare(ops=[_, _, *_]):
            yield CHAINED
        case nodes.Filter(name="default" | "d", node=nodes.Filter(name="first" | "last") as item):
            yield MISSING_ITEM.format(filter=item.name)
        case nodes.Filter(name="format", node=nodes.Const(value=str(text))) if (
            WIDTH_OR_EXPONENT.search(text)
        ):
            yield FORMAT.format(format=repr(text))
        case nodes.Mod(left=nodes.Const(value=str(text))) if WIDTH_OR_EXPONENT.search(text):
            yield FORMAT.format(format=repr(text))
        case nodes.Getattr(attr="tzinfo"):
            yield TZINFO
        case nodes.Call(node=nodes.Getattr(attr="localize")):
            yield LOCALIZE
        case _:
            pass


def _guarded(tree: nodes.Template) -> Iterator[nodes.Node]:
    """Yield the .tzinfo that is compared with none, and localize where it is none."""
    for test in tree.find_all(nodes.Test):
        if test.name == "none" and _is_tzinfo(test.node):
            yield test.node
    for choice in tree.find_all((nodes.CondExpr, nodes.If)):
        test = choice.test
        if isinstance(test, nodes.Test) and test.name == "none" and _is_tzinfo(test.node):
            body = [choice.expr1] if isinstance(choice, nodes.CondExpr) else choice.body
            for part in body:
                yield part
                yield from part.find_all(nodes.Call)


def _is_tzinfo(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Getattr) and node.attr == "tzinfo"


def _of_fullmatch(scope: nodes.Template | nodes.Macro) -> Iterator[tuple[int, str]]:
    """Yield uses of what fullmatch returns, directly or by a name, other than as a condition."""
    own = list(_without_macros(scope))
    names = {
        node.target.name
        for node in own
        if isinstance(node, nodes.Assign)
        and isinstance(node.target, nodes.Name)
        and _is_fullmatch(node.node)
    }
    for node in own:
        if isinstance(node, nodes.Getattr | nodes.Getitem):
            of = node.node
            if _is_fullmatch(of) or (isinstance(of, nodes.Name) and of.name in names):
                attribute = node.attr if isinstance(node, nodes.Getattr) else "group"
                yield node.lineno, FULLMATCH.format(attribute=attribute)


def _is_fullmatch(node: nodes.Node) -> bool:
    """Whether a node is a call of fullmatch, as modules.re.fullmatch or by a name of its own."""
    match node:
        case nodes.Call(node=nodes.Getattr(attr="fullmatch") | nodes.Name(name="fullmatch")):
            return True
        case _:
            return False


def _without_macros(node: nodes.Node) -> Iterator[nodes.Node]:
    for child in node.iter_child_nodes():
        if not isinstance(child, nodes.Macro):
            yield child
            yield from _without_macros(child)


def problems_of_file(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the sentence of each construct in a file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        for block in BLOCK.finditer(text):
            before = text.count("\n", 0, block.start(1))
            for line, sentence in problems_of(block.group(1)):
                yield before + line, sentence
        return
    yield from problems_of(text)
    if path.name == "dbt_project.yml":
        for key, value in yaml.safe_load(text).items():
            if key.endswith("-paths") and value == []:
                line = text[: text.index(key)].count("\n") + 1
                yield line, EMPTY_PATHS.format(key=key)


def files() -> list[Path]:
    """Return what dbt reads in this repository, and the documents that show it."""
    patterns = [
        "dbt_project.yml",
        "demo/dbt_project.yml",
        *(f"{folder}/*.{kind}" for folder in ("macros", "models") for kind in ("sql", "yml")),
        *(f"demo/{folder}/*.{kind}" for folder in ("models", "tests") for kind in ("sql", "yml")),
        "README.md",
        "docs/*.md",
    ]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, check=True
    )
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def main(names: list[str]) -> int:
    """Print what is wrong in the files, or in all; return the exit code."""
    found = [
        f"{path}:{line}: {sentence}"
        for path in ([Path(name) for name in names] or files())
        for line, sentence in sorted(problems_of_file(path))
    ]
    print("\n".join(found) if found else "No Jinja that dbt v2 reads differently.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
