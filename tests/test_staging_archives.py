"""Unpacking archives: good ones in all their forms, and a corpus of hostile ones, made here."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching.archive import Bounds, find_root, unpack

BOUNDS = Bounds(most_bytes=200 * 2**20, most_files=1000)
MODEL = {
    "saved_model.pb": b"graph",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": os.urandom(5000),
    "assets/vocabulary of ünïcode.txt": "wörds\n".encode(),
}


def tar(path: Path, *members: tarfile.TarInfo | tuple[str, bytes], mode: str = "w:gz") -> Path:
    """Write a tar file of headers, and of files with their bytes."""
    with tarfile.open(path, mode) as archive:  # pyright: ignore[reportCallIssue, reportArgumentType]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member, io.BytesIO(b"x" * member.size))
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return path


def header(name: str, kind: bytes, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def zipped(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# Archives of a model.


def plain_tar(path: Path) -> Path:
    return tar(path, *MODEL.items(), mode="w")


def packed_tar(path: Path) -> Path:
    return tar(path, *MODEL.items())


def tar_of_a_folder(path: Path) -> Path:
    """As `tar -czf model.tar.gz -C model .` writes it: with folders, and ./ before each name."""
    folders = [header(name, tarfile.DIRTYPE, mode=0o755) for name in (".", "./variables")]
    return tar(path, *folders, *((f"./{name}", content) for name, content in MODEL.items()))


def tar_with_long_names(path: Path) -> Path:
    """Pax headers and GNU's: names beyond 100 characters."""
    return tar(path, *MODEL.items(), ("assets/" + "a" * 200, b"long"))


def packed_zip(path: Path) -> Path:
    return zipped(path, *MODEL.items())


def zip_of_a_folder(path: Path) -> Path:
    return zipped(path, ("variables/", b""), ("assets/", b""), *MODEL.items())


@pytest.mark.parametrize(
    "make",
    [plain_tar, packed_tar, tar_of_a_folder, tar_with_long_names, packed_zip, zip_of_a_folder],
    ids=lambda make: make.__name__,
)
def test_a_model_comes_out_as_it_went_in(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    unpack(make(tmp_path / "archive"), tmp_path / "out", "model", BOUNDS)
    assert MODEL.items() <= files_of(tmp_path / "out").items()
    assert find_root(tmp_path / "out", "model") == tmp_path / "out"


def test_no_dangerous_permission_is_kept(tmp_path: Path) -> None:
    member = header("saved_model.pb", tarfile.REGTYPE, mode=0o6777, size=3, uid=4321)
    folder = header("variables", tarfile.DIRTYPE, mode=0o7000)
    unpack(tar(tmp_path / "a", folder, member), tmp_path / "out", "model", BOUNDS)
    unpack(
        zipped(tmp_path / "b", (with_mode("saved_model.pb", stat.S_IFREG | 0o6777), b"x")),
        tmp_path / "other",
        "model",
        BOUNDS,
    )
    for path in (tmp_path / "out" / "saved_model.pb", tmp_path / "other" / "saved_model.pb"):
        assert not path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH)
        assert path.stat().st_uid == os.getuid()
    assert (tmp_path / "out" / "variables").stat().st_mode & stat.S_IRWXU == stat.S_IRWXU


# The corpus: each takes the path to write to, in a folder `here`; `outside` is beside it.


def climbs(path: Path) -> Path:
    return tar(path, ("../outside/evil", b"x"))


def climbs_in_the_middle(path: Path) -> Path:
    return tar(path, ("assets/../../outside/evil", b"x"))


def climbs_by_a_folder(path: Path) -> Path:
    return tar(path, header("../outside/folder", tarfile.DIRTYPE))


def climbs_by_a_long_name(path: Path) -> Path:
    """The name is in a pax header: what tarfile writes for it in the header proper is harmless."""
    info = tarfile.TarInfo("harmless")
    info.pax_headers = {"path": "../outside/evil"}
    return tar(path, info)


def is_absolute(path: Path) -> Path:
    return tar(path, (str(path.parent.parent / "outside" / "evil"), b"x"))


def has_control_characters(path: Path) -> Path:
    return tar(path, ("assets/\x1b[2Jevil", b"x"))


def has_invisible_characters(path: Path) -> Path:
    return tar(path, ("assets/saved\u200b_model.pb", b"x"))


def has_a_name_written_backwards(path: Path) -> Path:
    return tar(path, ("assets/\u202ebp.ledom", b"x"))


def has_a_name_that_is_no_utf8(path: Path) -> Path:
    return tar(path, (b"assets/\xff".decode("utf-8", "surrogateescape"), b"x"))


def has_a_name_that_is_too_long(path: Path) -> Path:
    return tar(path, ("n" * 300, b"x"))


def has_no_name(path: Path) -> Path:
    return tar(path, ("./", b""))


def links_out(path: Path) -> Path:
    return tar(path, header("assets", tarfile.SYMTYPE, linkname="../outside"), ("assets/evil", b""))


def links_inside(path: Path) -> Path:
    return tar(path, *MODEL.items(), header("copy", tarfile.SYMTYPE, linkname="saved_model.pb"))


def links_hard(path: Path) -> Path:
    return tar(path, header("evil", tarfile.LNKTYPE, linkname="/etc/passwd"))


def holds_a_device(path: Path) -> Path:
    return tar(path, header("zero", tarfile.CHRTYPE, devmajor=1, devminor=5))


def holds_a_disk(path: Path) -> Path:
    return tar(path, header("disk", tarfile.BLKTYPE, devmajor=8))


def holds_a_pipe(path: Path) -> Path:
    return tar(path, header("pipe", tarfile.FIFOTYPE))


def holds_a_sparse_file(path: Path) -> Path:
    """A terabyte of holes, as GNU tar writes it in pax headers."""
    info = tarfile.TarInfo("GNUSparseFile.0/vast")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.name": "vast",
        "GNU.sparse.size": str(2**40),
        "GNU.sparse.map": "0,0",
    }
    return tar(path, info)


def holds_something_unknown(path: Path) -> Path:
    return tar(path, header("what", b"Z"))


def holds_a_file_that_is_a_folder(path: Path) -> Path:
    return tar(path, ("assets", b"file"), ("assets/evil", b"x"))


def is_a_bomb(path: Path) -> Path:
    return tar(path, header("zeros", tarfile.REGTYPE, size=65 * 2**20))


def is_too_large(path: Path) -> Path:
    return tar(path, header("zeros", tarfile.REGTYPE, size=201 * 2**20), mode="w")


def is_a_bomb_of_files(path: Path) -> Path:
    return tar(path, *(tarfile.TarInfo(f"assets/{number}") for number in range(1001)))


def is_a_bomb_of_folders(path: Path) -> Path:
    return zipped(path, *((f"{number}/", b"") for number in range(1001)))


def is_a_bomb_behind_the_end(path: Path) -> Path:
    """Zeros after the end of the tar, in the same gzip stream."""
    plain = plain_tar(path).read_bytes()
    path.write_bytes(gzip.compress(plain + bytes(65 * 2**20)))
    return path


def has_a_header_of_a_gigabyte(path: Path) -> Path:
    """A pax header, which tarfile would read whole into memory."""
    info = header("x", tarfile.XHDTYPE, size=2**30)
    path.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(2**16))
    return path


def has_pax_headers(path: Path, kind: bytes, *records: dict[str, str]) -> Path:
    """Write pax headers by hand: tarfile drops those that it has no need of."""
    content = b""
    for fields in records:
        # The length of a record counts its own digits; all are of three here.
        lines = [
            f"{len(name) + len(value) + 6:03} {name}={value}\n" for name, value in fields.items()
        ]
        data = "".join(lines).encode()
        info = header("x", kind, size=len(data))
        content += info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)
    content += b"".join(tarfile.TarInfo(f"assets/{number}").tobuf() for number in range(100))
    path.write_bytes(gzip.compress(content + bytes(1024)))
    return path


def has_a_header_of_80_kilobytes(path: Path) -> Path:
    return has_pax_headers(path, tarfile.XHDTYPE, {f"k{number}": "v" * 900 for number in range(90)})


def has_fields_without_end(path: Path) -> Path:
    """Global ones, which tarfile copies for each file."""
    fields = [
        {f"k{number}": "v" * 900 for number in range(start, start + 50)} for start in (0, 50, 100)
    ]
    return has_pax_headers(path, tarfile.XGLTYPE, *fields)


def has_headers_without_end(path: Path) -> Path:
    """Each in the one before: tarfile would call itself for each."""
    return has_pax_headers(path, tarfile.XHDTYPE, *[{"k": "v"}] * 3000)


def has_long_names_without_end(path: Path) -> Path:
    """As GNU tar writes a long name."""
    info = header("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=5)
    path.write_bytes((info.tobuf(tarfile.GNU_FORMAT) + b"name\0" + bytes(507)) * 3000)
    return path


def has_a_size_below_zero(path: Path) -> Path:
    info = header("x", tarfile.REGTYPE, size=-512)
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2**16))
    return path


def zip_climbs(path: Path) -> Path:
    return zipped(path, ("../outside/evil", b"x"))


def zip_is_absolute(path: Path) -> Path:
    return zipped(path, (str(path.parent.parent / "outside" / "evil"), b"x"))


def zip_has_a_nul(path: Path) -> Path:
    zipped(path, ("saved_model.pb_evil", b"x"))
    path.write_bytes(path.read_bytes().replace(b".pb_evil", b".pb\0evil"))
    return path


def zip_links_out(path: Path) -> Path:
    return zipped(path, (with_mode("assets", stat.S_IFLNK | 0o777), b"../outside"))


def zip_holds_a_device(path: Path) -> Path:
    return zipped(path, (with_mode("zero", stat.S_IFCHR | 0o666), b""))


def zip_is_a_bomb(path: Path) -> Path:
    return zipped(path, ("zeros", bytes(65 * 2**20)))


def zip_says_it_is_small(path: Path) -> Path:
    """A bomb whose directory says 5 bytes."""
    size = struct.pack("<L", 65 * 2**20)
    path.write_bytes(zip_is_a_bomb(path).read_bytes().replace(size, struct.pack("<L", 5)))
    return path


def zip_overlaps(path: Path) -> Path:
    """Many names for one file, as David Fifield's bomb has them: 1 MiB each, and 65 of them."""
    infos = [zipfile.ZipInfo(f"{number:03}") for number in range(65)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("000", bytes(2**20))
        first = archive.infolist()[0]
        for info in infos[1:]:
            for field in ("file_size", "compress_size", "CRC", "header_offset", "compress_type"):
                setattr(info, field, getattr(first, field))
            archive.filelist.append(info)
        archive._didModify = True  # pyright: ignore[reportAttributeAccessIssue]
    return path


def zip_is_encrypted(path: Path) -> Path:
    """The flag of encryption, in the file's header and in the directory."""
    content = bytearray(packed_zip(path).read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(magic)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(magic, place + 1)
    path.write_bytes(content)
    return path


def zip_is_packed_strangely(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("saved_model.pb", b"graph")
    return path


def zip_has_another_checksum(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("saved_model.pb", b"the graph")
    path.write_bytes(path.read_bytes().replace(b"the graph", b"evil code"))
    return path


def zip_is_cut(path: Path) -> Path:
    path.write_bytes(packed_zip(path).read_bytes()[:-30])
    return path


def is_cut(path: Path) -> Path:
    path.write_bytes(packed_tar(path).read_bytes()[:-100])
    return path


def is_cut_in_its_checksum(path: Path) -> Path:
    path.write_bytes(packed_tar(path).read_bytes()[:-4])
    return path


def is_cut_unpacked(path: Path) -> Path:
    path.write_bytes(plain_tar(path).read_bytes()[:3000])
    return path


def has_another_checksum(path: Path) -> Path:
    content = bytearray(packed_tar(path).read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    return path


def is_a_page(path: Path) -> Path:
    path.write_bytes(b"<!doctype html><title>Sign in</title>" + bytes(1000))
    return path


def is_a_packed_page(path: Path) -> Path:
    path.write_bytes(gzip.compress(b"<!doctype html><title>Sign in</title>"))
    return path


def is_empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def is_bzip2(path: Path) -> Path:
    return tar(path, *MODEL.items(), mode="w:bz2")


CLIMBS = "which leads out of it"
INVISIBLE = "whose name has control or invisible characters, or is not UTF-8"
NOT_PLAIN = "which is not a plain file"
DAMAGED = "the archive 'model' is damaged, or was cut short. Download or copy it again."
CORPUS: Sequence[tuple[Callable[[Path], Path], str]] = [
    (
        climbs,
        f"holds '../outside/evil', {CLIMBS}. Pack the model's folder again, only with plain files.",
    ),
    (climbs_in_the_middle, CLIMBS),
    (climbs_by_a_folder, CLIMBS),
    (climbs_by_a_long_name, f"'../outside/evil', {CLIMBS}"),
    (is_absolute, CLIMBS),
    (has_control_characters, rf"holds 'assets/\x1b[2Jevil', {INVISIBLE}"),
    (has_invisible_characters, rf"holds 'assets/saved\u200b_model.pb', {INVISIBLE}"),
    (has_a_name_written_backwards, rf"holds 'assets/\u202ebp.ledom', {INVISIBLE}"),
    (has_a_name_that_is_no_utf8, rf"holds 'assets/\udcff', {INVISIBLE}"),
    (has_a_name_that_is_too_long, DAMAGED),
    (has_no_name, DAMAGED),
    (
        links_out,
        f"holds 'assets', {NOT_PLAIN}. Pack the model's folder again, only with plain files",
    ),
    (links_inside, f"holds 'copy', {NOT_PLAIN}"),
    (links_hard, f"holds 'evil', {NOT_PLAIN}"),
    (holds_a_device, f"holds 'zero', {NOT_PLAIN}"),
    (holds_a_disk, f"holds 'disk', {NOT_PLAIN}"),
    (holds_a_pipe, f"holds 'pipe', {NOT_PLAIN}"),
    (holds_a_sparse_file, f"holds 'vast', {NOT_PLAIN}"),
    (holds_something_unknown, f"holds 'what', {NOT_PLAIN}"),
    (holds_a_file_that_is_a_folder, DAMAGED),
    (is_a_bomb, "unpacks to more than 100 times its size, which no model does. Unpack it yourself"),
    (
        is_too_large,
        "unpacks to more than the limit of 0.195 GiB. Raise the limit with --size-limit",
    ),
    (is_a_bomb_of_files, "holds more than 1,000 files"),
    (is_a_bomb_of_folders, "holds more than 1,000 files"),
    (is_a_bomb_behind_the_end, "unpacks to more than 100 times its size"),
    (has_a_header_of_a_gigabyte, "has a header of an impossible size"),
    (has_a_header_of_80_kilobytes, "has a header of an impossible size"),
    (has_headers_without_end, DAMAGED),
    (has_fields_without_end, "has headers of too many fields. Pack the model's folder again."),
    (has_long_names_without_end, DAMAGED),
    (has_a_size_below_zero, "has a header of an impossible size"),
    (zip_climbs, f"holds '../outside/evil', {CLIMBS}"),
    (zip_is_absolute, CLIMBS),
    (zip_has_a_nul, rf"holds 'saved_model.pb\x00evil', {INVISIBLE}"),
    (zip_links_out, f"holds 'assets', {NOT_PLAIN}"),
    (zip_holds_a_device, f"holds 'zero', {NOT_PLAIN}"),
    (zip_is_a_bomb, "unpacks to more than 100 times its size"),
    (zip_says_it_is_small, DAMAGED),
    (zip_overlaps, "unpacks to more than 100 times its size"),
    (zip_is_encrypted, "is encrypted. Pack the model's folder again, without a password."),
    (zip_is_packed_strangely, "is not packed by deflate. Pack it again."),
    (zip_has_another_checksum, DAMAGED),
    (zip_is_cut, DAMAGED),
    (is_cut, DAMAGED),
    (is_cut_in_its_checksum, DAMAGED),
    (is_cut_unpacked, DAMAGED),
    (has_another_checksum, DAMAGED),
    (is_a_page, "is not a .tar.gz, .tar or .zip: it begins with b'<!doctype html>"),
    (is_a_packed_page, DAMAGED),
    (is_empty, "is empty. Download or pack it again."),
    (is_bzip2, "is packed with bzip2. It must be a .tar.gz, .tar or .zip: pack it again."),
]


@pytest.mark.parametrize(("make", "said"), CORPUS, ids=[make.__name__ for make, _ in CORPUS])
def test_a_hostile_archive_is_refused_and_leaves_nothing(
    tmp_path: Path, make: Callable[[Path], Path], said: str
) -> None:
    for name in ("here", "outside"):
        (tmp_path / name).mkdir()
    archive = make(tmp_path / "here" / "archive")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    del before[tmp_path / "here"]  # whose list of names changes, and is the same in the end
    with pytest.raises(StagingError) as error:
        unpack(archive, tmp_path / "here" / "out", "model", BOUNDS)
    assert str(error.value).startswith("the archive 'model' ")
    assert said in str(error.value)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    del after[tmp_path / "here"]
    assert after == before


@pytest.mark.parametrize("make", [tar, zipped], ids=["tar", "zip"])
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / "a", ("saved_model.pb", b"one"), ("./saved_model.pb", b"other"))
    with pytest.raises(StagingError) as error:
        unpack(archive, tmp_path / "out", "model", BOUNDS)
    assert str(error.value) == (
        "the archive 'model' holds './saved_model.pb' twice. Pack the model's folder again."
    )
    assert not (tmp_path / "out").exists()


def test_an_old_python_that_cannot_unpack_safely_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(StagingError, match=r"Use Python 3\.11\.4 or later, or unpack it yourself"):
        unpack(packed_tar(tmp_path / "a"), tmp_path / "out", "model", BOUNDS)
    unpack(packed_zip(tmp_path / "b"), tmp_path / "out", "model", BOUNDS)


def test_what_is_small_may_be_all_zeros(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a", ("saved_model.pb", b"x"), ("zeros", bytes(10 * 2**20)))
    unpack(archive, tmp_path / "out", "model", BOUNDS)
    assert (tmp_path / "out" / "zeros").stat().st_size == 10 * 2**20


def test_a_tar_of_many_files_keeps_none_of_their_headers(tmp_path: Path) -> None:
    """90 fields for all files, of which each of 900 files has a copy while it is unpacked."""
    path = tmp_path / "a"
    fields = {f"k{number}": "v" * 500 for number in range(90)}
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT, pax_headers=fields) as archive:
        for number in range(900):
            archive.addfile(tarfile.TarInfo(f"assets/{number}"))
    tracemalloc.start()
    try:
        unpack(path, tmp_path / "out", "model", BOUNDS)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 3 * 2**20  # 4.5 MiB where each copy stays


# Where the model is in an archive.


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    ("names", "root"),
    [
        (["saved_model.pb", "assets/x"], "."),
        (["model/1/saved_model.pb", "README.md"], "model/1"),
        (["modules.json", "config.json", "1_Pooling/config.json"], "."),
        (["minilm/config.json", "minilm/1_Pooling/config.json"], "minilm"),
        (["config.json", "tokenizer.json", "saved_model/1/saved_model.pb"], "."),
        (
            ["models/tickets.keras", "models/._tickets.keras", ".cache/config.json"],
            "models/tickets.keras",
        ),
    ],
    ids=["on top", "deep", "an encoder", "an encoder in a folder", "by transformers", "Keras"],
)
def test_the_one_model_is_found(tmp_path: Path, names: list[str], root: str) -> None:
    assert find_root(touch(tmp_path, *names), "model") == tmp_path / root


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["a/saved_model.pb", "b/saved_model.pb", "c.keras"],
            "holds 3 models ('a', 'b', 'c.keras'). Unpack it, and give the folder of one as "
            "SOURCE.",
        ),
        (
            ["weights.h5", "model.pkl"],
            "holds no model: it must hold one saved_model.pb, the folder of a sentence "
            "encoder (config.json), or one .keras file.",
        ),
        (
            ["manifest.json", "tf_embeddings_udf/__init__.py", "model/saved_model.pb"],
            "is an artifact that was made before. Give it back its name, <model>-<build>.zip.",
        ),
    ],
    ids=["several", "none", "an artifact"],
)
def test_what_holds_no_one_model_is_refused(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(StagingError) as error:
        find_root(touch(tmp_path, *names), "x.zip")
    assert str(error.value) == f"the archive 'x.zip' {said}"
