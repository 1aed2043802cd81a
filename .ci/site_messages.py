"""The messages of errors and warnings that a user can meet, as templates read from the code.

`…` stands for a part that differs from case to case. A message that this module cannot read is an
error, so that none is missing on the page docs/guides/troubleshooting.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from dbt_common.clients.jinja import get_environment
from jinja2 import nodes

ROOT = Path(__file__).parents[1]

# Macros whose other texts are parts of messages too: causes, next steps, lines of `status`.
SAY_WHY = (
    *("macros/duckdb/operations.sql", "macros/operations/_staged_artifacts.sql"),
    *("macros/operations/verify.sql", "macros/snowflake/causes.sql", "macros/snowflake/hook.sql"),
    *("macros/snowflake/operations.sql", "macros/snowflake/shown.sql"),
    "macros/snowflake/staging.sql",
)
# Macros that check an argument: their message is read for each call, with its words.
CHECKS = ("_boolean_argument", "_number_argument")
# Modules whose texts are no messages: lists of ops and texts, tables, and what goes to a log.
SILENT = (
    *("inspection/op_lists.py", "listing.py", "redaction.py"),
    *("warehouse/upload_progress.py", "progress.py"),
)
# Calls whose texts are no messages, or lines of progress; and errors that their own code catches.
SILENT_CALLS = (
    *(
        "ArgumentParser",
        "Parser",
        "_Parser",
        "add_argument",
        "add_argument_group",
        "compile",
        "counted",
        "execute",
    ),
    *("say", "step", "ArgumentError", "AttributeError", "ProtocolError", "ValueError"),
)

MOST_VARIANTS = 6
_VERBS = (
    "are ask asks begins cannot check copy correct did differ differs does download ends ended "
    "fail fails failed gives has have had holds is knows lacks lead leads lets look may must "
    "name names needs put runs run save say says set takes took was were would wrote"
)
_WORD = re.compile("[A-Za-z]{2,}")
_VERB = re.compile(rf"\b({'|'.join(_VERBS.split())})\b", re.IGNORECASE)
# Names of things, which messages contain; a text that is embedded; XML and CSS.
_NAME = re.compile(r"(an?|one|the name of|what the) .*[^.]|[\w ]{1,20}[?]|<.*>|.*\{\{.*")
_SQL = re.compile(
    r"\s*(and|case|cast|copy files|create|drop|execute|grant|put|read on|select|sha2|show|usage)\b"
    r"(?! again)|.*\b(is (not )?(null|distinct)|as float)\b|.*[(]cast[(]|[\\(\[]"
)


@dataclass(frozen=True)
class Message:
    """A template, and the file that says it, relative to the repository."""

    path: str
    text: str


def messages() -> list[Message]:
    """Return every message, in the order of the files and of their lines."""
    found = [*_of_macros(), *_of_scripts()]
    return list(dict.fromkeys(found))


def _tidy(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"…(\s*…)+", "…", text)
    return re.sub(r"^(stage_model|tf_embeddings): ", "", text)


def _says_something(text: str) -> bool:
    return len(_WORD.findall(text)) >= 3 and bool(_VERB.search(text))


# --- macros ---------------------------------------------------------------------------------------


def _of_macros() -> Iterator[Message]:
    trees = {
        path: get_environment(None, capture_macros=False).parse(path.read_text(encoding="utf-8"))
        for folder in ("macros", "models")
        for path in sorted((ROOT / folder).rglob("*.sql"))
    }
    reader = _Jinja(trees.values())
    for path, tree in trees.items():
        name = path.relative_to(ROOT).as_posix()
        found: list[tuple[int, str]] = []
        for macro in tree.find_all(nodes.Macro):
            found += reader.of_macro(macro, everything=name in SAY_WHY)
        yield from (Message(name, text) for _, text in sorted(found, key=lambda pair: pair[0]))


@dataclass(frozen=True)
class _Scope:
    """A macro, and what a call gives its arguments: text or, if that is not known, None."""

    macro: nodes.Macro
    given: dict[str, str | None] = field(default_factory=dict)

    def assigned(self, name: str) -> nodes.Expr | None:
        """Return what a variable is set to, if it is set once, to a text."""
        found = [
            step.node
            for step in self.macro.find_all(nodes.Assign)
            if isinstance(step.target, nodes.Name) and step.target.name == name
        ]
        is_text = len(found) == 1 and isinstance(found[0], nodes.Const | nodes.Concat)
        return found[0] if is_text else None

    def holds(self, test: nodes.Expr) -> bool | None:
        """Return whether a condition on the arguments holds, if that is known."""
        match test:
            case nodes.Not(node=inner):
                holds = self.holds(inner)
                return None if holds is None else not holds
            case nodes.Test(node=nodes.Name(name=name), name="none") if self.given.get(name):
                return self.given[name] == "None"
            case nodes.Name(name=name) if self.given.get(name):
                return self.given[name] == "True"
        return None


class _Jinja:
    """Reads texts in macros."""

    def __init__(self, trees: Iterable[nodes.Template]) -> None:
        self._macros = {_name(m): m for tree in trees for m in tree.find_all(nodes.Macro)}

    def of_macro(self, macro: nodes.Macro, *, everything: bool) -> Iterator[tuple[int, str]]:
        """Yield the line and the text of each message of a macro."""
        scopes = [_Scope(macro)]
        if _name(macro) in CHECKS:
            scopes = [*self._calls(macro)]
        seen: set[int] = set()
        for call in macro.find_all(nodes.Call):
            if not _is_attribute(call.node, "raise_compiler_error", "warn"):
                continue
            seen |= {id(node) for node in call.find_all(nodes.Node)}
            texts = [text for scope in scopes for text in self._texts(call.args[0], scope)]
            texts = [text for text in texts if _says_something(text)]
            if not texts and not everything:
                raise ValueError(f"{_name(macro)}: the message of line {call.lineno} is not read.")
            yield from ((call.lineno, _tidy(text)) for text in texts)
        if not everything:
            return
        for node in macro.find_all((nodes.Concat, nodes.Const)):
            if id(node) in seen:
                continue
            if isinstance(node, nodes.Concat):
                seen |= {id(inner) for inner in node.find_all(nodes.Node)}
            for text in self._texts(node, scopes[0]):
                if _says_something(text) and not _SQL.match(text):
                    yield node.lineno, _tidy(text)

    def _calls(self, macro: nodes.Macro) -> Iterator[_Scope]:
        """Yield the scope that each call of a macro gives it."""
        names = [argument.name for argument in macro.args]
        optional = names[len(names) - len(macro.defaults) :]
        for caller in self._macros.values():
            for call in caller.find_all(nodes.Call):
                if not _is_attribute(call.node, _name(macro)):
                    continue
                values = dict(zip(optional, macro.defaults, strict=True))
                values |= dict(zip(names, call.args, strict=False))
                values |= {keyword.key: keyword.value for keyword in call.kwargs}
                texts = {name: self._texts(value, _Scope(caller)) for name, value in values.items()}
                given = {name: said[0] if said != ["…"] else None for name, said in texts.items()}
                yield _Scope(macro, given)

    def _texts(self, node: nodes.Node, scope: _Scope, depth: int = 0) -> list[str]:
        """Return the variants of an expression's text."""
        match node:
            case nodes.Const(value=value):
                return [str(value)]
            case nodes.Neg(node=nodes.Const(value=value)):
                return [f"-{value}"]
            case nodes.Concat(nodes=parts):
                variants = [self._texts(part, scope, depth) for part in parts]
                while len(list(product(*variants))) > MOST_VARIANTS:
                    longest = max(range(len(variants)), key=lambda i: len(variants[i]))
                    variants[longest] = ["…"]
                return ["".join(parts) for parts in product(*variants)]
            case nodes.CondExpr(test=test, expr1=first, expr2=second):
                yes = self._texts(first, scope, depth)
                no = self._texts(second, scope, depth) if second else [""]
                return {True: yes, False: no, None: [*yes, *no]}[scope.holds(test)]
            case nodes.Name(name=name):
                if text := scope.given.get(name):
                    return [text]
                if (assigned := scope.assigned(name)) is not None:
                    return self._texts(assigned, scope, depth)
            case nodes.Call(node=nodes.Getattr(attr=name)) if name in self._macros and depth < 2:
                return self._returned(self._macros[name], depth + 1) or ["…"]
        return ["…"]

    def _returned(self, macro: nodes.Macro, depth: int) -> list[str]:
        """Return the text that a macro returns, if it returns nothing else."""
        returned = [
            call.args[0]
            for call in macro.find_all(nodes.Call)
            if isinstance(call.node, nodes.Name) and call.node.name == "return" and call.args
        ]
        if len(returned) != 1 or not isinstance(returned[0], nodes.Concat):
            return []
        texts = self._texts(returned[0], _Scope(macro), depth)
        return texts if all(_says_something(text) for text in texts) else []


def _name(macro: nodes.Macro) -> str:
    return macro.name.removeprefix("dbt_macro__")


def _is_attribute(node: nodes.Node, *names: str) -> bool:
    return isinstance(node, nodes.Getattr) and node.attr in names


# --- Python ---------------------------------------------------------------------------------------


def _of_scripts() -> Iterator[Message]:
    for folder in ("scripts", "udf_src"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.endswith(SILENT):
                yield from (Message(name, text) for text in _of_module(path))


def _of_module(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        target.id: step.value
        for step in tree.body
        if isinstance(step, ast.Assign)
        for target in step.targets
        if isinstance(target, ast.Name)
    }
    errors, silent = _errors(path, tree), _silent(tree)
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if id(node) in silent or not isinstance(node, ast.JoinedStr | ast.Constant):
            continue
        [text] = _python_texts(node, constants) or [""]
        text = _tidy(text)
        is_no_message = _SQL.match(text) or _NAME.fullmatch(text)
        is_sentence = _says_something(text) and not is_no_message
        if is_sentence or (id(node) in errors and len(_WORD.findall(text)) >= 2):
            found.append((node.lineno, text))
    yield from (text for _, text in sorted(found))


def _errors(path: Path, tree: ast.Module) -> set[int]:
    """Return the ids of the expressions that are messages of errors."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _called(node).endswith("Error"):
            message = node.args[0]
            if isinstance(message, ast.Call) and _called(message) in ("rstrip", "removesuffix"):
                message = message.func.value  # type: ignore[union-attr]
            is_made_elsewhere = isinstance(message, ast.Attribute | ast.Call | ast.Name)
            is_text = isinstance(message, ast.Constant | ast.JoinedStr)
            if not (is_text or is_made_elsewhere or isinstance(message, ast.Subscript)):
                raise ValueError(f"{path}: the message of line {node.lineno} is not read.")
            found |= {id(message)}
    return found


def _silent(tree: ast.Module) -> set[int]:
    """Return the ids of the nodes that hold no message."""
    found: set[int] = set()
    for node in ast.walk(tree):
        inner: Iterable[ast.AST] = ()
        if isinstance(node, ast.Expr):  # a docstring
            inner = [node.value]
        elif isinstance(node, ast.JoinedStr):
            inner = (part for part in ast.walk(node) if part is not node)
        elif isinstance(node, ast.Call):
            is_note = _called(node) == "say" and node.args and _is_warning(node.args[0])
            if _called(node) in SILENT_CALLS and not is_note:
                inner = ast.walk(node)
        elif isinstance(node, ast.Tuple) and _are_texts(node):
            inner = ast.walk(node)
        found |= {id(part) for part in inner}
    return found


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _is_warning(node: ast.expr) -> bool:
    return any(text.startswith(("Warning", "Note")) for text in _python_texts(node, {}))


def _are_texts(node: ast.Tuple) -> bool:
    """Tell whether an expression lists the sentences that the probe embeds."""
    return len(node.elts) > 4 and all(
        isinstance(item, ast.Constant | ast.Starred) for item in node.elts
    )


def _python_texts(node: ast.expr, constants: dict[str, ast.expr]) -> list[str]:
    """Return an expression's text, if it is one."""
    match node:
        case ast.Constant(value=str(text)):
            return [re.sub(r"\{\w+\}", "…", text)]
        case ast.JoinedStr(values=parts):
            return ["".join(_part(part, constants) for part in parts)]
    return []


def _part(part: ast.expr, constants: dict[str, ast.expr]) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name):
        given = constants.get(part.value.id)
        if given is not None and (texts := _python_texts(given, constants)):
            return texts[0]
    return "…"
