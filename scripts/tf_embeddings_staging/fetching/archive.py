"""Unpacks an archive that may be hostile, and finds the model in it.

tarfile's `data` filter and zipfile keep every file inside the target; a budget of bytes and files
stops bombs. Links, devices and names that lead out are refused, and nothing is left of a refused
archive.
"""

from __future__ import annotations

import errno
import gzip
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from tf_embeddings_staging.conversion import folders
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import is_saved_model

_ENDINGS = (".tar.gz", ".tgz", ".tar", ".zip")
_KERAS = ".keras"
_MOST_DEPTH = 32
_MOST_FIELDS = 100  # of one entry, its extended (pax) header included
_MOST_HEADER = 2**16  # bytes of a header that tarfile reads at once, for a long name for example
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
    RecursionError,
    MemoryError,
)


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
        StagingError: it is not an archive, is damaged, or holds what a model does not need.
    """
    target.mkdir()
    try:
        _unpack(archive, target, _Budget(bounds, archive.stat().st_size))
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, _RefusedError):
            reason = str(error)
        elif isinstance(error, (*_DAMAGE, OSError)) and not _is_of_this_machine(error):
            reason = "is damaged, or was cut short. Download or copy it again."
        else:
            raise
        raise StagingError(f"the archive '{label}' {reason}") from None


def _is_of_this_machine(error: BaseException) -> bool:
    """Tell whether an error is of the disk, such as one that is full, and not of the archive."""
    of_names = (FileExistsError, IsADirectoryError, NotADirectoryError, FileNotFoundError)
    return (
        isinstance(error, OSError)
        and error.errno is not None
        and error.errno != errno.ENAMETOOLONG
        and not isinstance(error, of_names)
    )


def _unpack(archive: Path, target: Path, budget: _Budget) -> None:
    with archive.open("rb") as file:
        start = file.read(512)
        file.seek(0)
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            _unzip(file, target, budget)
        elif start.startswith(b"\x1f\x8b"):
            with gzip.open(file) as plain:
                _untar(cast("IO[bytes]", plain), target, budget)
        elif _is_tar(start):
            _untar(file, target, budget)
        else:
            raise _RefusedError(_what(start))


def _untar(file: IO[bytes], target: Path, budget: _Budget) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise _RefusedError(
            "cannot be unpacked safely by this Python. Use Python 3.11.4 or later, or unpack it "
            "yourself and give the folder as SOURCE."
        )
    counted = _Counted(file, budget)
    # A stream: nothing is read that was not counted.
    with tarfile.open(fileobj=cast("Any", counted), mode="r|", tarinfo=_Header) as tar:
        while member := tar.next():
            cast("Any", tar).members.clear()  # tarfile keeps each, with all its headers
            if max(len(tar.pax_headers), len(member.pax_headers)) > _MOST_FIELDS:
                raise _RefusedError(
                    "has headers of too many fields. Pack the model's folder again."
                )
            budget.take_file(member.name)
            is_plain = member.isdir() or (member.isreg() and not member.issparse())
            _require_plain(member.name, is_plain)
            tar.extract(member, target, filter="data")
    while counted.read(2**20):  # gzip's checksum is at its end
        pass


def _unzip(file: IO[bytes], target: Path, budget: _Budget) -> None:
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        for info in infos:  # before anything is written: zipfile reads no more than this
            budget.take(info.file_size)
            budget.take_file(info.filename)
        for info in infos:
            if info.flag_bits & 0x1:
                raise _RefusedError(
                    "is encrypted. Pack the model's folder again, without a password."
                )
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _RefusedError("is not packed by deflate. Pack it again.")
            mode = stat.S_IFMT(info.external_attr >> 16)
            # Not `filename`: zipfile cuts it at a NUL.
            name = cast("str", cast("Any", info).orig_filename)
            _require_plain(name, mode in (0, stat.S_IFREG, stat.S_IFDIR))
            archive.extract(info, target)


def _require_plain(name: str, is_plain: bool) -> None:
    """Refuse what is not a plain file or folder, or has a name that leads out or hides."""
    if not is_plain:
        what = "which is not a plain file"
    elif name.startswith("/") or ".." in PurePosixPath(name).parts:
        what = "which leads out of it"
    elif not name.isprintable():
        what = "whose name has control or invisible characters, or is not UTF-8"
    else:
        return
    raise _RefusedError(
        f"holds {name[:80]!a}, {what}. Pack the model's folder again, only with plain files."
    )


class _Budget:
    """Counts the bytes and knows the files that an archive unpacks to."""

    def __init__(self, bounds: Bounds, packed: int) -> None:
        self._bounds = bounds
        self._packed = packed
        self._bytes = 0
        self._names: set[PurePosixPath] = set()

    def take_file(self, name: str) -> None:
        if (path := PurePosixPath(name)) in self._names:
            raise _RefusedError(f"holds {name[:80]!a} twice. Pack the model's folder again.")
        self._names.add(path)
        if len(self._names) > self._bounds.most_files:
            raise _RefusedError(
                f"holds more than {self._bounds.most_files:,} files, which no model does. Pack "
                f"only the model's folder."
            )

    def take(self, count: int) -> None:
        self._bytes += count
        most, ratio = self._bounds.most_bytes, self._bounds.most_ratio
        if self._bytes > most:
            raise _RefusedError(
                f"unpacks to more than the limit of {most / 2**30:.3g} GiB. Raise the limit with "
                f"--size-limit GIB, if you trust it."
            )
        if self._bytes > max(ratio * self._packed, self._bounds.least_bytes):
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
    """A header of a tar file; tarfile would read one into memory whatever its size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        is_content = header.type in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)
        if header.size < 0 or (not is_content and header.size > _MOST_HEADER):
            raise _RefusedError(
                "has a header of an impossible size. Pack the model's folder again."
            )
        return header


def _is_tar(start: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _what(start: bytes) -> str:
    for magic, name in _OTHERS.items():
        if start.startswith(magic):
            return f"is packed with {name}. It must be a .tar.gz, .tar or .zip: pack it again."
    if not start:
        return "is empty. Download or pack it again."
    return (
        f"is not a .tar.gz, .tar or .zip: it begins with {start[:32]!r}. Is that a page of a web "
        f"site, or a file that was cut?"
    )


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
            f"of a sentence encoder (config.json), or one .keras file."
        )
    listed = ", ".join(f"'{root.relative_to(folder).as_posix()}'" for root in roots[:10])
    raise StagingError(
        f"the archive '{label}' holds {len(roots)} models ({listed}). Unpack it, and give the "
        f"folder of one as SOURCE."
    )


def _roots(folder: Path, depth: int) -> Iterator[Path]:
    """Give the outermost folders that are models, and .keras files."""
    if is_saved_model(folder) or folders.is_encoder_folder(folder):
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and depth < _MOST_DEPTH:
            yield from _roots(path, depth + 1)
        elif path.suffix == _KERAS:
            yield path
