"""Unpacking an archive that nobody has looked into, and finding the model in it.

What an archive may hold is less than what the formats can say: plain files and folders, under
plain relative names, within limits. All else is refused before it touches the disk, and whatever
was unpacked until then is removed.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from tf_embeddings_staging.cache import CHUNK
from tf_embeddings_staging.conversion import encoder_folder
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import is_saved_model

_ENDINGS = (".tar.gz", ".tgz", ".tar", ".zip")
_KERAS = ".keras"
_MOST_NAME = 255  # bytes: what file systems allow
_MOST_DEPTH = 32
_MOST_HEADER = 2**16  # bytes of what tarfile reads at once, for a long name for example
_MOST_FIELDS = 100  # of pax headers: tarfile copies those that hold for all files to each
_MOST_NESTED = 20  # headers before a file's own; tarfile calls itself for each
_DRIVE = re.compile(r"[A-Za-z]:")
# Whatever their ending, and in every folder.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\..*)?", re.I)
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}


@dataclass(frozen=True)
class Bounds:
    """How much an archive may unpack to.

    Attributes:
        most_bytes: of all its files.
        most_files: files and folders.
        most_ratio: its bytes unpacked, to its bytes packed.
        least_bytes: what is harmless, whatever its ratio.
    """

    most_bytes: int
    most_files: int = 10_000
    most_ratio: int = 100
    least_bytes: int = 64 * 2**20


class _RefusedError(Exception):
    """Why an archive is not unpacked, as the rest of a sentence that begins with its name."""


@dataclass(frozen=True)
class _Member:
    name: str
    is_folder: bool
    open: Callable[[], IO[bytes]]


def is_archive_name(name: str) -> bool:
    """Tell whether a file's name is that of an archive that `unpack` knows."""
    return name.lower().endswith(_ENDINGS)


def unpack(archive: Path, target: Path, label: str, bounds: Bounds) -> None:
    """Unpack an archive into a new folder, or refuse it and leave nothing.

    Args:
        archive: a .tar, .tar.gz or .zip; its bytes say which, not its name.
        target: the folder to make; a private one, for it grows file by file.
        label: the archive's name in messages.
        bounds: how much it may be.

    Raises:
        StagingError: it is none, is damaged, or holds what a model has no need of.
    """
    target.mkdir()
    try:
        _unpack(archive, target, bounds)
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if reason := _reason(error):
            raise StagingError(f"the archive '{label}' {reason}") from None
        raise


def find_root(folder: Path, label: str) -> Path:
    """Return where the model is in an unpacked archive: a folder, or a .keras file.

    Raises:
        StagingError: there is none, or more than one.
    """
    if (folder / "manifest.json").is_file() and (folder / "tf_embeddings_udf").is_dir():
        raise StagingError(
            f"the archive '{label}' is an artifact that was made before. Give it back its name, "
            f"<model>-<build>.zip."
        )
    roots = list(_roots(folder, 0))
    if len(roots) == 1:
        return roots[0]
    if not roots:
        raise StagingError(
            f"the archive '{label}' holds no model: it must hold one saved_model.pb, the folder "
            f"of a BERT sentence encoder (config.json), or one .keras file."
        )
    listed = ", ".join(f"'{root.relative_to(folder).as_posix()}'" for root in roots[:10])
    raise StagingError(
        f"the archive '{label}' holds {len(roots)} models ({listed}). Unpack it, and give the "
        f"folder of one as SOURCE."
    )


def _roots(folder: Path, depth: int) -> Iterator[Path]:
    """Give the outermost folders that are models, and .keras files."""
    if is_saved_model(folder) or encoder_folder.is_encoder_folder(folder):
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and depth < _MOST_DEPTH:
            yield from _roots(path, depth + 1)
        elif path.suffix == _KERAS:
            yield path


def _unpack(archive: Path, target: Path, bounds: Bounds) -> None:
    names = _Names(bounds.most_files)
    with contextlib.closing(_members(archive, target, bounds)) as members:
        for member in members:
            path = target.joinpath(*names.admit(member.name, member.is_folder))
            if member.is_folder:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as packed, path.open("xb") as file:
                shutil.copyfileobj(packed, file, CHUNK)


def _members(archive: Path, target: Path, bounds: Bounds) -> Generator[_Member, None, None]:
    with archive.open("rb") as file:
        start = file.read(512)
        file.seek(0)
        budget = _Budget(bounds, archive.stat().st_size)
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            yield from _of_zip(file, budget)
        elif start.startswith(b"\x1f\x8b"):
            with gzip.open(file) as plain:
                yield from _of_tar(cast("IO[bytes]", plain), target, budget)
        elif _is_tar(start):
            yield from _of_tar(file, target, budget)
        else:
            raise _RefusedError(_what(start))


def _is_tar(start: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _what(start: bytes) -> str:
    for magic, name in _OTHERS.items():
        if start.startswith(magic):
            return f"is packed with {name}. It must be a .tar.gz, .tar or .zip: pack it anew."
    if not start:
        return "is empty. Download or pack it anew."
    return (
        f"is no .tar.gz, .tar or .zip: it begins with {start[:32]!r}. Is that a page of a web "
        f"site, or a file that was cut?"
    )


class _Budget:
    """Counts the bytes that an archive unpacks to."""

    def __init__(self, bounds: Bounds, packed: int) -> None:
        self._bounds = bounds
        self._packed = packed
        self._taken = 0

    def take(self, count: int) -> None:
        self._taken += count
        most = self._bounds.most_bytes
        if self._taken > most:
            raise _RefusedError(
                f"unpacks to more than the limit of {most / 2**30:.3g} GiB. Raise the limit with "
                f"--size-limit GIB, if you trust it."
            )
        ratio = self._bounds.most_ratio
        if self._taken > max(ratio * self._packed, self._bounds.least_bytes):
            raise _RefusedError(
                f"unpacks to more than {ratio} times its size, which no model does. Unpack it "
                f"yourself, and give the folder as SOURCE, if you trust it."
            )


class _Counted:
    """A file that is read within a budget."""

    def __init__(self, file: IO[bytes], budget: _Budget) -> None:
        self._file = file
        self._budget = budget

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._budget.take(len(data))
        return data


class _Header(tarfile.TarInfo):
    """A header of a tar file, which tarfile would read whatever size it has."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type not in _CONTENTS and header.size > _MOST_HEADER):
            raise _RefusedError("has a header of an impossible size. Pack the model's folder anew.")
        return header

    @classmethod
    def fromtarfile(cls, tarfile: _Tar) -> _Header:  # pyright: ignore[reportIncompatibleMethodOverride]
        if tarfile.nested > _MOST_NESTED:
            raise _RefusedError("has too many headers for a file. Pack the model's folder anew.")
        _require_few(tarfile.pax_headers)
        tarfile.nested += 1
        header = super().fromtarfile(tarfile)
        tarfile.nested -= 1
        return header


class _Tar(tarfile.TarFile):
    """A tar file that knows how many headers it is in the middle of."""

    nested = 0
    members: list[tarfile.TarInfo]  # which the types of the standard library leave out


def _require_few(pax_headers: Mapping[str, str]) -> None:
    if len(pax_headers) > _MOST_FIELDS:
        raise _RefusedError(
            f"has a header with more than {_MOST_FIELDS} fields. Pack the model's folder anew."
        )


_CONTENTS = (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)


def _of_tar(file: IO[bytes], target: Path, budget: _Budget) -> Iterator[_Member]:
    counted = _Counted(file, budget)
    # A stream: nothing is read that was not counted.
    with _Tar.open(fileobj=cast("Any", counted), mode="r|", tarinfo=_Header) as tar:
        while member := tar.next():
            tar.members.clear()  # tarfile keeps each, with all its headers
            _require_few(member.pax_headers)
            if member.issparse() or not (member.isreg() or member.isdir()):
                raise _not_plain(member.name, _kind_of(member))
            yield _Member(
                member.name, member.isdir(), lambda member=member: _open(tar, member, target)
            )
    while counted.read(CHUNK):  # gzip's checksum is at its end
        pass


def _open(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> IO[bytes]:
    """Open a file that the standard library's own filter lets pass too; Python 3.11.4 has one."""
    if look := getattr(tarfile, "data_filter", None):
        look(member, str(target))
    return cast("IO[bytes]", tar.extractfile(member))


def _kind_of(member: tarfile.TarInfo) -> str:
    if member.issparse():
        return "a sparse file"
    if member.issym() or member.islnk():
        return "a link"
    if member.isfifo():
        return "a pipe"
    return "a device" if member.ischr() or member.isblk() else "of an unknown type"


def _of_zip(file: IO[bytes], budget: _Budget) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        for info in infos:  # before anything is written: here the sizes are known
            budget.take(info.file_size)
        for info in infos:
            if info.flag_bits & 0x1:
                raise _RefusedError(
                    "is encrypted. Pack the model's folder anew, without a password."
                )
            mode = stat.S_IFMT(info.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_plain(info.filename, "a link" if stat.S_ISLNK(mode) else "a device")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _RefusedError("is packed by another method than deflate. Pack it anew.")
            # Not `filename`: zipfile cuts it at a NUL, and turns a backslash on Windows.
            name = cast("str", cast("Any", info).orig_filename)
            yield _Member(name, info.is_dir(), lambda info=info: archive.open(info))


class _Names:
    """The names that an archive gave so far."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._folders: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._files: set[tuple[str, ...]] = set()

    def admit(self, name: str, is_folder: bool) -> tuple[str, ...]:
        """Return the parts of a name under which something may be written."""
        self._count += 1
        if self._count > self._most:
            raise _RefusedError(
                f"holds more than {self._most:,} files, which no model does. Pack the model's "
                f"folder alone."
            )
        parts = _parts(name)
        folders = len(parts) if is_folder else len(parts) - 1
        if folders < 0:
            raise _unsafe(name, "which is no name of a file")
        is_new = all(self._is_folder(parts[:length]) for length in range(1, folders + 1))
        if is_new and not is_folder:
            key = _as_one(parts)
            is_new = key not in self._files and key not in self._folders
            self._files.add(key)
        if not is_new:
            raise _unsafe(name, "a name that it holds twice, where upper and lower case are one")
        return parts

    def _is_folder(self, parts: tuple[str, ...]) -> bool:
        """Tell whether this may be a folder: it is no file, and always spelled like this."""
        key = _as_one(parts)
        return key not in self._files and self._folders.setdefault(key, parts) == parts


def _as_one(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return a path as file systems see it that tell neither cases nor ways to accent apart."""
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a relative path."""
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in name):
        raise _unsafe(name, "whose name has control or invisible characters, or is no UTF-8")
    if "\\" in name:
        raise _unsafe(name, "whose name has a backslash")
    if name.startswith("/") or _DRIVE.match(name):
        raise _unsafe(name, "an absolute path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise _unsafe(name, "which leads out of it")
    if any(":" in part or part[-1] in ". " or _DEVICE.fullmatch(part) for part in parts):
        raise _unsafe(name, "whose name means something else on Windows")
    if any(len(part.encode()) > _MOST_NAME for part in parts):
        raise _unsafe(name, "whose name is too long")
    if len(parts) > _MOST_DEPTH:
        raise _unsafe(name, f"which is more than {_MOST_DEPTH} folders deep")
    return parts


def _unsafe(name: str, why: str) -> _RefusedError:
    return _RefusedError(
        f"holds {name[:80]!a}, {why}. Pack the model's folder anew, with plain names."
    )


def _not_plain(name: str, what: str) -> _RefusedError:
    return _RefusedError(
        f"holds {name[:80]!a}, which is {what}. Pack the model's folder anew, with plain "
        f"files alone."
    )


def _reason(error: BaseException) -> str | None:
    """Return why an archive was refused; None for an error that is none of its own."""
    if isinstance(error, _RefusedError):
        return str(error)
    if isinstance(error, getattr(tarfile, "FilterError", ())):
        return "is unsafe. Pack the model's folder anew, with plain files alone."
    if isinstance(error, _DAMAGE):
        return "is damaged, or was cut short. Download or copy it again."
    return None


_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
    RecursionError,
    MemoryError,
)
