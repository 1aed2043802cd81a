"""Write a map as one HTML page that needs nothing else: `page.html`, `page.css` and `page.js`."""

from __future__ import annotations

import html
import json
from pathlib import Path
from string import Template
from typing import Any

from tf_embeddings_map.colors import DARK, LIGHT, declarations
from tf_embeddings_map.points import Column, Points

# So that 10,000 points are at most 3 MB: what a text, a key or a value takes in the page.
_MOST_BYTES = 220
_MOST_BYTES_OF_A_NAME = 44


def write_page(points: Points, path: Path) -> None:
    """Write the page; the same points give the same bytes."""
    path.write_text(page(points), encoding="utf-8", newline="\n")


def page(points: Points) -> str:
    """Return the page."""
    style = Template(_file("page.css")).substitute(
        light=declarations(LIGHT), dark=declarations(DARK)
    )
    return Template(_file("page.html")).substitute(
        title=html.escape(points.title),
        style=style,
        script=_file("page.js"),
        data=_as_json(_data(points)),
    )


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8").rstrip("\n")


def _data(points: Points) -> dict[str, Any]:
    x, y = points.places[:, 0].tolist(), points.places[:, 1].tolist()
    return {
        "key": points.key,
        "colors": len(LIGHT),
        "left": min(x),
        "right": max(x),
        "top": min(y),
        "bottom": max(y),
        "columns": [_column(column) for column in points.columns],
        "x": x,
        "y": y,
        "keys": [shortened(key, _MOST_BYTES_OF_A_NAME) for key in points.keys],
        "texts": [shortened(text, _MOST_BYTES) for text in points.texts],
    }


def _column(column: Column) -> dict[str, Any]:
    values = [
        {
            "name": shortened(category.name, 2 * _MOST_BYTES_OF_A_NAME),
            "count": category.count,
            "color": category.color,
            "x": category.place[0],
            "y": category.place[1],
        }
        for category in column.categories
    ]
    return {"name": column.name, "values": values, "of": column.of}


def _as_json(value: object) -> str:
    """Return JSON that can stand in a script element: a `<` could end it, or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def shortened(text: str, most: int) -> str:
    """Return a text that takes at most so many bytes in the page, with an ellipsis if it is cut."""
    if len(text) <= most and _bytes(text) <= most:
        return text
    fits, too_long = 0, min(len(text), most) + 1
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _bytes(text[:middle]) <= most - 3:  # the ellipsis has three bytes
            fits = middle
        else:
            too_long = middle
    return f"{text[:fits].rstrip()}…"


def _bytes(text: str) -> int:
    return len(_as_json(text).encode()) - 2
