"""Named stages: CREATE, PUT, LIST, REMOVE, and what functions read from them.

An external stage has the URL of a local folder, file://…, and can only be read.
"""

from __future__ import annotations

import base64
import glob
import hashlib
import mimetypes
import os
import re
import secrets
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from snowflake.connector.constants import EncryptionMetadata
from snowflake.connector.encryption_util import SnowflakeEncryptionUtil
from snowflake.connector.errors import ProgrammingError
from snowflake.connector.storage_client import SnowflakeFileEncryptionMaterial

from local_snowflake.errors import compilation_error
from local_snowflake.grants import Name, not_authorized
from local_snowflake.namespaces import current, database_exists, in_scope, schema_exists
from local_snowflake.rows import Rows, status, texts
from local_snowflake.statements import (
    Reader,
    first_words,
    identifier,
    like_matches,
    unescaped,
    unquoted,
)

if TYPE_CHECKING:
    from local_snowflake.session import Session

FULL, SSE = "SNOWFLAKE_FULL", "SNOWFLAKE_SSE"
LOCATION = re.compile(
    r'@((?:"(?:[^"]|"")*"|[^"/.]*)(?:\.(?:"(?:[^"]|"")*"|[^"/.]*)){0,2})(/.*)?', re.S
)
PART = re.compile(r'"(?:[^"]|"")*"|[^".]+')


@dataclass(frozen=True)
class Location:
    """A place on a stage.

    Attributes:
        stage: database, schema and name of the stage, folded.
        path: below the stage, without a leading slash; a file's or a prefix of several.
    """

    stage: Name
    path: str


@dataclass(frozen=True)
class StagedFile:
    """A file on a stage.

    Attributes:
        content: where it lies on disk, decrypted; its base name is the one on the stage.
        size: as LIST shows it: of the ciphertext under SNOWFLAKE_FULL.
        md5: as LIST shows it: of the ciphertext under SNOWFLAKE_FULL.
        modified: when it was put.
    """

    content: Path
    size: int
    md5: str
    modified: datetime


@dataclass
class Stage:
    """A stage; `url` is an external one's, and empty for an internal one."""

    name: Name
    url: str = ""
    encryption: str = FULL
    comment: str = ""
    directory: bool = False
    temporary: bool = False
    created_on: datetime = field(default_factory=lambda: datetime.now(UTC))
    files: dict[str, StagedFile] = field(default_factory=dict)


@dataclass(frozen=True)
class Upload:
    """The upload that a ticket allows."""

    stage: Stage
    path: str
    material: SnowflakeFileEncryptionMaterial | None


@dataclass
class Stages:
    """The stages of the account."""

    stages: dict[Name, Stage] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    puts: list[dict[str, Any]] = field(default_factory=list)
    _folder: Path | None = None
    _stays: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def folder(self) -> Path:
        """The folder of all staged files."""
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="local_snowflake_"))
            return self._folder

    def use(self, folder: Path) -> None:
        """Keep staged files in a permanent folder."""
        self._folder = folder
        self._stays = True

    def close(self) -> None:
        """Remove every staged file from disk."""
        if self._folder is not None and not self._stays:
            shutil.rmtree(self._folder, ignore_errors=True)

    def resolve(self, session: Session, location: str) -> Location:
        r"""Return the place of a location.

        Args:
            session: its current database and schema fill in what is missing.
            location: `@db.schema.stage/path`, each part quoted or not; or that in single quotes,
                as a string constant with its escapes.
        """
        text = unescaped(location) if location.startswith("'") else location
        found = LOCATION.fullmatch(text)
        parts = PART.findall(found[1]) if found else []
        if not found or not parts:
            raise compilation_error(f"invalid stage location '{text}'.")
        name = tuple(unquoted(session.parameters.folded(part)) for part in parts)
        return Location(current(session, name, "LIST"), (found[2] or "").lstrip("/"))

    def get(self, session: Session, name: Name) -> Stage:
        """Return a stage that the session's role sees."""
        session.account.grants.require(session, "USAGE", "DATABASE", name[:1])
        if not database_exists(session, name[0]):
            raise not_authorized("Database", name[:1])
        if not schema_exists(session, name[:2]):
            raise not_authorized("Schema", name[:2])
        session.account.grants.require(session, "USAGE", "SCHEMA", name[:2])
        stage = self.stages.get(name)
        if stage is None or not session.account.grants.sees(session, "STAGE", name):
            raise not_authorized("Stage", name)
        if stage.url:
            stage.files = _files_below(stage.url)
        return stage

    def find(self, location: Location) -> Path | None:
        """Return a staged file's path on disk, or None. Its base name is the one on the stage."""
        stage = self.stages.get(location.stage)
        staged = stage.files.get(location.path) if stage else None
        return staged.content if staged else None

    def md5(self, location: Location) -> str | None:
        """Return a staged file's digest, or None."""
        stage = self.stages.get(location.stage)
        staged = stage.files.get(location.path) if stage else None
        return staged.md5 if staged else None

    def require_read(self, session: Session, location: Location) -> Stage:
        """Raise Snowflake's error unless the session's role may read a stage; return the stage."""
        stage = self.get(session, location.stage)
        privilege = "USAGE" if stage.url else "READ"
        session.account.grants.require(session, privilege, "STAGE", stage.name)
        return stage

    def require_write(self, session: Session, location: Location) -> Stage:
        """Raise Snowflake's error unless the session's role may change a stage; return it."""
        stage = self.get(session, location.stage)
        if stage.url:
            raise compilation_error("the local Snowflake only reads external stages.")
        session.account.grants.require(session, "WRITE", "STAGE", stage.name)
        return stage

    def matching(self, stage: Stage, prefix: str, pattern: str | None = None) -> list[str]:
        """Return the paths of a stage that begin with a prefix, in order."""
        shown = [path for path in sorted(stage.files) if path.startswith(prefix)]
        if pattern is None:
            return shown
        return [path for path in shown if re.fullmatch(pattern, listed_name(stage, path))]

    def drop(self, stage: Stage) -> None:
        """Remove a stage and, if it is internal, its files."""
        for path in [] if stage.url else list(stage.files):
            self.remove(stage, path)
        self.stages.pop(stage.name, None)

    def drop_in(self, namespace: Name) -> None:
        """Remove the stages of a dropped schema or database."""
        for name in [name for name in self.stages if name[: len(namespace)] == namespace]:
            self.drop(self.stages[name])

    def remove(self, stage: Stage, path: str) -> None:
        """Remove a file."""
        shutil.rmtree(stage.files.pop(path).content.parent, ignore_errors=True)

    def ticket(self, stage: Stage, path: str) -> tuple[str, dict[str, Any] | None]:
        """Allow one upload.

        Returns:
            The ticket, and what the connector encrypts with under SNOWFLAKE_FULL.
        """
        ticket = secrets.token_urlsafe(16)
        material = None
        if stage.encryption == FULL:
            key = base64.b64encode(secrets.token_bytes(32)).decode()
            material = SnowflakeFileEncryptionMaterial(key, str(uuid.uuid4()), 1)
        with self._lock:
            self.uploads[ticket] = Upload(stage, path, material)
        if material is None:
            return ticket, None
        return ticket, {
            "queryStageMasterKey": material.query_stage_master_key,
            "queryId": material.query_id,
            "smkId": material.smk_id,
        }

    def new_folder(self) -> Path:
        """Return a new folder for one file."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def install(
        self, upload: Upload, sent: Path, encryption: dict[str, Any] | None = None
    ) -> StagedFile:
        """Put an uploaded file on its stage, replacing one of the same name.

        Args:
            upload: where to.
            sent: the file as sent, the only one in a folder of `new_folder`.
            encryption: the connector's encryption metadata, with SNOWFLAKE_FULL.
        """
        with sent.open("rb") as stream:
            md5 = hashlib.file_digest(stream, "md5").hexdigest()
        size = sent.stat().st_size
        content = sent.with_name(PurePosixPath(upload.path).name)
        if upload.material and encryption:
            metadata = EncryptionMetadata(
                key=encryption["WrappedContentKey"]["EncryptedKey"],
                iv=encryption["ContentEncryptionIV"],
                matdesc="",
            )
            plain = SnowflakeEncryptionUtil.decrypt_file(
                metadata, upload.material, str(sent), tmp_dir=str(sent.parent)
            )
            sent.unlink()
            Path(plain).replace(content)
        else:
            sent.replace(content)
        staged = StagedFile(content, size, md5, datetime.now(UTC))
        self.replace(upload.stage, upload.path, staged)
        with self._lock:
            self.puts.append({"name": listed_name(upload.stage, upload.path), "bytes": size})
        return staged

    def replace(self, stage: Stage, path: str, staged: StagedFile) -> None:
        """Put a file of a folder of its own on a stage, and remove what had its name."""
        with self._lock:
            before = stage.files.get(path)
            stage.files[path] = staged
        if before:
            shutil.rmtree(before.content.parent, ignore_errors=True)


def listed_name(stage: Stage, path: str) -> str:
    """Return a file's name as LIST shows it."""
    if stage.url:
        return f"{stage.url.rstrip('/')}/{path}"
    return f"{stage.name[-1].lower()}/{path}"


def _files_below(url: str) -> dict[str, StagedFile]:
    """Return the files of a local folder, by their paths below it."""
    folder = Path(url.removeprefix("file://"))
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as stream:
                md5 = hashlib.file_digest(stream, "md5").hexdigest()
            state = file.stat()
            modified = datetime.fromtimestamp(state.st_mtime, UTC)
            path = file.relative_to(folder).as_posix()
            found[path] = StagedFile(file, state.st_size, md5, modified)
    return found


def handle(session: Session, sql: str) -> Rows | None:
    """Answer the statements on stages; PUT is the server's."""
    words = first_words(sql)
    if not words:
        return None
    for begins, answer in STATEMENTS:
        if words[: len(begins)] == list(begins):
            return answer(session, Reader(sql))
    if words[0] == "create" and "stage" in words[1:5]:
        return create(session, Reader(sql))
    return None


def create(session: Session, read: Reader) -> Rows | None:
    """CREATE STAGE."""
    read.expect("create")
    replace = read.take("or", "replace")
    temporary = bool(read.take_any("temporary", "temp"))
    read.expect("stage")
    exists = read.take("if", "not", "exists")
    if replace and exists:
        raise compilation_error("options IF NOT EXISTS and OR REPLACE are incompatible.")
    name = read.name()
    properties = _properties(read)
    url = properties.get("url", "")
    if url and not url.startswith("file:///"):
        return None  # fakesnow's
    name = current(session, name, "CREATE STAGE")
    grants, stages = session.account.grants, session.account.stages
    if not database_exists(session, name[0]):
        raise not_authorized("Database", name[:1])
    if not schema_exists(session, name[:2]):
        raise not_authorized("Schema", name[:2])
    grants.require(session, "CREATE STAGE", "SCHEMA", name[:2])
    before = stages.stages.get(name)
    label = identifier(name[-1])
    if before and exists:
        return status(f"{label} already exists, statement succeeded.")
    if before and not replace:
        raise already_exists(label)
    if before:
        grants.require(session, "OWNERSHIP", "STAGE", name)
        stages.drop(before)
    stages.stages[name] = Stage(
        name,
        url=url,
        encryption=properties.get("encryption", FULL),
        comment=properties.get("comment", ""),
        directory=properties.get("directory", False),
        temporary=temporary,
    )
    grants.created(session, "STAGE", name)
    if url:
        return None  # and fakesnow's too, for COPY INTO
    return status(f"Stage area {label} successfully created.")


def _properties(read: Reader) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while (token := read.peek()) and token.text != ";":
        key = token.text.lower()
        if key in found:
            raise compilation_error(f"duplicate property '{key.upper()}'.", 1403)
        if read.take("encryption", "=", "("):
            found[key] = _encryption(read)
        elif read.take("directory", "=", "("):
            found[key] = _options(read).get("enable", "false").lower() == "true"
        elif read.take("file_format", "=", "("):
            found[key] = _options(read)
        elif read.take_any("comment", "url"):
            read.expect("=")
            found[key] = read.string()
        elif token.kind == "word" and (after := read.peek(1)) and after.text == "=":
            raise compilation_error(f"invalid property '{token.text}' for 'STAGE'.", 1420, "22023")
        else:
            read.fail()
    read.end()
    return found


def _encryption(read: Reader) -> str:
    read.expect("type", "=")
    kind = read.string().upper()
    read.expect(")")
    if kind not in (FULL, SSE):
        raise compilation_error(
            f"invalid value ['{kind}'] for parameter 'TYPE': an internal stage is encrypted with"
            f" '{FULL}' or '{SSE}'.",
            1422,
            "22023",
        )
    return kind


def _options(read: Reader) -> dict[str, str]:
    found: dict[str, str] = {}
    while not read.take(")"):
        key = read.next().text.lower()
        read.expect("=")
        found[key] = read.next().text
        read.take(",")
    return found


def alter(session: Session, read: Reader) -> Rows:
    """ALTER STAGE: only the comment; the encryption cannot change."""
    read.expect("alter", "stage")
    exists = read.take("if", "exists")
    name = current(session, read.name(), "ALTER STAGE")
    if exists and name not in session.account.stages.stages:
        return status()
    stage = session.account.stages.get(session, name)
    session.account.grants.require(session, "OWNERSHIP", "STAGE", name)
    read.expect("set")
    if read.take("encryption"):
        raise compilation_error(
            f"the encryption of the internal stage {identifier(name[-1])} cannot be changed."
        )
    read.expect("comment", "=")
    stage.comment = read.string()
    read.end()
    return status()


def comment(session: Session, read: Reader) -> Rows:
    """COMMENT ON STAGE."""
    read.expect("comment")
    exists = read.take("if", "exists")
    read.expect("on", "stage")
    name = current(session, read.name(), "COMMENT")
    read.expect("is")
    text = read.string()
    read.end()
    if exists and name not in session.account.stages.stages:
        return status()
    stage = session.account.stages.get(session, name)
    session.account.grants.require(session, "OWNERSHIP", "STAGE", name)
    stage.comment = text
    return status()


def drop(session: Session, read: Reader) -> Rows:
    """DROP STAGE."""
    read.expect("drop", "stage")
    exists = read.take("if", "exists")
    name = current(session, read.name(), "DROP STAGE")
    read.end()
    stages, grants = session.account.stages, session.account.grants
    if exists and (name not in stages.stages or not grants.sees(session, "STAGE", name)):
        return status("Drop statement executed successfully (object already dropped).")
    stage = stages.get(session, name)
    grants.require(session, "OWNERSHIP", "STAGE", name)
    stages.drop(stage)
    grants.forget("STAGE", name)
    return status(f"{identifier(name[-1])} successfully dropped.")


def list_files(session: Session, read: Reader) -> Rows | None:
    """LIST."""
    read.next()
    text = read.location()
    if text.startswith(("@~", "@%")):
        return None  # fakesnow's
    pattern = _pattern(read)
    location = session.account.stages.resolve(session, text)
    stage = session.account.stages.require_read(session, location)
    columns = [
        ("name", "varchar"),
        ("size", "bigint"),
        ("md5", "varchar"),
        ("last_modified", "varchar"),
    ]
    rows = [
        (
            listed_name(stage, path),
            stage.files[path].size,
            stage.files[path].md5,
            stage.files[path].modified.strftime("%a, %-d %b %Y %H:%M:%S GMT"),
        )
        for path in session.account.stages.matching(stage, location.path, pattern)
    ]
    return Rows(columns, rows)


def remove_files(session: Session, read: Reader) -> Rows | None:
    """REMOVE."""
    read.next()
    text = read.location()
    if text.startswith(("@~", "@%")):
        return None
    pattern = _pattern(read)
    location = session.account.stages.resolve(session, text)
    stage = session.account.stages.require_write(session, location)
    paths = session.account.stages.matching(stage, location.path, pattern)
    for path in paths:
        session.account.stages.remove(stage, path)
    columns = texts("name result")
    return Rows(columns, [(listed_name(stage, path), "removed") for path in paths])


def _pattern(read: Reader) -> str | None:
    pattern = None
    if read.take("pattern"):
        read.expect("=")
        pattern = read.string()
    read.end()
    return pattern


def show(session: Session, read: Reader) -> Rows:
    """SHOW STAGES."""
    read.expect("show", "stages")
    like = read.string() if read.take("like") else None
    scope = in_scope(session, read)
    grants = session.account.grants
    shown = [
        stage
        for name, stage in sorted(session.account.stages.stages.items())
        if name[: len(scope)] == scope
        and grants.sees(session, "STAGE", name, shown=True)
        and (like is None or like_matches(like, name[-1]))
    ]
    names = (
        "name database_name schema_name url has_credentials has_encryption_key owner comment region"
        " type cloud notification_channel storage_integration endpoint owner_role_type"
        " directory_enabled"
    )
    columns = [("created_on", "timestamptz"), *texts(names)]
    rows = [
        (
            stage.created_on.isoformat(),
            stage.name[2],
            stage.name[0],
            stage.name[1],
            stage.url,
            "N",
            "N",
            grants.owner("STAGE", stage.name),
            stage.comment,
            None,
            _type(stage),
            None,
            None,
            None,
            None,
            "ROLE",
            "Y" if stage.directory else "N",
        )
        for stage in shown
    ]
    return Rows(columns, rows)


def _type(stage: Stage) -> str:
    if stage.url:
        return "EXTERNAL"
    kind = "INTERNAL" if stage.encryption == FULL else "INTERNAL NO CSE"
    return f"{kind} TEMPORARY" if stage.temporary else kind


def describe(session: Session, read: Reader) -> Rows:
    """DESCRIBE STAGE."""
    read.next()
    read.expect("stage")
    stage = session.account.stages.get(session, current(session, read.name(), "DESCRIBE"))
    read.end()
    columns = texts("parent_property property property_type property_value property_default")
    rows = [
        ("STAGE_LOCATION", "URL", "String", "", ""),
        ("STAGE_INTEGRATION", "STORAGE_INTEGRATION", "String", "", ""),
        ("DIRECTORY", "ENABLE", "Boolean", str(stage.directory).lower(), "false"),
        ("DIRECTORY", "AUTO_REFRESH", "Boolean", "false", "false"),
    ]
    return Rows(columns, rows)


def already_exists(label: str) -> ProgrammingError:
    """Return the error for a name that exists already."""
    return compilation_error(f"Object '{label}' already exists.", 2002, "42710")


STATEMENTS: list[tuple[tuple[str, ...], Callable[[Session, Reader], Rows | None]]] = [
    (("list",), list_files),
    (("ls",), list_files),
    (("remove",), remove_files),
    (("rm",), remove_files),
    (("drop", "stage"), drop),
    (("alter", "stage"), alter),
    (("show", "stages"), show),
    (("describe", "stage"), describe),
    (("desc", "stage"), describe),
    (("comment", "on", "stage"), comment),
    (("comment", "if", "exists", "on", "stage"), comment),
]


# PUT: the connector sends the statement, gets instructions, and uploads over HTTP.


@dataclass(frozen=True)
class Put:
    """A PUT statement."""

    source: str
    location: str
    parallel: int = 4
    auto_compress: bool = True
    overwrite: bool = False
    source_compression: str = "auto_detect"


COMPRESSIONS = ["auto_detect", "gzip", "bz2", "brotli", "zstd", "deflate", "raw_deflate", "none"]


def is_put(sql: str) -> bool:
    """Whether a statement is a PUT to a named stage, not a user's or a table's."""
    if first_words(sql, 1) != ["put"]:
        return False
    location = parse_put(sql).location
    return not location.startswith(("@~", "@%"))


def parse_put(sql: str, binding: str | None = None) -> Put:
    """Parse a PUT statement; `binding` is the value of a `?` that replaces the location."""
    read = Reader(sql)
    read.expect("put")
    token = read.next()
    if token.kind == "string":
        source = unescaped(token.text)
    elif token.kind == "url":
        source = token.text
    else:
        read.fail(token)
    if not source.lower().startswith("file://"):
        read.fail(token)
    location = (binding or "@") if read.take("?") else read.location()
    options: dict[str, Any] = {}
    while (token := read.peek()) and token.text != ";":
        key = read.take_any("parallel", "auto_compress", "overwrite", "source_compression")
        if key is None or key in options:
            read.fail(token)
        read.expect("=")
        options[key] = _put_option(read, key)
        read.take(",")
    read.end()
    return Put(source[len("file://") :], location, **options)


def _put_option(read: Reader, key: str) -> int | bool | str:
    token = read.next()
    text = token.text.strip("'").lower()
    if key == "parallel" and token.kind == "number" and text.isdigit() and 1 <= int(text) <= 99:
        return int(text)
    if key in ("auto_compress", "overwrite") and text in ("true", "false"):
        return text == "true"
    if key == "source_compression" and text in COMPRESSIONS:
        return text
    raise compilation_error(
        f"invalid value [{token.text}] for parameter '{key.upper()}'", 1008, "22023"
    )


def put(session: Session, statement: Put, address: str) -> dict[str, Any]:
    """Return the connector's instructions for a PUT: upload to `address`, or only report rows.

    The real stages lie in cloud storage that is reached by HTTPS; the connector speaks HTTP only
    to an address that was made out for one file, as on GCP. There it never looks whether a file
    exists, so whether one is SKIPPED is decided here.
    """
    stages = session.account.stages
    location = stages.resolve(session, statement.location)
    stage = stages.require_write(session, location)
    folder = location.path.strip("/")
    if ".." in PurePosixPath(folder).parts:
        raise compilation_error(f"invalid stage location '{statement.location}'.")
    prefix = f"{folder}/" if folder else ""
    names = {source: _target(session, source, statement) for source in _expand(statement.source)}
    names = names or {statement.source: PurePosixPath(statement.source).name}
    taken = {
        source
        for source, name in names.items()
        if f"{prefix}{name}" in stage.files and not statement.overwrite
    }
    wanted = [source for source in names if source not in taken]
    ticket, material = stages.ticket(stage, prefix + names[wanted[0] if wanted else min(taken)])
    info: dict[str, Any] = {
        "locationType": "GCS",
        "location": "local/",
        "presignedUrl": f"{address}/local/upload/{ticket}",
        "creds": {},
    }
    if not wanted:
        return {"stageInfo": info, **_skipped(taken, names)}
    if len(names) == 1:
        # With a token, the connector does not ask for each file's address again.
        info["creds"] = {"GCS_ACCESS_TOKEN": "local"}
    else:
        session.expected_uploads |= {names[source] for source in wanted}
    return {
        "command": "UPLOAD",
        "stageInfo": info,
        "src_locations": wanted,
        "parallel": statement.parallel,
        "autoCompress": statement.auto_compress,
        "sourceCompression": statement.source_compression,
        "overwrite": statement.overwrite,
        **({"encryptionMaterial": material} if material else {}),
    }


def _expand(source: str) -> list[str]:
    """Return the files of a source, which is a glob or one file."""
    path = os.path.expanduser(source)
    found = sorted(glob.glob(path)) if os.path.isabs(path) else []
    if found:
        return found
    return [] if glob.has_magic(source) or os.path.isabs(path) else [source]


def _target(session: Session, source: str, statement: Put) -> str:
    """Return the name that the connector gives a file on the stage."""
    name = PurePosixPath(source).name
    if name == source and name in session.expected_uploads:
        session.expected_uploads.discard(name)
        return name  # for a file of a glob the connector asks again, by its name on the stage
    if not statement.auto_compress or _is_compressed(source, statement):
        return name
    return f"{name}.gz"


def _is_compressed(source: str, statement: Put) -> bool:
    """Whether the connector considers a file compressed, by its name or first bytes."""
    if statement.source_compression != "auto_detect":
        return statement.source_compression != "none"
    if mimetypes.guess_type(source)[1] or source.endswith(".br"):
        return True
    try:
        with open(source, "rb") as stream:
            begins = stream.read(4)
    except OSError:
        return False
    return begins[:3] == b"ORC" or begins in (b"PAR1", b"\x28\xb5\x2f\xfd")


def _skipped(taken: set[str], names: dict[str, str]) -> dict[str, Any]:
    """Return PUT's rows for files whose names are on the stage."""
    text = {"type": "text", "length": 16777216, "precision": None, "scale": None}
    number = {"type": "fixed", "length": None, "precision": 38, "scale": 0}
    columns = {
        "source": text,
        "target": text,
        "source_size": number,
        "target_size": number,
        "source_compression": text,
        "target_compression": text,
        "status": text,
        "message": text,
    }
    rows = [
        [
            PurePosixPath(source).name,
            names[source],
            str(os.path.getsize(source) if os.path.exists(source) else 0),
            "0",
            "GZIP" if source.endswith(".gz") else "NONE",
            "GZIP" if names[source].endswith(".gz") else "NONE",
            "SKIPPED",
            "",
        ]
        for source in sorted(taken)
    ]
    return {
        "rowtype": [{"name": name, "nullable": False, **kind} for name, kind in columns.items()],
        "rowset": rows,
        "total": len(rows),
        "returned": len(rows),
        "queryResultFormat": "json",
        "statementTypeId": 0,
    }
