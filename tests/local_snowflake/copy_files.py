"""COPY FILES: from one named stage to another, inside the account.

See https://docs.snowflake.com/en/sql-reference/sql/copy-files
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NoReturn

from snowflake.connector.errors import ProgrammingError

from local_snowflake.errors import compilation_error
from local_snowflake.rows import Rows, texts
from local_snowflake.stages import SSE, Location, Stage, StagedFile, listed_name
from local_snowflake.statements import Reader, first_words, unescaped

if TYPE_CHECKING:
    from local_snowflake.session import Session

MOST_FILES = 1000
MOST_BYTES = 5 * 2**30


@dataclass(frozen=True)
class CopyFiles:
    """What a statement asks for; `files` and `pattern` are None where they are left out."""

    target: str
    source: str
    files: tuple[str, ...] | None = None
    pattern: str | None = None
    detailed_output: bool = True


def handle(session: Session, sql: str) -> Rows | None:
    """Answer COPY FILES."""
    if first_words(sql, 2) != ["copy", "files"]:
        return None
    statement = parse(sql)
    stages = session.account.stages
    source, target = (stages.resolve(session, one) for one in (statement.source, statement.target))
    source_stage = stages.require_read(session, source)
    target_stage = stages.require_write(session, target)
    prefix = _folder(target.path)
    copied = {path: prefix + name for path, name in _chosen(session, source, statement).items()}
    for path, name in copied.items():
        _copy(session, source_stage, path, target_stage, name)
    if not statement.detailed_output:
        return Rows([("numOfFilesCopied", "bigint")], [(len(copied),)])
    return Rows(texts("file"), [(name,) for name in copied.values()])


def parse(sql: str) -> CopyFiles:
    """Parse a statement, or raise Snowflake's error."""
    read = Reader(sql)
    read.expect("copy", "files", "into")
    target = _location(read)
    read.expect("from")
    if read.take("("):
        _unsupported("COPY FILES from a query")
    source = _location(read)
    options = {}
    while key := read.take_any("files", "pattern", "detailed_output"):
        if key in options:
            raise compilation_error(f"duplicate property '{key.upper()}'.", 1403)
        read.expect("=")
        options[key] = _OPTIONS[key](read)
    read.end()
    return CopyFiles(target, source, **options)


def _location(read: Reader) -> str:
    text = read.location()
    if text.startswith("@~") or re.match(r"@(.*\.)?%", text):
        _unsupported(f"COPY FILES with a user's or a table's stage ('{text}')")
    return text


def _files(read: Reader) -> tuple[str, ...]:
    read.expect("(")
    names = [read.string()]
    while read.take(","):
        names.append(read.string())
    read.expect(")")
    if len(names) > MOST_FILES:
        raise compilation_error(
            f"FILES has {len(names)} names; the most are {MOST_FILES}.", 1008, "22023"
        )
    return tuple(names)


def _boolean(read: Reader) -> bool:
    token = read.next()
    text = (unescaped(token.text) if token.kind == "string" else token.text).lower()
    if text not in ("true", "false"):
        raise compilation_error(
            f"invalid value [{token.text}] for parameter 'DETAILED_OUTPUT'", 1008, "22023"
        )
    return text == "true"


_OPTIONS = {"files": _files, "pattern": Reader.string, "detailed_output": _boolean}


def _folder(path: str) -> str:
    """Return a path that ends with a slash, or nothing for the stage itself."""
    return f"{path.rstrip('/')}/" if path.strip("/") else ""


def _chosen(session: Session, source: Location, statement: CopyFiles) -> dict[str, str]:
    """Return the paths of the files to copy, and their names below the target.

    A name of FILES that is not there is skipped. What a path without a slash at its end means is
    not documented; people use it for one file, and so it is here.
    """
    stages = session.account.stages
    stage = stages.stages[source.stage]
    if source.path in stage.files and statement.files is None:
        found = {source.path: PurePosixPath(source.path).name}
    else:
        begin = _folder(source.path)
        below = [path for path in stages.matching(stage, begin) if path != begin]
        found = {path: path.removeprefix(begin) for path in below}
    names = found.values() if statement.files is None else statement.files
    if stage.url and not (source.path or stage.url.endswith("/")):
        # FILES' names are appended to the URL, and nothing puts a slash between.
        found = {path: f"/{name}" if statement.files else name for path, name in found.items()}
    pattern = re.compile(statement.pattern or ".*", re.DOTALL)
    return {
        path: name
        for path, name in found.items()
        if name in names and pattern.fullmatch(listed_name(stage, path))
    }


def _copy(session: Session, source: Stage, path: str, target: Stage, name: str) -> None:
    """Copy one file, over a file of the same name."""
    stages = session.account.stages
    content = source.files[path].content
    if content.stat().st_size > MOST_BYTES:
        raise compilation_error(f"'{path}' is larger than 5GB, which COPY FILES does not copy.")
    copy = stages.new_folder() / PurePosixPath(name).name
    breaks = session.account.faults.strikes("copy_files_breaks_halfway")
    shutil.copyfile(content, copy)
    if breaks:
        with copy.open("r+b") as half:
            half.truncate(copy.stat().st_size // 2)
    size = copy.stat().st_size
    with copy.open("rb") as stream:
        md5 = hashlib.file_digest(stream, "md5").hexdigest()
    if target.encryption != SSE:  # LIST shows the ciphertext's
        size, md5 = size // 16 * 16 + 16, secrets.token_hex(16)
    stages.replace(target, name, StagedFile(copy, size, md5, datetime.now(UTC)))
    if breaks:
        raise ProgrammingError(
            msg=f"Copying file '{path}' failed: the connection was reset.",
            errno=100016,
            sqlstate="22000",
        )


def _unsupported(what: str) -> NoReturn:
    raise compilation_error(f"{what} is not supported.", 2, "0A000")
