"""The pin of a model in dbt_project.yml.

The file is the user's: an edit changes the bytes of the pin and no other. The places come from
the YAML tree; the result is parsed again and must hold exactly what is asked for. Only where the
maps are written in flow style (`vars: {...}`) is the file written anew, by ruamel.yaml's round
trip, which keeps comments, order and quotes.
"""

from __future__ import annotations

import copy
import io
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tf_embeddings_staging.errors import StagingError

_VARS = "vars"
_MODELS = "tf_embeddings_models"

Edit = tuple[int, int, str]  # from, to, text


def render(name: str, pin: Mapping[str, Any]) -> str:
    """Return the pin as it stands in a dbt_project.yml."""
    return "\n".join(_block([_VARS, _MODELS, name], pin, "", "  ")) + "\n"


def write(path: Path, name: str, pin: Mapping[str, Any]) -> bool:
    """Put the pin into a dbt_project.yml; tell whether that changed it.

    Raises:
        StagingError: the file is no YAML, or has something else in the pin's place.
    """
    path = path.resolve()
    text = path.read_bytes().decode()
    edited = with_pin(text, name, pin)
    if edited == text:
        return False
    handle, private = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(edited.encode())
        shutil.copymode(path, private)
        os.replace(private, path)
    finally:
        Path(private).unlink(missing_ok=True)
    return True


def kept_packages(path: Path, name: str, packages: Sequence[str]) -> tuple[str, ...]:
    """Return the packages of a model with the versions that a dbt_project.yml pins, if it does."""
    level = _load(path.read_text(encoding="utf-8"))
    for key in (_VARS, _MODELS, name, "packages"):
        level = level.get(key) if isinstance(level, dict) else None
    pinned = [str(package) for package in level] if isinstance(level, list) else []
    if sorted(package.partition("==")[0] for package in pinned) == sorted(packages):
        return tuple(pinned)
    return tuple(packages)


def pinned_build(path: Path, name: str) -> str | None:
    """Return the build of a model that a dbt_project.yml pins; None if it does not."""
    level = _load(path.read_text(encoding="utf-8"))
    for key in (_VARS, _MODELS, name, "build"):
        level = level.get(key) if isinstance(level, dict) else None
    return level if isinstance(level, str) else None


def needs_default(path: Path) -> bool:
    """Tell whether a dbt_project.yml with a pin has others too, and names no default model."""
    variables = _load(path.read_text(encoding="utf-8"))[_VARS]
    return len(variables[_MODELS]) > 1 and not variables.get("tf_embeddings_default_model")


def with_pin(text: str, name: str, pin: Mapping[str, Any]) -> str:
    """Return the text of a dbt_project.yml with this pin in it."""
    wanted = _load(text)
    _set_pin(wanted, name, pin)
    if wanted == _load(text):
        return text
    for edited in (_spliced(text, name, pin), _round_trip(text, name, pin)):
        if edited is not None and _holds(edited, wanted):
            return edited
    raise StagingError("the pin could not be put into dbt_project.yml. Add it by hand.")


def _load(text: str) -> Any:  # noqa: ANN401 - any YAML value
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        reason = re.sub(r"\s+", " ", str(error)).strip()
        raise StagingError(
            f"dbt_project.yml is not YAML ({reason}), so the pin was not written."
        ) from None


def _holds(text: str, wanted: object) -> bool:
    try:
        return _load(text) == wanted
    except StagingError:
        return False


def _set_pin(project: Any, name: str, pin: Mapping[str, Any]) -> None:  # noqa: ANN401
    """Set the pin in a loaded project; what else is in it stays."""
    level, where = project, "dbt_project.yml"
    if not isinstance(level, dict):
        raise _unexpected(where, level)
    for key in (_VARS, _MODELS, name):
        if level.get(key) is None:
            level[key] = {}
        level, where = level[key], f"'{key}' in dbt_project.yml"
        if not isinstance(level, dict):
            raise _unexpected(where, level)
    level.update(copy.deepcopy(dict(pin)))


def _unexpected(where: str, value: object) -> StagingError:
    return StagingError(
        f"{where} is of type {type(value).__name__}, not a map, so the pin was not written. Add "
        f"it by hand."
    )


def _round_trip(text: str, name: str, pin: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    step = len(_step(cast("Node", YAML(pure=True).compose(text))))
    is_indented = re.search(r"^( *)[^\s#-][^\n]*:\s*\n\1 +- ", text, re.MULTILINE)
    yaml.indent(
        mapping=step, sequence=step + 2 if is_indented else 2, offset=step if is_indented else 0
    )
    project = yaml.load(text)
    _set_pin(project, name, pin)
    written = io.StringIO(newline="")
    yaml.dump(project, written)
    return written.getvalue()


def _spliced(text: str, name: str, pin: Mapping[str, Any]) -> str | None:
    """Return the text with the pin's own characters changed; None where that is not enough."""
    keys = [_VARS, _MODELS, name]
    level = cast("Node", YAML(pure=True).compose(text))
    step = _step(level)
    parent: Node | None = None
    while isinstance(level, MappingNode) and not level.flow_style and level.value:
        column = level.value[0][0].start_mark.column
        if not keys:
            return _applied(text, _field_edits(text, level, pin, " " * column))
        found = _find(level, keys[0])
        if found is None:
            lines = _block(keys, pin, " " * column, step)
            if parent is None:
                return _appended(text, lines)
            return _applied(text, [_insertion(text, _end(text, level), lines)])
        parent, level = found
        keys = keys[1:]
    if parent is None:
        return None
    indent = " " * parent.start_mark.column + step
    if _is_nothing(level):
        lines = _block(keys, pin, indent, step)
        edits = [_insertion(text, _end(text, parent), lines)]
        if text[level.start_mark.index : level.end_mark.index]:  # a written null, or {}
            gone = len(text[: level.start_mark.index].rstrip(" "))
            edits.append((gone, level.end_mark.index, ""))
        return _applied(text, edits)
    if isinstance(level, MappingNode) and not keys:  # the pin itself, in flow style
        fields = {key.value: text[_span(text, value)] for key, value in level.value}
        fields |= {key: _flow(value) for key, value in pin.items()}
        flow = ", ".join(f"{key}: {value}" for key, value in fields.items())
        return _applied(text, [(level.start_mark.index, level.end_mark.index, f"{{{flow}}}")])
    return None


def _field_edits(text: str, level: MappingNode, pin: Mapping[str, Any], indent: str) -> list[Edit]:
    """Return what changes the fields of a pin that is there."""
    edits: list[Edit] = []
    new: list[str] = []
    for key, value in pin.items():
        found = _find(level, key)
        if found is None:
            new.append(f"{indent}{key}: {_flow(value)}")
            continue
        span = _span(text, found[1])
        if _load(text[span]) == value:
            continue
        quote = text[span][:1] if isinstance(value, str) and text[span][:1] in ("'", '"') else ""
        written = f"{quote}{_flow(value)}{quote}"
        edits.append((span.start, span.stop, written if text[span] else f" {written}"))
    if new:
        edits.append(_insertion(text, _end(text, level), new))
    return edits


def _applied(text: str, edits: Sequence[Edit]) -> str:
    for start, end, written in sorted(edits, reverse=True):
        text = text[:start] + written + text[end:]
    return text


def _appended(text: str, lines: Sequence[str]) -> str:
    """Return the text with a new top-level key: after an empty line, or below a last comment."""
    last = text.rstrip().rpartition("\n")[2]
    is_close = last.startswith("#") or text.endswith(("\n\n", "\n\r\n"))
    return _applied(text, [_insertion(text, len(text) - 1, lines if is_close else ["", *lines])])


def _insertion(text: str, after: int, lines: Sequence[str]) -> Edit:
    """Return the edit that puts lines below the line that holds the position `after`."""
    newline = "\r\n" if "\r\n" in text else "\n"
    place = text.find("\n", after) + 1
    written = newline.join(lines) + newline
    return (place, place, written) if place else (len(text), len(text), newline + written)


def _block(keys: Sequence[str], pin: Mapping[str, Any], indent: str, step: str) -> list[str]:
    """Return the lines of a pin under these keys, in block style."""
    lines = [f"{indent}{step * depth}{key}:" for depth, key in enumerate(keys)]
    inner = f"{indent}{step * len(keys)}"
    return [*lines, *(f"{inner}{key}: {_flow(value)}" for key, value in pin.items())]


def _flow(value: object) -> str:
    """Return a value of a pin; none of them needs quotes."""
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _find(level: MappingNode, name: str) -> tuple[Node, Node] | None:
    return next(((key, value) for key, value in level.value if key.value == name), None)


def _is_nothing(node: Node) -> bool:
    if isinstance(node, MappingNode):
        return not node.value
    return isinstance(node, ScalarNode) and node.value in ("", "~", "null", "Null", "NULL")


def _span(text: str, node: Node) -> slice:
    return slice(node.start_mark.index, _end(text, node))


def _end(text: str, node: Node) -> int:
    """Return where a node's last character is; the mark of a block is where the next one begins."""
    if isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        if not isinstance(last, tuple):
            return _end(text, last)
        return max(_end(text, last[0]), _end(text, last[1]))
    return len(text[: node.end_mark.index].rstrip())


def _step(root: Node) -> str:
    """Return the indentation of the file's first nested map; two spaces if it has none."""
    if isinstance(root, MappingNode):
        for key, value in root.value:
            if isinstance(value, MappingNode) and not value.flow_style and value.value:
                return " " * (value.value[0][0].start_mark.column - key.start_mark.column)
    return "  "
