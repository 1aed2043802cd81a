"""From what SOURCE names to a model's files on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tf_embeddings_staging import cache
from tf_embeddings_staging.catalogue import (
    Archive,
    Entry,
    HuggingFace,
    ModelSource,
    OnThisMachine,
    PythonPackage,
    TfHub,
)
from tf_embeddings_staging.errors import SourceError, StagingError
from tf_embeddings_staging.fetching import first_use, kaggle, tf_hub
from tf_embeddings_staging.fetching.archive import Bounds, find_root, unpack
from tf_embeddings_staging.fetching.download import (
    DownloadError,
    Patience,
    Wanted,
    download,
    is_loopback,
    is_plain,
)
from tf_embeddings_staging.fetching.hugging_face import from_hugging_face, hub_of
from tf_embeddings_staging.fetching.kept import (
    digest_of_files,
    is_as_listed,
    require_digests,
    write_list,
)
from tf_embeddings_staging.fetching.python_package import from_python_package
from tf_embeddings_staging.options import Limits
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.redaction import address
from tf_embeddings_staging.sources import Built, Local, Remote, local, remote


@dataclass(frozen=True)
class Fetched:
    """A model's files.

    Attributes:
        path: the folder of a SavedModel or of an encoder, or a .keras file.
        uri: where they come from; nothing of this machine's paths, and no secrets.
        root: the folder that came with them, if it was fetched or unpacked: whatever lies above it
            is no part of the model.
    """

    path: Path
    uri: str
    root: Path | None = None


@dataclass(frozen=True)
class _Errand:
    """What all ways to fetch need: the cache, who is told, and how much it may be."""

    folder: Path
    report: Report
    limits: Limits
    patience: Patience


def materialize(
    source: Entry | Local | Remote,
    folder: Path,
    report: Report,
    limits: Limits,
    sha256: str | None = None,
    *,
    patience: Patience | None = None,
) -> Fetched:
    """Return a model's files: downloaded and unpacked, or as a run before left them.

    Args:
        source: what `sources.resolve` returned.
        folder: the cache. TF-Hub's modules are in TF-Hub's own.
        report: tells the user.
        limits: `download_bytes` is that of a download, and of what an archive unpacks to.
        sha256: the digest that the archive or the file must have.
        patience: how often a download is tried.

    Raises:
        StagingError: it did not come, is not what the digests say, or an archive is refused.
    """
    errand = _Errand(folder, report, limits, patience or Patience())
    if isinstance(source, Entry):
        return _entry(source, sha256, errand)
    if isinstance(source, Remote):
        return _alone(source, sha256, errand)
    return _local(source, sha256, errand)


def _alone(source: Remote, sha256: str | None, errand: _Errand) -> Fetched:
    """Fetch what no other source gives."""
    try:
        path, root = _remote(source, sha256, errand)
    except SourceError as error:
        raise StagingError(
            f"SOURCE '{address(source.url)}' did not come: {error}.{_hint(source, error)}"
        ) from None
    return Fetched(path, address(source.url), root)


def _hint(source: Remote, error: SourceError) -> str:
    status = error.status if isinstance(error, DownloadError) else None
    if source.protocol == "kaggle" and status in (401, 403):
        return (
            " Accept the model's terms on its page, and set KAGGLE_USERNAME and KAGGLE_KEY to "
            "those of your account."
        )
    if status in (401, 403):
        return " Ask its owner for access, or give an archive on this machine as SOURCE."
    if status in (404, 410):
        return " Look it up with a browser: is the address right, and the version?"
    if "--size-limit" in str(error):
        return ""
    return " Check the network and the proxy (HTTPS_PROXY, NO_PROXY), and run this again."


def _remote(source: Remote, sha256: str | None, errand: _Errand) -> tuple[Path, Path]:
    """Return a model's files, and the folder that came with them."""
    if source.protocol == "tf_hub":
        return _tf_hub_module(source.url, sha256, errand)
    if source.protocol == "kaggle":
        model = kaggle.parse(source.url)
        url, credentials = model.download, kaggle.credentials()
        if is_plain(url) and not is_loopback(url):
            credentials = None
        return _kept_archive(source.url, url, credentials, sha256, errand)
    return _kept_archive(source.url, source.url, None, sha256, errand)


def _tf_hub_module(url: str, sha256: str | None, errand: _Errand) -> tuple[Path, Path]:
    """Return a module of TF-Hub's cache; it is put there unless it is."""
    handle = _without_user(url)
    shown = address(handle)
    with cache.work_folder(errand.folder) as work:
        with errand.report.step(f"Looking for {shown} in TF-Hub's cache"):
            path = tf_hub.cached(handle, work, errand.limits)
        if path is None:
            archive = work / "archive"
            came = _download(url, tf_hub.archive_of(url), None, archive, sha256, errand)
            unpacked = _unpack(archive, shown, work / "unpacked", errand)
            root = find_root(unpacked, shown)
            if root != unpacked:
                raise StagingError(
                    f"the archive of '{shown}' holds its model in the folder "
                    f"'{root.relative_to(unpacked).as_posix()}', where TF-Hub's have it on top. "
                    f"Download it, and give the archive as SOURCE."
                )
            files = digest_of_files(unpacked)
            path = tf_hub.keep(handle, unpacked, work, errand.limits)
            first_use.pin(errand.folder, handle, came)
            first_use.pin_files(errand.folder, handle, path, files)
        elif sha256 and first_use.pinned(errand.folder, handle) != sha256:
            raise StagingError(
                f"'{shown}' is in TF-Hub's cache already, and not from an archive with the SHA-256 "
                f"{sha256}. Delete '{path}' to download it anew, or leave --sha256 out."
            )
    root = find_root(path, shown)
    # Also what is there from before: another program, or another user, may write to that cache.
    first_use.pin_files(errand.folder, handle, path, digest_of_files(path))
    return root, path


def _kept_archive(
    source: str,
    url: str,
    credentials: tuple[str, str] | None,
    sha256: str | None,
    errand: _Errand,
) -> tuple[Path, Path]:
    """Return the model of an archive that is downloaded once, and the folder of all that it holds.

    Args:
        source: what is pinned: the address of the archive, or the page of a model.
        url: the address of the archive.
        credentials: for the address's host.
        sha256: what the user says that it has.
        errand: the rest.
    """
    shown = address(source)
    before = first_use.pinned(errand.folder, _without_user(source))
    if before and sha256 in (None, before):
        place = _place(errand, source, before)
        if is_as_listed(place):
            return find_root(place, shown), place
    with cache.work_folder(errand.folder) as work:
        archive = work / "archive"
        came = _download(source, url, credentials, archive, sha256, errand)
        place = _place(errand, source, came)
        root = _keep(archive, shown, place, work, errand)
    first_use.pin(errand.folder, _without_user(source), came)
    return root, place


def _download(
    source: str,
    url: str,
    credentials: tuple[str, str] | None,
    target: Path,
    sha256: str | None,
    errand: _Errand,
) -> str:
    """Download an archive; return its SHA-256, which is what the user and the first use say.

    It is not pinned yet: a page to sign in may come instead.
    """
    source = _without_user(source)
    is_known = sha256 or first_use.pinned(errand.folder, source)
    if is_plain(url) and not is_loopback(url) and not is_known:
        raise StagingError(
            f"SOURCE '{address(source)}' is plain http, where anyone on the way can change what "
            f"comes. Use https, or say what must come with --sha256 HEX."
        )
    wanted = Wanted(url, f"Fetching {address(source)}", errand.limits.download_bytes, credentials)
    download(wanted, target, errand.folder, errand.report, errand.patience)
    came = cache.sha256_of(target)
    _require_sha256(f"what '{address(source)}' gave", came, sha256)
    first_use.require_same(errand.folder, source, came)
    return came


def _require_sha256(what: str, came: str, sha256: str | None) -> None:
    if sha256 not in (None, came):
        raise StagingError(
            f"{what} has the SHA-256 {came}, and --sha256 says {sha256}. Compare with what its "
            f"maker publishes; do not use it if that differs."
        )


def _place(errand: _Errand, source: str, sha256: str) -> Path:
    """Return where an archive's model is kept."""
    stem = unquote(urlsplit(source).path.rstrip("/").rpartition("/")[2]) or "model"
    slug = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:60]
    return errand.folder / "sources" / f"{slug or 'model'}-{sha256[:12]}"


def _unpack(archive: Path, label: str, target: Path, errand: _Errand) -> Path:
    with errand.report.step(f"Unpacking {label}"):
        unpack(archive, target, label, Bounds(errand.limits.download_bytes))
    return target


def _keep(archive: Path, label: str, place: Path, work: Path, errand: _Errand) -> Path:
    """Unpack an archive into the cache; return where the model is in it."""
    unpacked = _unpack(archive, label, work / "unpacked", errand)
    find_root(unpacked, label)  # what holds no model is not kept
    write_list(unpacked)
    cache.move_folder(unpacked, place, is_as_listed)
    return find_root(place, label)


def _local(source: Local, sha256: str | None, errand: _Errand) -> Fetched:
    path, name = source.path, source.path.name
    if path.is_dir():
        if sha256:
            raise StagingError(
                f"--sha256 is of one file, and SOURCE '{name}' is a folder. Leave --sha256 out."
            )
        return Fetched(path, f"folder:{name}")
    came = cache.sha256_of(path)
    _require_sha256(f"SOURCE '{name}'", came, sha256)
    if path.suffix == ".keras":
        return Fetched(path, f"file:{name}")
    place = _place(errand, name, came)
    if is_as_listed(place):
        return Fetched(find_root(place, name), f"archive:{name}", place)
    with cache.work_folder(errand.folder) as work:
        return Fetched(_keep(path, name, place, work, errand), f"archive:{name}", place)


def _entry(entry: Entry, sha256: str | None, errand: _Errand) -> Fetched:
    """Fetch a model of the catalogue from the first of its sources that answers."""
    if sha256:
        raise StagingError(
            f"--sha256 is for an archive, and '{entry.name}' is a model of the catalogue, which "
            f"knows its own digests. Leave --sha256 out."
        )
    reasons: list[str] = []
    for source, following in zip_longest(entry.sources, entry.sources[1:]):
        try:
            path, root = _way_to(source)(entry, errand)
            return Fetched(path, entry.home or f"catalogue:{entry.name}", root)
        except SourceError as error:
            reasons.append(f"{describe(source)}: {error}")
            if following:
                errand.report.say(f"{reasons[-1]}. Trying {describe(following)}.")
    all_here = all(isinstance(source, OnThisMachine) for source in entry.sources)
    check = "the network, pip's configuration (pip config list) and HF_ENDPOINT"
    raise StagingError(
        f"no source of '{entry.name}' gave the model. {'. '.join(reasons)}. Check "
        f"{'what the catalogue says of it' if all_here else check}, and run this again."
    )


def describe(source: ModelSource) -> str:
    """Return a source as messages call it."""
    if isinstance(source, PythonPackage):
        return f"Python package {source.requirement}"
    if isinstance(source, HuggingFace):
        return hub_of(source)
    if isinstance(source, Archive):
        return f"archive {address(source.url)}"
    if isinstance(source, OnThisMachine):
        return f"path {source.path}"
    return f"TF-Hub handle {address(source.handle)}"


def _way_to(source: ModelSource) -> Callable[[Entry, _Errand], tuple[Path, Path | None]]:
    if isinstance(source, TfHub):
        return lambda entry, errand: _entry_of_address(source.handle, None, entry, errand)
    if isinstance(source, Archive):
        return lambda entry, errand: _entry_of_address(source.url, source.sha256, entry, errand)
    if isinstance(source, OnThisMachine):
        return lambda entry, errand: _entry_of_path(source, entry, errand)
    return lambda entry, errand: _entry_of_files(source, entry, errand)


def _entry_of_address(
    url: str, sha256: str | None, entry: Entry, errand: _Errand
) -> tuple[Path, Path]:
    path, root = _remote(remote(url), sha256, errand)
    require_digests(path, entry.digests)
    return path, root


def _entry_of_path(
    source: OnThisMachine, entry: Entry, errand: _Errand
) -> tuple[Path, Path | None]:
    path = Path(source.path)
    if not path.exists():
        raise SourceError("there is no such file or folder")
    found = local(source.path, path)
    if isinstance(found, Built):
        raise StagingError(
            f"'{entry.name}' of the catalogue names the artifact '{path.name}', which is staged as "
            f"it is. Give that file itself as SOURCE."
        )
    fetched = _local(found, None, errand)
    is_file = fetched.path.is_file()
    require_digests(fetched.path.parent if is_file else fetched.path, entry.digests)
    return fetched.path, fetched.root


def _entry_of_files(
    source: PythonPackage | HuggingFace, entry: Entry, errand: _Errand
) -> tuple[Path, Path]:
    """Return the folder of the files, which is kept under what the catalogue says of them."""
    known = dict(entry.digests) or [asdict(source) for source in entry.sources]
    key = cache.digest_of(known)[:12]
    place = errand.folder / "sources" / f"{entry.name}-{key}"
    if _is_whole(place, entry):
        return place, place
    to_pin: dict[str, str] = {}
    with cache.work_folder(errand.folder) as work:
        model = work / "model"
        if isinstance(source, PythonPackage):
            from_python_package(source, model, errand.report)
        else:
            to_pin = from_hugging_face(
                source,
                entry.digests,
                model,
                errand.folder,
                errand.report,
                errand.limits.download_bytes,
                errand.patience,
            )
        require_digests(model, entry.digests)
        if not entry.digests:
            write_list(model)
        cache.move_folder(model, place, lambda path: _is_whole(path, entry))
    for url, sha256 in to_pin.items():
        first_use.pin(errand.folder, url, sha256)
    return place, place


def _is_whole(folder: Path, entry: Entry) -> bool:
    if not entry.digests:
        return is_as_listed(folder)
    try:
        require_digests(folder, entry.digests)
    except SourceError:
        return False
    return True


def _without_user(url: str) -> str:
    """Return an address without user and password, which are no part of what it names."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
