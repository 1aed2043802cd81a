"""The pin of a model in dbt_project.yml, or in vars.yml, which dbt 1.12 reads too.

Vars are set for all packages or below a package's name: a pin goes to the map that exists. The
file belongs to the user, so an edit changes only the bytes of the pin. The YAML tree gives the
positions; the result is parsed again and must have exactly the wanted content. Only if the maps are
in flow style (`vars: {...}`) is the whole file rewritten, by ruamel.yaml's round trip, which keeps
comments, order and quotes.
"""

from __future__ import annotations

import copy
import io
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from tf_embeddings_project import (
    DEFAULT_MODEL,
    MODELS,
    PROJECT_FILE,
    VARS,
    VARS_FILE,
    NotYamlError,
    load_project,
    map_below,
    read_yaml,
)
from tf_embeddings_udf.lock import locked

from tf_embeddings_staging.cache import sweep
from tf_embeddings_staging.errors import StagingError

Edit = tuple[int, int, str]  # from, to, text


@dataclass(frozen=True)
class Home:
    """Where a project has, or would have, its map of pins.

    Attributes:
        file: dbt_project.yml or vars.yml.
        keys: the path of keys to the map.
        pins: the map.
        has_default: whether the project names a default model.
    """

    file: Path
    keys: tuple[str, ...]
    pins: Mapping[str, Any]
    has_default: bool


def home(project_file: Path) -> Home:
    """Find a project's map of pins.

    Raises:
        StagingError: a file is not YAML.
    """
    try:
        project = load_project(project_file)
    except NotYamlError as error:
        raise _not_yaml(error.file, error.reason) from None
    scope = project.scope(MODELS)
    return Home(
        project.file,
        (VARS, MODELS) if scope is None else (VARS, scope, MODELS),
        pins if isinstance(pins := project.var(MODELS), Mapping) else {},
        bool(project.var(DEFAULT_MODEL)),
    )


def require_read(place: Home, dbt_version: str) -> None:
    """Refuse a map of pins that this dbt does not see.

    Raises:
        StagingError: it is in vars.yml, which dbt reads from 1.12 on.
    """
    if place.file.name == VARS_FILE and re.match(r"1\.(\d|1[01])\.", dbt_version):
        raise StagingError(
            f"this project has its vars in {VARS_FILE}, which dbt {dbt_version} does not read. "
            f"Use dbt 1.12 or later, or move the vars to {PROJECT_FILE}."
        )


def render(name: str, pin: Mapping[str, Any], keys: Sequence[str] = (VARS, MODELS)) -> str:
    """Return the lines of a pin in dbt_project.yml, below these keys."""
    return "\n".join(_block([*keys, name], pin, "", "  ")) + "\n"


def write(path: Path, name: str, pin: Mapping[str, Any]) -> bool:
    """Write a pin to its home in the project of this dbt_project.yml; tell whether that changed it.

    Safe to run twice at once: reading, editing and replacing the file happen under one lock, which
    the kernel releases when its process ends. On Windows, and on file systems without locks, the
    last of two runs at the same moment wins.

    Raises:
        StagingError: the file is not YAML, or has something else in the pin's place.
    """
    with locked(path.resolve().with_name(".dbt_project.yml.lock")):
        place = home(path)
        text = place.file.read_bytes().decode()
        edited = with_pin(text, name, pin, place.keys, place.file.name)
        if edited == text:
            return False
        _replace(place.file.resolve(), edited)
    return True


def _replace(path: Path, text: str) -> None:
    """Replace a file in one step, and keep its mode. A killed run leaves the old file."""
    sweep(path.parent.glob(f".{path.name}.*.part"))
    handle, private = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
        shutil.copymode(path, private)
        os.replace(private, path)
    finally:
        Path(private).unlink(missing_ok=True)


def kept_packages(path: Path, name: str, packages: Sequence[str]) -> tuple[str, ...]:
    """Return a model's packages, with the versions of the project's pin if it has the same ones."""
    kept = map_below(home(path).pins, name).get("packages")
    pinned = [str(package) for package in kept] if isinstance(kept, list) else []
    if sorted(package.partition("==")[0] for package in pinned) == sorted(packages):
        return tuple(pinned)
    return tuple(packages)


def pinned_build(path: Path, name: str) -> str | None:
    """Return the build that a project pins for a model, or None."""
    build = map_below(home(path).pins, name).get("build")
    return build if isinstance(build, str) else None


def needs_default(path: Path) -> bool:
    """Tell whether a project has several pins but no default model."""
    place = home(path)
    return len(place.pins) > 1 and not place.has_default


def with_pin(
    text: str,
    name: str,
    pin: Mapping[str, Any],
    keys: Sequence[str] = (VARS, MODELS),
    file: str = PROJECT_FILE,
) -> str:
    """Return the text of a dbt_project.yml with this pin below these keys."""
    wanted = _load(text, file)
    path = [*keys, name]
    _set_pin(wanted, path, pin, file)
    if wanted == _load(text, file):
        return text
    for edited in (_spliced(text, path, pin), _round_trip(text, path, pin, file)):
        if edited is not None and _holds(edited, wanted):
            return edited
    raise StagingError(f"could not write the pin to {file}. Add it by hand.")


def _load(text: str, file: str = PROJECT_FILE) -> Any:  # noqa: ANN401 - any YAML value
    try:
        return read_yaml(Path(file), text)
    except NotYamlError as error:
        raise _not_yaml(error.file, error.reason) from None


def _not_yaml(file: str, reason: str) -> StagingError:
    return StagingError(f"{file} is not YAML ({reason}), so the pin was not written.")


def _holds(text: str, wanted: object) -> bool:
    try:
        return _load(text) == wanted
    except StagingError:
        return False


def _set_pin(project: Any, keys: Sequence[str], pin: Mapping[str, Any], file: str) -> None:  # noqa: ANN401
    """Set the pin in a loaded project, and keep everything else."""
    level, where = project, file
    if not isinstance(level, dict):
        raise _unexpected(where, level)
    for key in keys:
        if level.get(key) is None:
            level[key] = {}
        level, where = level[key], f"'{key}' in {file}"
        if not isinstance(level, dict):
            raise _unexpected(where, level)
    level.update(copy.deepcopy(dict(pin)))


def _unexpected(where: str, value: object) -> StagingError:
    return StagingError(
        f"{where} is of type {type(value).__name__}, not a map, so the pin was not written. Add "
        f"it by hand."
    )


def _round_trip(text: str, keys: Sequence[str], pin: Mapping[str, Any], file: str) -> str:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    step = len(_step(cast("Node", YAML(pure=True).compose(text))))
    is_indented = re.search(r"^( *)[^\s#-][^\n]*:\s*\n\1 +- ", text, re.MULTILINE)
    yaml.indent(
        mapping=step, sequence=step + 2 if is_indented else 2, offset=step if is_indented else 0
    )
    project = yaml.load(text)
    _set_pin(project, keys, pin, file)
    written = io.StringIO(newline="")
    yaml.dump(project, written)
    return written.getvalue()


def _spliced(text: str, keys: Sequence[str], pin: Mapping[str, Any]) -> str | None:
    """Return the text with only the pin's characters changed; None if that is not possible."""
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
    if isinstance(level, MappingNode) and not keys:  # the pin is in flow style
        fields = {key.value: text[_span(text, value)] for key, value in level.value}
        fields |= {key: _flow(value) for key, value in pin.items()}
        flow = ", ".join(f"{key}: {value}" for key, value in fields.items())
        return _applied(text, [(level.start_mark.index, level.end_mark.index, f"{{{flow}}}")])
    return None


def _field_edits(text: str, level: MappingNode, pin: Mapping[str, Any], indent: str) -> list[Edit]:
    """Return the edits that update an existing pin."""
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
    """Return the text with a new top-level key, after an empty line or below a final comment."""
    last = text.rstrip().rpartition("\n")[2]
    is_close = last.startswith("#") or text.endswith(("\n\n", "\n\r\n"))
    return _applied(text, [_insertion(text, len(text) - 1, lines if is_close else ["", *lines])])


def _insertion(text: str, after: int, lines: Sequence[str]) -> Edit:
    """Return the edit that inserts lines below the line of position `after`."""
    newline = "\r\n" if "\r\n" in text else "\n"
    place = text.find("\n", after) + 1
    written = newline.join(lines) + newline
    return (place, place, written) if place else (len(text), len(text), newline + written)


def _block(keys: Sequence[str], pin: Mapping[str, Any], indent: str, step: str) -> list[str]:
    """Return the lines of a pin below these keys, in block style."""
    lines = [f"{indent}{step * depth}{key}:" for depth, key in enumerate(keys)]
    inner = f"{indent}{step * len(keys)}"
    return [*lines, *(f"{inner}{key}: {_flow(value)}" for key, value in pin.items())]


def _flow(value: object) -> str:
    """Return a value of a pin as YAML; these values need no quotes."""
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
    """Return the end of a node's text; a block's own end mark is the start of the next node."""
    if isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        if not isinstance(last, tuple):
            return _end(text, last)
        return max(_end(text, last[0]), _end(text, last[1]))
    return len(text[: node.end_mark.index].rstrip())


def _step(root: Node) -> str:
    """Return the indentation of the file's first nested map; two spaces if there is none."""
    if isinstance(root, MappingNode):
        for key, value in root.value:
            if isinstance(value, MappingNode) and not value.flow_style and value.value:
                return " " * (value.value[0][0].start_mark.column - key.start_mark.column)
    return "  "
