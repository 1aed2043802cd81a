"""What --list and --inspect print."""

from __future__ import annotations

import io
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tf_embeddings_staging.catalogue import Entry

_HEADINGS = ("name", "dims", "kind", "languages", "license", "needs", "verified", "about")
_MOST_LANGUAGES = 3
_NARROW = 130
_ANY = 10_000
_INDENT = "  "
_FAST = "\u00a0"  # a space that no line breaks at


def table(entries: Mapping[str, Entry], width: int | None = None) -> str:
    """Return the catalogue as a table.

    Args:
        entries: its models.
        width: the terminal's width; 0 in a pipe: then each model is one line, however long.
            None: find out.
    """
    width = _terminal_width() if width is None else width
    rows = [_row(entry) for entry in entries.values()]
    return _stacked(rows, width) if 0 < width < _NARROW else _columns(rows, width, _HEADINGS)


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _row(entry: Entry) -> tuple[str, ...]:
    languages = entry.languages
    return (
        entry.name,
        str(entry.dimensions),
        entry.kind,
        ", ".join(languages)
        if len(languages) <= _MOST_LANGUAGES
        else f"{len(languages)} languages",
        entry.license or "",
        ", ".join(entry.packages),
        "yes" if entry.verified else "no",
        entry.about,
    )


def _columns(
    rows: Iterable[Sequence[str]], width: int, headings: Sequence[str] | None = None
) -> str:
    """Return rows in columns that fit a width, 0 for any; the last column is wrapped."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=bool(headings))
    *first, last = headings or next(iter(rows := [*rows]), ("",))
    for heading in first:
        drawn.add_column(heading, no_wrap=True)
    drawn.add_column(last)
    for row in rows:
        drawn.add_row(*row)
    console = Console(file=io.StringIO(), width=width or _ANY, color_system=None, markup=False)
    with console.capture() as captured:
        console.print(drawn)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().strip("\n").splitlines())


def _stacked(rows: Iterable[Sequence[str]], width: int) -> str:
    """Return each row as a few lines, for a terminal that has no room for columns."""
    blocks = []
    for name, dimensions, kind, languages, license, needs, verified, about in rows:
        facts = (
            f"{dimensions} dimensions",
            kind,
            languages,
            license,
            f"needs {needs}" if needs else "",
            "verified" if verified == "yes" else "not verified",
        )
        lines = [about, ", ".join(filter(None, facts))]
        blocks.append("\n".join([name, *(_wrapped(line, width, _INDENT) for line in lines)]))
    return "\n\n".join(blocks) + "\n"


def report(found: Mapping[str, Any], width: int | None = None) -> str:
    """Return what an inspection found, for people.

    Args:
        found: what the task `inspect` answers, see `inspection.inspect_task`; or only
            `{"report": …}` where nothing of the model was run.
        width: the terminal's width, 0 in a pipe; None: find out.
    """
    width = _terminal_width() if width is None else width
    given = found["report"]
    facts = {
        "kind": found.get("kind") or given.get("kind"),
        "why": found.get("why") or given.get("why"),
        "signature": given.get("signature"),
        "output": given.get("output"),
        "dimensions": found.get("model_dimensions"),
        "max tokens": found.get("max_tokens"),
        "normalized": _normalized(found),
        "libraries": ", ".join(found.get("libraries") or given.get("libraries") or ()),
        "format": given.get("format"),
        "saved by": given.get("tensorflow") and f"TensorFlow {given['tensorflow']}",
        "tags": " | ".join(" + ".join(tags) or "none" for tags in given.get("tags", ())),
    }
    sections = [
        _facts(facts, width),
        _section("encoder", _facts(given.get("encoder") or {}, width, _INDENT)),
        _section("prompts", _facts(given.get("prompts") or {}, width, _INDENT)),
        _graph(given, width),
    ]
    before = given.get("preprocessor")
    if before:
        sections.append(_section("preprocessor", textwrap.indent(_graph(before, width), _INDENT)))
    return "\n".join(filter(None, sections))


def _normalized(found: Mapping[str, Any]) -> str | None:
    """Return whether vectors are scaled to length 1, and how that is known."""
    if found.get("normalize") is None:
        return None
    said = "yes, as configured" if found["normalize"] else "no, as configured"
    length = found.get("own_length")
    if length is None:
        return f"{said}; not measured"
    return f"{said}; measured: the model itself gives 'test' a vector of length {length:.4g}"


def _graph(given: Mapping[str, Any], width: int) -> str:
    """Return the signatures, the ops and the files of a SavedModel."""
    ops = given.get("ops") or {}
    files = given.get("files") or {}
    counts = ", ".join(
        f"{op}{_FAST}{count}"
        for op, count in sorted(ops.items(), key=lambda one: (-one[1], one[0]))
    )
    sizes = {name: _size(size) for name, size in files.items()}
    sections = [
        _section("signatures", "".join(_signature(one) for one in given.get("signatures", ()))),
        _section(
            f"ops: {sum(ops.values())} of {len(ops)} sorts",
            f"{_wrapped(counts, width, _INDENT)}\n".replace(_FAST, " ") if ops else "",
        ),
        *(
            _section(title, _dangers(given.get(name) or (), width))
            for title, name in _DANGERS.items()
        ),
        _section(f"files: {_size(sum(files.values()))} in {len(files)}", _facts(sizes, 0, _INDENT)),
    ]
    return "\n".join(filter(None, sections))


_DANGERS = {
    "refused ops": "refused_ops",
    "refused ops that --allow-op lets in": "allowed_ops",
    "ops that this TensorFlow does not know": "unknown_ops",
}


def _signature(one: Mapping[str, Any]) -> str:
    rows = [
        (way, str(tensor["name"]), _tensor(tensor))
        for way, tensors in (("in", one["inputs"]), ("out", one["outputs"]))
        for tensor in tensors
    ]
    return f"{_INDENT}{one['name']}\n{textwrap.indent(_columns(rows, 0), _INDENT * 2)}"


def _tensor(tensor: Mapping[str, Any]) -> str:
    shape = tensor["shape"]
    if shape is None:
        return f"{tensor['dtype']}, of unknown shape"
    sizes = ("?" if size is None or size < 0 else str(size) for size in shape)
    return f"{tensor['dtype']} [{', '.join(sizes)}]"


def _dangers(dangers: Sequence[Mapping[str, str]], width: int) -> str:
    lines = (
        f"{one['op']} {one['where']}" + (f": {one['why']}" if one["why"] else "") for one in dangers
    )
    return "".join(f"{_wrapped(line, width, _INDENT)}\n" for line in lines)


def _section(title: str, body: str) -> str:
    return f"{title}\n{body}" if body else ""


def _facts(facts: Mapping[str, object], width: int, indent: str = "") -> str:
    """Return names and values below each other; unknown ones are left out."""
    known = {name: str(value) for name, value in facts.items() if value not in (None, "")}
    longest = max(map(len, known), default=0)
    return "".join(
        _wrapped(f"{indent}{name:<{longest}}  {value}", width, "", f"{indent}{'':{longest}}  ")
        + "\n"
        for name, value in known.items()
    )


def _wrapped(text: str, width: int, indent: str, further: str | None = None) -> str:
    """Return a text in lines of a width, 0 for one line; words stay whole."""
    if not width:
        return f"{indent}{text}"
    return textwrap.fill(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=indent if further is None else further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _size(count: int) -> str:
    """Return a number of bytes as people read it."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.2f} GiB"
