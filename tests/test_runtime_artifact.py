from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import CORPUS, Artifact, write_artifact, write_zip
from tf_embeddings_udf import (
    Embedder,
    Manifest,
    TfEmbeddingsError,
    load,
    read_manifest,
    remove,
    unpack,
)
from tf_embeddings_udf import artifact as artifact_module
from tf_embeddings_udf.lock import locked
from tf_embeddings_udf.manifest import FileEntry

UDF_SRC = Path(__file__).parents[1] / "udf_src"

UNPACK = """
import sys; from pathlib import Path; from tf_embeddings_udf import unpack
print("ready", flush=True)
print(unpack(Path(sys.argv[1]), Path(sys.argv[2]), model=sys.argv[3], build=sys.argv[4]))
"""


def test_an_artifact_is_unpacked_as_its_manifest_lists_it(tiny: Artifact, tmp_path: Path) -> None:
    folder = unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    assert folder == tmp_path / f"tiny-{tiny.version}-{tiny.build}"
    manifest = read_manifest(folder)
    assert manifest == read_manifest(tiny.path)
    for name, expected in manifest.files.items():
        content = (folder / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected.sha256
    assert os.listdir(tmp_path) == [folder.name], "nothing temporary is left"


def test_an_unpacked_artifact_is_kept(tiny: Artifact, tmp_path: Path) -> None:
    folder = unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    made = folder.stat().st_ino
    assert unpack(tiny.path, tmp_path, model="tiny", build=tiny.build).stat().st_ino == made


def test_an_unpacked_artifact_that_lost_a_file_is_made_whole(
    tiny: Artifact, tmp_path: Path
) -> None:
    folder = unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    (folder / "model" / "model.tflite").unlink()
    unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    assert (folder / "model" / "model.tflite").is_file()
    assert os.listdir(tmp_path) == [folder.name]


def test_a_missing_artifact(tmp_path: Path) -> None:
    path = tmp_path / "tiny-b000000000000.zip"
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(path, tmp_path, model="tiny", build="b000000000000")
    assert str(error.value) == (
        f"tf_embeddings: the artifact '{path}' does not exist. Stage it with: "
        "python dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write"
    )


def unusable(path: Path, what: str) -> str:
    return (
        f"tf_embeddings: the artifact '{path}' cannot be used: {what}. Delete it and stage the "
        "model again with: python dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write"
    )


def copy_of(artifact: Artifact, folder: Path) -> Path:
    return Path(shutil.copy(artifact.path, folder / artifact.path.name))


def test_an_artifact_cut_in_half(tiny: Artifact, tmp_path: Path) -> None:
    path = copy_of(tiny, tmp_path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(path, tmp_path / "cache", model="tiny", build=tiny.build)
    assert str(error.value) == (
        f"tf_embeddings: the artifact {path.name} cannot be used: it is cut short, or not a "
        "zip (File is not a zip file). Delete it and stage the model again with: "
        "python dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write"
    )


def test_a_file_that_is_no_zip(tmp_path: Path) -> None:
    path = tmp_path / "tiny-b000000000000.zip"
    path.write_text("<html>404</html>")
    with pytest.raises(TfEmbeddingsError, match="it is cut short, or not a zip"):
        unpack(path, tmp_path / "cache", model="tiny", build="b000000000000")


def test_one_flipped_bit(tiny: Artifact, tmp_path: Path) -> None:
    path = copy_of(tiny, tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        hit = archive.testzip()
    assert hit
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(path, tmp_path / "cache", model="tiny", build=tiny.build)
    assert str(error.value) == unusable(path, f"'{hit}' is not as its manifest says")
    assert os.listdir(tmp_path / "cache") == []


def test_another_build_under_this_name(tiny: Artifact, tmp_path: Path) -> None:
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(tiny.path, tmp_path / "cache", model="tiny", build="b000000000000")
    what = f"its build is {tiny.build}, not b000000000000"
    assert str(error.value) == unusable(tiny.path, what)
    assert os.listdir(tmp_path / "cache") == []


def test_what_was_measured_is_no_part_of_the_build(
    litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Another machine has other golden vectors in the seventh digit: the pin in git is right."""
    builds = {
        write_artifact(
            *litert_tokens_model,
            tmp_path / name,
            golden={"texts": [name], "vectors": [[1.0]], "token_counts": [3]},
        ).build
        for name in ("one machine", "another")
    }
    assert len(builds) == 1


def test_another_file_is_another_build(tiny: Artifact, tmp_path: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(tiny.path).read("manifest.json"))
    manifest["files"]["model/extra"] = {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 1}
    changes = {"manifest.json": json.dumps(manifest).encode(), "model/extra": b"x"}
    assert repacked(tiny, tmp_path, **changes).build != tiny.build


def test_golden_vectors_that_would_fill_the_disk(tiny: Artifact, tmp_path: Path) -> None:
    path = copy_of(tiny, tmp_path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("golden.json", b" " * (2**26 + 1))
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(path, tmp_path / "cache", model="tiny", build=tiny.build)
    assert str(error.value) == unusable(path, "its golden.json is too large")
    assert os.listdir(tmp_path / "cache") == []


def test_another_model_under_this_name(tiny: Artifact, tmp_path: Path) -> None:
    with pytest.raises(TfEmbeddingsError, match="it holds model 'tiny', not 'minilm'"):
        unpack(tiny.path, tmp_path, model="minilm", build=tiny.build)


# A digest in its own name protects from damage, not from malice: the entries are checked as well.


def repacked(artifact: Artifact, stage: Path, **changes: bytes | None) -> Artifact:
    """Pack an artifact again with files changed, added or, with None, left out."""
    with zipfile.ZipFile(artifact.path) as archive:
        entries: dict[str, Any] = {name: archive.read(name) for name in archive.namelist()}
    entries |= changes
    kept = {name: content for name, content in entries.items() if content is not None}
    return write_zip(stage, kept, json.loads(kept["manifest.json"]))


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("../evil", b"x", "its manifest and its content differ in '../evil'"),
        ("/evil", b"x", "its manifest and its content differ in '/evil'"),
        ("model/extra", b"x", "its manifest and its content differ in 'model/extra'"),
        (
            "model/tokenizer.json",
            None,
            "its manifest and its content differ in 'model/tokenizer.json'",
        ),
        ("model/tokenizer.json", b"{}", "'model/tokenizer.json' is not as its manifest says"),
    ],
)
def test_content_that_the_manifest_does_not_list(
    tiny: Artifact, tmp_path: Path, name: str, content: bytes | None, what: str
) -> None:
    evil = repacked(tiny, tmp_path / "stage", **{name: content})
    cache = tmp_path / "cache"
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(evil.path, cache, model="tiny", build=evil.build)
    assert str(error.value) == unusable(evil.path, what)
    assert os.listdir(cache) == []
    assert not (tmp_path / "evil").exists()


def test_a_link(tiny: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "unnamed.zip"
    with zipfile.ZipFile(tiny.path) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            if entry.filename == "model/tokenizer.json":
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            target.writestr(entry, source.read(entry.filename))
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(path, tmp_path / "cache", model="tiny", build=tiny.build)
    assert str(error.value) == unusable(path, "it holds a link")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_file_twice(tiny: Artifact, tmp_path: Path) -> None:
    path = copy_of(tiny, tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/tokenizer.json", b"{}")
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(path, tmp_path / "cache", model="tiny", build=tiny.build)
    assert str(error.value) == unusable(path, "it holds the same file twice")


def start_unpacking(artifact: Artifact, cache: Path) -> subprocess.Popen[str]:
    """Start a process that says 'ready', unpacks, and says where."""
    arguments = [str(artifact.path), str(cache), artifact.model, artifact.build]
    return subprocess.Popen(
        [sys.executable, "-c", UNPACK, *arguments],
        cwd=UDF_SRC,
        stdout=subprocess.PIPE,
        text=True,
    )


def ready(process: subprocess.Popen[str]) -> bool:
    assert process.stdout
    return process.stdout.readline() == "ready\n"


@pytest.fixture
def large(tiny: Artifact, tmp_path: Path) -> Artifact:
    """The small model with 100 MB beside it: there is time to race, and to be killed."""
    weights = os.urandom(1 << 20) * 100
    manifest = json.loads(zipfile.ZipFile(tiny.path).read("manifest.json"))
    manifest["files"]["model/weights"] = {
        "sha256": hashlib.sha256(weights).hexdigest(),
        "bytes": len(weights),
    }
    changes = {"manifest.json": json.dumps(manifest).encode(), "model/weights": weights}
    return repacked(tiny, tmp_path / "stage", **changes)


def assert_is_whole(folder: Path, artifact: Artifact, expected: Embedder) -> None:
    for name, entry in read_manifest(artifact.path).files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry.sha256
    vectors = load(folder).embed(CORPUS).embeddings
    np.testing.assert_allclose(vectors, expected.embed(CORPUS).embeddings, rtol=0, atol=1e-6)


def test_eight_processes_race_and_one_is_killed_half_way(
    large: Artifact, tmp_path: Path, tiny_embedder: Embedder
) -> None:
    """One of the others takes over; never is there more than one private copy."""
    cache = tmp_path / "cache"
    victim = start_unpacking(large, cache)
    started = cache.glob(".*.part/model/weights")
    while not any(path.stat().st_size for path in started):
        assert victim.poll() is None, "it was to be killed half-way, and had finished"
        started = cache.glob(".*.part/model/weights")
    victim.send_signal(signal.SIGSTOP)
    racers = [start_unpacking(large, cache) for _ in range(7)]
    assert all(map(ready, racers))
    [half] = cache.glob(".*.part/model/weights")
    assert 0 < half.stat().st_size < 100 << 20
    victim.send_signal(signal.SIGKILL)

    most = 1
    while any(racer.poll() is None for racer in racers):
        most = max(most, len(list(cache.glob(".*.part"))))
    folders = {racer.communicate()[0].strip() for racer in racers}
    victim.communicate()

    folder = cache / f"tiny-{large.version}-{large.build}"
    assert folders == {str(folder)}
    assert [racer.returncode for racer in racers] == [0] * 7
    assert victim.returncode == -signal.SIGKILL
    assert most == 1
    assert os.listdir(cache) == [folder.name], "neither a lock nor what the dead one wrote is left"
    assert_is_whole(folder, large, tiny_embedder)


def test_threads_unpack_once(
    tiny: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extracted: list[Path] = []
    actual = artifact_module._extract

    def counting(zip_path: Path, folder: Path, manifest: Manifest) -> None:
        extracted.append(folder)
        actual(zip_path, folder, manifest)

    monkeypatch.setattr(artifact_module, "_extract", counting)
    arrived = threading.Barrier(9)

    def announced(lock: Path) -> AbstractContextManager[bool]:
        arrived.wait(60)
        return locked(lock)

    monkeypatch.setattr(artifact_module, "locked", announced)
    with ThreadPoolExecutor(8) as threads:
        with locked(tmp_path / f".tiny-{tiny.version}-{tiny.build}.lock"):
            waiting = [
                threads.submit(unpack, tiny.path, tmp_path, model="tiny", build=tiny.build)
                for _ in range(8)
            ]
            arrived.wait(60)
        folders = {one.result() for one in waiting}
    assert len(folders) == len(extracted) == 1
    assert os.listdir(tmp_path) == [folders.pop().name]


def test_without_locks_the_rename_alone_protects(
    tiny: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has no fcntl. Somebody else's lock is not waited for, nor what is locked touched."""
    name = f"tiny-{tiny.version}-{tiny.build}"
    lock, others = tmp_path / f".{name}.lock", tmp_path / f".{name}.locked.x.part"
    others.mkdir()
    with locked(lock) as is_alone:
        assert is_alone
        monkeypatch.setitem(sys.modules, "fcntl", None)
        folder = unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
        monkeypatch.undo()
    assert read_manifest(folder) == read_manifest(tiny.path)
    assert sorted(os.listdir(tmp_path)) == [others.name, name]


def test_a_lock_file_that_was_left_behind_is_no_lock(tiny: Artifact, tmp_path: Path) -> None:
    name = f"tiny-{tiny.version}-{tiny.build}"
    (tmp_path / f".{name}.lock").touch()
    unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    assert os.listdir(tmp_path) == [name]


COUNT = """
import sys; from pathlib import Path; from tf_embeddings_udf.lock import locked
from tf_embeddings_udf.manifest import FileEntry
lock, counter = map(Path, sys.argv[1:])
for _ in range(300):
    with locked(lock) as is_alone:
        assert is_alone
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_a_lock_has_one_holder_though_each_removes_its_file(tmp_path: Path) -> None:
    lock, counter = tmp_path / "lock", tmp_path / "counter"
    counter.write_text("0")
    processes = [
        subprocess.Popen([sys.executable, "-c", COUNT, lock, counter], cwd=UDF_SRC)
        for _ in range(8)
    ]
    assert [process.wait() for process in processes] == [0] * 8
    assert counter.read_text() == "2400"
    assert not lock.exists()


def test_what_a_dead_holder_left_is_removed_at_once_and_nothing_else(
    tiny: Artifact, tmp_path: Path
) -> None:
    """An older runtime, or one without locks, may still be writing to its private folder."""
    name = f"tiny-{tiny.version}-{tiny.build}"
    dead = tmp_path / f".{name}.locked.x.part"
    older = tmp_path / f".{name}.x.part"
    of_another = tmp_path / ".tiny-v000000000000-b000000000000.locked.x.part"
    for leftover in (dead, older, of_another):
        (leftover / "model").mkdir(parents=True)
    unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    assert not dead.exists()
    assert older.exists()
    assert of_another.exists()


def test_what_a_dead_process_left_is_removed_a_day_later(tiny: Artifact, tmp_path: Path) -> None:
    old, young = tmp_path / ".tiny-old.part", tmp_path / ".tiny-young.part"
    for leftover in (old, young):
        (leftover / "model").mkdir(parents=True)
    two_days_ago = time.time() - 2 * 24 * 60 * 60
    os.utime(old, (two_days_ago, two_days_ago))
    unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    assert not old.exists()
    assert young.exists()


def test_an_artifact_is_removed_with_what_was_unpacked_of_it(
    tiny: Artifact, tmp_path: Path
) -> None:
    path = copy_of(tiny, tmp_path)
    cache = tmp_path / "cache"
    names = {"model": "tiny", "version": tiny.version, "build": tiny.build}
    unpack(path, cache, model="tiny", build=tiny.build)
    (cache / "tiny-v000000000000-b000000000000").mkdir()
    remove(path, cache, **names)
    assert not path.exists()
    assert os.listdir(cache) == ["tiny-v000000000000-b000000000000"]
    remove(path, cache, **names)
    remove(path, tmp_path / "no cache", **names)
    assert not (tmp_path / "no cache").exists()


def test_who_waited_while_an_artifact_was_removed_finds_none(
    tiny: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_of(tiny, tmp_path)
    cache = tmp_path / "cache"
    cache.mkdir()
    arrived = threading.Event()

    def announced(lock: Path) -> AbstractContextManager[bool]:
        arrived.set()
        return locked(lock)

    monkeypatch.setattr(artifact_module, "locked", announced)
    with ThreadPoolExecutor(1) as threads:
        with locked(cache / f".tiny-{tiny.version}-{tiny.build}.lock"):
            waiting = threads.submit(unpack, path, cache, model="tiny", build=tiny.build)
            assert arrived.wait(60)
            path.unlink()
        with pytest.raises(TfEmbeddingsError, match=r"does not exist\. Stage it with: python"):
            waiting.result()
    assert os.listdir(cache) == []


def test_the_message_has_one_sentence_and_its_next_step(tmp_path: Path) -> None:
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(tmp_path / "x.zip", tmp_path, model="tiny", build="b000000000000")
    assert re.fullmatch(r"tf_embeddings: [^\n]+\. Stage it with: python [^\n]+", str(error.value))


# What two artifacts share.


@pytest.fixture
def prefixed(litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path: Path) -> Artifact:
    """The small model under another name and with a prefix."""
    folder, parameters = litert_tokens_model
    return write_artifact(folder, parameters, tmp_path / "stage", model="query", prefix="query: ")


def unpack_into(cache: Path, artifact: Artifact) -> Path:
    return unpack(artifact.path, cache, model=artifact.model, build=artifact.build)


def inodes(folder: Path) -> dict[str, int]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.stat().st_ino for path in files}


def test_two_names_for_one_model_share_its_files(
    tiny: Artifact, prefixed: Artifact, tmp_path: Path, tiny_embedder: Embedder
) -> None:
    one, other = (unpack_into(tmp_path / "cache", artifact) for artifact in (tiny, prefixed))
    of_one, of_other = inodes(one), inodes(other)
    assert of_one.keys() == of_other.keys()
    assert {name for name in of_one if of_one[name] != of_other[name]} == {"manifest.json"}
    assert_is_whole(one, tiny, tiny_embedder)
    remove(
        tiny.path.with_name("elsewhere.zip"),
        tmp_path / "cache",
        model=tiny.model,
        version=tiny.version,
        build=tiny.build,
    )
    assert not one.exists()
    assert inodes(other) == of_other
    expected = tiny_embedder.embed(["query: the fox"]).embeddings
    came = load(other).embed(["the fox"]).embeddings
    np.testing.assert_allclose(came, expected, rtol=0, atol=1e-6)


def overwrite(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def replace_by_a_link(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("moved")))


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage", [overwrite, truncate, replace_by_a_link, replace_by_a_folder, Path.unlink]
)
def test_a_damaged_file_is_not_shared(
    tiny: Artifact, prefixed: Artifact, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    one = unpack_into(tmp_path, tiny)
    damage(one / "model" / "model.tflite")
    other = unpack_into(tmp_path, prefixed)
    content = (other / "model" / "model.tflite").read_bytes()
    expected = read_manifest(prefixed.path).files["model/model.tflite"].sha256
    assert hashlib.sha256(content).hexdigest() == expected
    assert inodes(one)["model/tokenizer.json"] == inodes(other)["model/tokenizer.json"]
    assert sorted(os.listdir(tmp_path)) == sorted([one.name, other.name, "stage"])


def test_an_artifact_that_is_removed_while_its_files_are_linked(
    tiny: Artifact, prefixed: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = unpack_into(tmp_path, tiny)
    actual = artifact_module._link
    linked: list[bool] = []

    def removing_after_the_first(path: Path, target: Path, expected: FileEntry) -> bool:
        linked.append(actual(path, target, expected))
        shutil.rmtree(one, ignore_errors=True)
        return linked[-1]

    monkeypatch.setattr(artifact_module, "_link", removing_after_the_first)
    other = unpack_into(tmp_path, prefixed)
    assert linked == [True] + [False] * (len(inodes(other)) - 2)
    for name, entry in read_manifest(prefixed.path).files.items():
        assert hashlib.sha256((other / name).read_bytes()).hexdigest() == entry.sha256


def test_where_there_are_no_hard_links_files_are_copied(
    tiny: Artifact, prefixed: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("this file system has none")

    monkeypatch.setattr(os, "link", refuse)
    one, other = (unpack_into(tmp_path, artifact) for artifact in (tiny, prefixed))
    assert not set(inodes(one).values()) & set(inodes(other).values())
    assert load(other).embed(["the fox"]).statuses.tolist() == ["ok"]


def test_what_is_no_artifact_beside_them_is_passed_over(tiny: Artifact, tmp_path: Path) -> None:
    """Snowflake's /tmp is everybody's."""
    for name, content in [("a-v1-b1", "{"), ("b-v1-b1", '{"format": 1}'), ("c-v1-b1", None)]:
        (tmp_path / name).mkdir()
        if content:
            (tmp_path / name / "manifest.json").write_text(content)
    assert (unpack_into(tmp_path, tiny) / "manifest.json").is_file()
