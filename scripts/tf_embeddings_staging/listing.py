"""What --list and --inspect print."""

from __future__ import annotations

import io
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tf_embeddings_staging.catalogue import UNLIMITED, Entry

# What one chooses by, and what one must know besides.
_CHOICE = ("name", "dims", "MB", "tokens", "languages", "speed", "quality")
_FACTS = ("kind", "license", "needs", "prefix", "verified")
_ABOUT = "about"
_UNKNOWN = "-"
LEGEND = (
    "MB: the weights as float32. tokens: longer texts are cut. speed: about how many texts it "
    "embeds while minilm embeds one. quality: of search in English, nDCG@10 in percent, as "
    f"published. {_UNKNOWN}: not known."
)
_MOST_LANGUAGES = 3
_LEAST_FOR_ABOUT = 40
_ANY = 10_000
_INDENT = "  "
_FAST = "\u00a0"  # a space that no line breaks at

SORTS: Mapping[str, Callable[[Entry], Any]] = {
    "speed": lambda entry: _descending(entry.speed),
    "quality": lambda entry: _descending(entry.quality),
    "size": lambda entry: (entry.megabytes is None, entry.megabytes),
    "name": lambda entry: entry.name,
}
"""The orders of --sort: the fastest, the best, the smallest first; what is not known last."""


def table(entries: Mapping[str, Entry], width: int | None = None, sort: str | None = None) -> str:
    """Return the catalogue as a table; on a terminal, with what its headings mean.

    Args:
        entries: its models.
        width: the terminal's width; 0 in a pipe: then each model is one line, however long.
            None: find out.
        sort: one of `SORTS`; None: as in the files, the first choices first.
    """
    width = _terminal_width() if width is None else width
    shown = [*entries.values()] if sort is None else sorted(entries.values(), key=SORTS[sort])
    choices, facts = [*map(_choice, shown)], [*map(_facts_of, shown)]
    abouts = [entry.about for entry in shown]
    all_in_columns = [
        (*choice, *fact, about) for choice, fact, about in zip(choices, facts, abouts, strict=True)
    ]
    headings = (*_CHOICE, *_FACTS, _ABOUT)
    legend = f"\n{_wrapped(LEGEND, width, '')}\n" if width else ""
    if not width or _width_of(headings[:-1], all_in_columns) + _LEAST_FOR_ABOUT <= width:
        return _columns(all_in_columns, width, headings) + legend
    texts = [
        "".join(f"{_wrapped(line, width, _INDENT)}\n" for line in (about, _in_words(fact)))
        for fact, about in zip(facts, abouts, strict=True)
    ]
    if _width_of(_CHOICE, choices) <= width:
        heading, *lines = _columns(choices, width, _CHOICE).splitlines(keepends=True)
        both = (line + text for line, text in zip(lines, texts, strict=True))
        return "".join([heading, *both, legend])
    blocks = (
        f"{choice[0]}\n{_wrapped(_in_short(choice), width, _INDENT)}\n{text}"
        for choice, text in zip(choices, texts, strict=True)
    )
    return "\n".join(blocks) + legend


def _descending(number: float | None) -> tuple[bool, float]:
    """Return the key of a sort that has the highest first, and what is not known last."""
    return number is None, -(number or 0)


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _choice(entry: Entry) -> tuple[str, ...]:
    """Return what one chooses by, as `_CHOICE` names it; a dash where it is not known."""
    few = 0 < len(entry.languages) <= _MOST_LANGUAGES
    languages = {
        (): _UNKNOWN,
        ("multilingual",): "many",
    }.get(entry.languages, ", ".join(entry.languages) if few else str(len(entry.languages)))
    limit = "any" if entry.token_limit == UNLIMITED else _shown(entry.token_limit)
    return (
        entry.name,
        str(entry.dimensions),
        _shown(entry.megabytes),
        limit,
        languages,
        _shown(entry.speed),
        _UNKNOWN if entry.quality is None else f"{entry.quality:.1f}",
    )


def _shown(value: object) -> str:
    return _UNKNOWN if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _facts_of(entry: Entry) -> tuple[str, ...]:
    """Return what one must know besides, as `_FACTS` names it."""
    return (
        entry.kind,
        entry.license or "",
        ", ".join(entry.packages),
        f'"{entry.options.prefix}"' if entry.options.prefix else "",
        "yes" if entry.verified else "no",
    )


def _in_words(facts: Sequence[str]) -> str:
    kind, license, needs, prefix, verified = facts
    return ", ".join(
        filter(
            None,
            (
                kind,
                license,
                f"needs {needs}" if needs else "",
                f"prefix {prefix}" if prefix else "",
                "verified" if verified == "yes" else "not verified",
            ),
        )
    )


def _in_short(choice: Sequence[str]) -> str:
    """Return what one chooses by as one line of text, for a terminal without room for columns."""
    _, dimensions, *others = choice
    named = zip(others, _CHOICE[2:], strict=True)
    told = [
        f"{value} {name}" if name in ("MB", "tokens") else f"{name} {value}"
        for value, name in named
        if value != _UNKNOWN
    ]
    return ", ".join([f"{dimensions} dimensions", *told])


def _width_of(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return the width of columns with two spaces between them."""
    cells = [headings, *rows]
    return sum(max(len(row[at]) for row in cells) + 2 for at in range(len(headings)))


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
