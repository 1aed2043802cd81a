"""What MkDocs does for the documentation site beyond its own: mkdocs.yml names this file as a hook.

It reads Markdown as GitHub does, shows the files of the repository that pages link to, and fails if
a page would load anything from another host.
"""

from __future__ import annotations

import logging
import os
import posixpath
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # MkDocs is in an environment of its own; the tests call the rest without it.
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LANGUAGES = {"": "text", ".md": "markdown", ".yml": "yaml", ".py": "python", ".txt": "text"}
MOST_BYTES = 200_000

log = logging.getLogger("mkdocs.hooks.site")

_FENCE = re.compile(r"(```+|~~~+)")
_ITEM = re.compile(r"([-*+]|\d{1,9}[.)]) +")
_LIST = re.compile(r"([-*+]|1[.)]) +")
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def as_mkdocs_reads(markdown: str, page: str, files: set[str]) -> str:
    """Return GitHub's Markdown as MkDocs must be given it, for the same page.

    A list may follow a paragraph without an empty line; what belongs to an item begins below the
    item's text, not at four spaces; and a link may lead to a file outside of docs, which has a page
    on the site. `page` and `files` are paths relative to docs.
    """
    lines: list[str] = []
    columns: list[int] = []  # where the text of each open item begins
    fence, fence_indent, is_after_gap = "", 0, True
    for line in markdown.split("\n"):
        text = line.lstrip(" ")
        indent = len(line) - len(text)
        if not text:
            lines.append("")
            is_after_gap = True
            continue
        mark = _FENCE.match(text)
        if fence:
            if mark and mark[1].startswith(fence) and mark[1] == text.rstrip():
                fence = ""
            lines.append("    " * len(columns) + line[min(indent, fence_indent) :])
            continue
        # Only a list that begins with 1 may follow a paragraph: other numbers end a sentence.
        item = _ITEM.match(text) if is_after_gap or columns else _LIST.match(text)
        begins_list = item and not columns
        if item or is_after_gap:
            while columns and indent < columns[-1]:
                columns.pop()
        if not is_after_gap and (begins_list or (mark and columns)):
            lines.append("")
        if mark:
            fence, fence_indent = mark[1], indent if columns else 0
        else:
            text = _LINK.sub(lambda link: link[1] + _target(link[2], page, files) + link[3], text)
        lines.append("    " * len(columns) + text if columns else " " * indent + text)
        is_after_gap = text.startswith("#")
        if item:
            columns.append(indent + item.end())
    return "\n".join(lines)


def _target(link: str, page: str, files: set[str]) -> str:
    """Return where a link of a page leads on the site."""
    path = repository_path(link, page)
    if path is None:
        return link
    target = "index.md" if path == "README.md" else page_of(path)
    if target not in files:
        return link
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def repository_path(link: str, page: str) -> str | None:
    """Return the path in the repository of a link that leaves docs, or None."""
    path = link.partition("#")[0]
    if not path or ":" in path or path.startswith("/"):
        return None
    found = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), path))
    return None if found.startswith(("docs/", "..")) else found


def page_of(path: str) -> str:
    """Return the page of a file or folder of the repository, relative to docs."""
    return f"repository/{path}.md"


def repository_pages(paths: set[str]) -> dict[str, str]:
    """Return a page for each of these files and folders, by its path relative to docs."""
    paths = paths - {"README.md"}  # which the site's index.md stands for
    if not paths:
        return {}
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    pages = {}
    for path in sorted(paths):
        inside = [name for name in tracked if name.startswith(f"{path}/")]
        if inside:
            shown = {name for name in inside if _is_shown(name)}
            pages.update(repository_pages(shown))
            rows = [
                f"- [{name}]({posixpath.relpath(page_of(name), posixpath.dirname(page_of(path)))})"
                if name in shown
                else f"- {name}"
                for name in inside
            ]
            pages[page_of(path)] = _page(path, "\n".join(rows))
        elif path in tracked and _is_shown(path):
            language = LANGUAGES.get(Path(path).suffix, Path(path).suffix[1:])
            text = (ROOT / path).read_text(encoding="utf-8").rstrip("\n")
            pages[page_of(path)] = _page(path, f"``````{language}\n{text}\n``````")
    return pages


def _is_shown(path: str) -> bool:
    return (ROOT / path).stat().st_size <= MOST_BYTES


def _page(title: str, text: str) -> str:
    return f"---\nsearch: {{exclude: true}}\n---\n\n# {title}\n\n{text}\n"


class _Loads(HTMLParser):
    """Collects the URLs that a browser loads with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "link" and not {"canonical", "prev", "next"} & {*given.get("rel", "").split()}:
            self.urls.append(given.get("href", ""))
        elif tag not in ("a", "link"):
            self.urls += [given.get(name, "") for name in ("src", "data", "poster", "href")]
            self.urls += [part.split()[0] for part in given.get("srcset", "").split(",") if part]
        self.urls += _css_urls(given.get("style", ""))
        self._in_style = tag == "style"
        if "mermaid" in given.get("class", "").split():
            self.urls.append("https://unpkg.com/mermaid: write the diagram as an SVG file")

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.urls += _css_urls(data)


def _css_urls(text: str) -> list[str]:
    imported = re.findall(r"@import\s+[\"']([^\"']+)", text)
    return imported + re.findall(r"url\(\s*[\"']?([^\"')]+)", text)


def loads(name: str, text: str) -> Iterator[str]:
    """Yield each URL of another host that a browser loads with a file of the site."""
    if name.endswith((".html", ".svg")):
        parser = _Loads()
        parser.feed(text)
        urls = parser.urls
    elif name.endswith(".css"):
        urls = _css_urls(text)
    elif name.endswith(".js"):
        hosts = r"unpkg\.com|jsdelivr\.net|cdnjs\.cloudflare\.com|googleapis\.com|gstatic\.com"
        urls = re.findall(rf"https?://(?:[\w.-]*\.)?(?:{hosts})[^\s\"'`]*", text)
        urls += re.findall(r"https?://[^\s\"'`]*\.(?:m?js|css|woff2?)\b", text)
    else:
        return
    yield from (url for url in urls if re.match(r"(https?:)?//", url.strip()))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file of the repository that a page links to."""
    from mkdocs.structure.files import File, InclusionLevel

    linked = {
        path
        for file in files.documentation_pages()
        for link in _LINK.findall(Path(str(file.abs_src_path)).read_text(encoding="utf-8"))
        if (path := repository_path(link[1], file.src_uri))
    }
    for uri, content in repository_pages(linked).items():
        files.append(
            File.generated(config, uri, content=content, inclusion=InclusionLevel.NOT_IN_NAV)
        )
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:  # noqa: ANN401
    """Read a page as GitHub does."""
    uri = page.file.src_uri
    if uri.startswith("repository/"):
        return markdown
    return as_mkdocs_reads(markdown, uri, {file.src_uri for file in files})


def on_post_build(config: MkDocsConfig) -> None:
    """Warn, which fails a strict build, of each file that would load something from elsewhere."""
    # Search in other languages than English.
    shutil.rmtree(Path(config.site_dir, "assets", "javascripts", "lunr"), ignore_errors=True)
    for path in sorted(Path(config.site_dir).rglob("*")):
        if path.suffix not in (".html", ".svg", ".css", ".js"):
            continue
        text = path.read_text(encoding="utf-8")
        if path.name.startswith("bundle.") and path.suffix == ".js":
            # Material would load Mermaid and, in old browsers, a polyfill. No page uses the first.
            text = text.replace("https://unpkg.com/", "about:blank#")
            path.write_text(text, encoding="utf-8")
        for url in loads(path.name, text):
            log.warning("%s loads %s", os.path.relpath(path, config.site_dir), url)
