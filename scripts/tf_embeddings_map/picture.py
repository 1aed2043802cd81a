"""Write a map as an SVG picture, such as for a README: light and dark, without script and font."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tf_embeddings_map.colors import DARK, LIGHT
from tf_embeddings_map.points import Category, Points

_WIDTH = 800
_MARGIN = 24
_TOP = 72  # below the title
_LEAST_HEIGHT, _MOST_HEIGHT = 320, 560
_LINE = 17  # between two names
_LETTER = 8.3  # the mean width of a name's letter, in pixels
_SMALL_LETTER = 6.9  # of the legend
_MOST_LETTERS = 26
_GRAY = 8  # the class of what has no color

_STYLE = """\
text{{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}}
.paper{{fill:#fbfaf8}}.title{{fill:#1d1f24;font-size:19px;font-weight:650}}
.soft{{fill:#5f6570;font-size:13px}}
.name{{fill:#1d1f24;stroke:#fbfaf8;font-size:14px;font-weight:650;text-anchor:middle}}
.name{{stroke-width:4.5px;stroke-linejoin:round;stroke-opacity:.9;paint-order:stroke}}
.points{{fill:none;stroke-linecap:round;stroke-width:{dot}px;stroke-opacity:.85}}
{light}
@media (prefers-color-scheme:dark){{
.paper{{fill:#14161a}}.title,.name{{fill:#eceef2}}.name{{stroke:#14161a}}.soft{{fill:#a2a8b4}}
{dark}
}}"""


def write_picture(points: Points, path: Path) -> None:
    """Write the picture, colored by the first label; the same points give the same bytes."""
    path.write_text(picture(points), encoding="utf-8", newline="\n")


def picture(points: Points) -> str:
    """Return the picture, 800 pixels wide."""
    left, top = points.places.min(axis=0)
    right, bottom = points.places.max(axis=0)
    across, down = max(int(right - left), 1), max(int(bottom - top), 1)
    scale = min((_WIDTH - 2 * _MARGIN) / across, (_MOST_HEIGHT - _TOP - _MARGIN) / down)
    tall = max(_LEAST_HEIGHT - _TOP - _MARGIN, round(down * scale))
    height = _TOP + tall + _MARGIN
    off_x = _WIDTH / 2 - scale * (left + right) / 2
    off_y = _TOP + tall / 2 - scale * (top + bottom) / 2

    def place(x: int, y: int) -> tuple[float, float]:
        return x * scale + off_x, y * scale + off_y

    placed = [place(x, y) for x, y in points.places.tolist()]
    legend = list(_legend(points, height))
    height += legend[-1][0] - height + _MARGIN if legend else 0
    title = escape(points.title)
    count = f"{len(points.keys):,} texts. Those of similar meaning lie together."
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">',
        f"<title>{title}</title>",
        f"<desc>{escape(_description(points))}</desc>",
        f"<style>{_style(len(placed))}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}" rx="10"/>',
        f'<text class="title" x="{_MARGIN}" y="32">{title}</text>',
        f'<text class="soft" x="{_MARGIN}" y="52">{count}</text>',
        *_dots(points, placed),
        *(line for _, line in legend),
        *_names(_colored(points), place),
        "</svg>\n",
    ]
    return "\n".join(lines)


def _style(count: int) -> str:
    dot = max(2.2, min(8.0, 230 / count**0.5))
    return _STYLE.format(
        dot=round(dot, 1), light=_classes(LIGHT, "#cfcdc7"), dark=_classes(DARK, "#3f434c")
    )


def _classes(colors: Sequence[str], gray: str) -> str:
    of = [f".c{number}{{stroke:{color};color:{color}}}" for number, color in enumerate(colors)]
    # A gray point must not hide what is below it, and is smaller.
    return "".join(of) + f".c{_GRAY}{{stroke:{gray};color:{gray}}}.key{{fill:currentColor}}"


def _colored(points: Points) -> list[Category]:
    if not points.columns:
        return []
    return [each for each in points.columns[0].categories if each.color is not None]


def _description(points: Points) -> str:
    """Return what a screen reader says."""
    said = f"A map of {len(points.keys):,} texts; those of similar meaning lie together."
    if colored := _colored(points):
        names = ", ".join(category.name for category in colored)
        said += f" Colored by {points.columns[0].name}: {names}."
    return said


def _dots(points: Points, placed: Sequence[tuple[float, float]]) -> Iterator[str]:
    """Yield a path for each color: gray first, below the others. A dot is a line of no length."""
    of: list[int] = [0] * len(placed)
    if points.columns:
        column = points.columns[0]
        colors = [_GRAY if each.color is None else each.color for each in column.categories]
        of = [colors[category] for category in column.of]
    for color in sorted(set(of), reverse=True):
        dots = (
            f"M{x:.1f} {y:.1f}h0" for (x, y), own in zip(placed, of, strict=True) if own == color
        )
        yield f'<path class="points c{color}" d="{"".join(dots)}"/>'


def _legend(points: Points, top: int) -> Iterator[tuple[int, str]]:
    """Yield the lines below the map, each with its place from the top."""
    colored = _colored(points)
    if not colored:
        return
    entries = [(_cut(each.name), each.count, each.color) for each in colored]
    rest = sum(each.count for each in points.columns[0].categories if each.color is None)
    if rest:
        entries.append(("other", rest, _GRAY))
    x, y = _MARGIN, top + 10
    for name, count, color in entries:
        wide = round(len(f"{name} {count}") * _SMALL_LETTER) + 38
        if x > _MARGIN and x + wide > _WIDTH:
            x, y = _MARGIN, y + 24
        yield (
            y,
            f'<g class="c{color}"><circle class="key" stroke="none" cx="{x + 5}" cy="{y - 4}" '
            f'r="5"/></g><text class="soft" x="{x + 16}" y="{y}">{escape(name)} '
            f'<tspan opacity=".7">{count:,}</tspan></text>',
        )
        x += wide


def _names(
    categories: Sequence[Category], place: Callable[[int, int], tuple[float, float]]
) -> Iterator[str]:
    """Yield the categories' names above where their points lie densest, none over another."""
    taken: list[tuple[float, float, float]] = []
    for category in categories:
        name = _cut(category.name)
        x, y = place(*category.place)
        half = len(name) * _LETTER / 2 + 5
        x, y = min(max(x, half + 6), _WIDTH - half - 6), y - 14
        steps = sorted(range(-8, 9), key=lambda step: (abs(step), step))
        y += next(
            (
                step * _LINE
                for step in steps
                if all(
                    abs(x - other_x) > half + other_half or abs(y + step * _LINE - other_y) >= _LINE
                    for other_x, other_y, other_half in taken
                )
            ),
            0,
        )
        taken.append((x, y, half))
        yield f'<text class="name" x="{x:.1f}" y="{y + 5:.1f}">{escape(name)}</text>'


def _cut(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
