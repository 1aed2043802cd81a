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
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from makers import Artefact, write_zip
from tf_embeddings_udf import TfEmbeddingsError, read_manifest, unpack

UDF_SRC = Path(__file__).parents[1] / "udf_src"

UNPACK = (
    "import sys; from pathlib import Path; from tf_embeddings_udf import unpack; "
    "print(unpack(Path(sys.argv[1]), Path(sys.argv[2]), model=sys.argv[3], build=sys.argv[4]))"
)


def test_an_artefact_is_unpacked_as_its_manifest_lists_it(tiny: Artefact, tmp_path: Path) -> None:
    folder = unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    assert folder == tmp_path / f"tiny-{tiny.version}-{tiny.build}"
    manifest = read_manifest(folder)
    assert manifest == read_manifest(tiny.path)
    for name, expected in manifest.files.items():
        content = (folder / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected.sha256
    assert os.listdir(tmp_path) == [folder.name], "nothing temporary is left"


def test_an_unpacked_artefact_is_kept(tiny: Artefact, tmp_path: Path) -> None:
    folder = unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    made = folder.stat().st_ino
    assert unpack(tiny.path, tmp_path, model="tiny", build=tiny.build).stat().st_ino == made


def test_an_unpacked_artefact_that_lost_a_file_is_made_whole(
    tiny: Artefact, tmp_path: Path
) -> None:
    folder = unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    (folder / "model" / "saved_model.pb").unlink()
    unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    assert (folder / "model" / "saved_model.pb").is_file()
    assert os.listdir(tmp_path) == [folder.name]


def test_a_missing_artefact(tmp_path: Path) -> None:
    path = tmp_path / "tiny-b000000000000.zip"
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(path, tmp_path, model="tiny", build="b000000000000")
    assert str(error.value) == (
        f"tf_embeddings: the artefact '{path}' does not exist. Stage it with: "
        "python dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write"
    )


def unusable(path: Path, what: str) -> str:
    return (
        f"tf_embeddings: the artefact '{path}' cannot be used: {what}. Delete it and stage the "
        "model again with: python dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write"
    )


def copy_of(artefact: Artefact, folder: Path) -> Path:
    return Path(shutil.copy(artefact.path, folder / artefact.path.name))


def test_an_artefact_cut_in_half(tiny: Artefact, tmp_path: Path) -> None:
    path = copy_of(tiny, tmp_path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(path, tmp_path / "cache", model="tiny", build=tiny.build)
    assert str(error.value) == (
        f"tf_embeddings: the artefact {path.name} cannot be used: it is cut short, or no zip at "
        "all (File is not a zip file). Delete it and stage the model again with: "
        "python dbt_packages/tf_embeddings/scripts/stage_model.py <model> --write"
    )


def test_a_file_that_is_no_zip(tmp_path: Path) -> None:
    path = tmp_path / "tiny-b000000000000.zip"
    path.write_text("<html>404</html>")
    with pytest.raises(TfEmbeddingsError, match="it is cut short, or no zip at all"):
        unpack(path, tmp_path / "cache", model="tiny", build="b000000000000")


def test_one_flipped_bit(tiny: Artefact, tmp_path: Path) -> None:
    path = copy_of(tiny, tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    came = "b" + hashlib.sha256(content).hexdigest()[:12]
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(path, tmp_path / "cache", model="tiny", build=tiny.build)
    assert str(error.value) == unusable(path, f"its digest is {came}, not {tiny.build}")
    assert not (tmp_path / "cache").exists()


def test_another_model_under_this_name(tiny: Artefact, tmp_path: Path) -> None:
    with pytest.raises(TfEmbeddingsError, match="it holds model 'tiny', not 'minilm'"):
        unpack(tiny.path, tmp_path, model="minilm", build=tiny.build)


# A digest in its own name protects from damage, not from malice: the entries are checked as well.


def repacked(artefact: Artefact, stage: Path, **changes: bytes | None) -> Artefact:
    """Pack an artefact again with files changed, added or, with None, left out."""
    with zipfile.ZipFile(artefact.path) as archive:
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
    tiny: Artefact, tmp_path: Path, name: str, content: bytes | None, what: str
) -> None:
    evil = repacked(tiny, tmp_path / "stage", **{name: content})
    cache = tmp_path / "cache"
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(evil.path, cache, model="tiny", build=evil.build)
    assert str(error.value) == unusable(evil.path, what)
    assert os.listdir(cache) == []
    assert not (tmp_path / "evil").exists()


def test_a_link(tiny: Artefact, tmp_path: Path) -> None:
    path = tmp_path / "unnamed.zip"
    with zipfile.ZipFile(tiny.path) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            if entry.filename == "model/tokenizer.json":
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            target.writestr(entry, source.read(entry.filename))
    build = "b" + hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(path, tmp_path / "cache", model="tiny", build=build)
    assert str(error.value) == unusable(path, "it holds a link")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_file_twice(tiny: Artefact, tmp_path: Path) -> None:
    path = copy_of(tiny, tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/tokenizer.json", b"{}")
    build = "b" + hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(path, tmp_path / "cache", model="tiny", build=build)
    assert str(error.value) == unusable(path, "it holds the same file twice")


def start_unpacking(artefact: Artefact, cache: Path) -> subprocess.Popen[str]:
    arguments = [str(artefact.path), str(cache), artefact.model, artefact.build]
    return subprocess.Popen(
        [sys.executable, "-c", UNPACK, *arguments],
        cwd=UDF_SRC,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def large(tiny: Artefact, tmp_path: Path) -> Artefact:
    """The small model with 100 MB beside it: there is time to race, and to be killed."""
    weights = os.urandom(1 << 20) * 100
    manifest = json.loads(zipfile.ZipFile(tiny.path).read("manifest.json"))
    manifest["files"]["model/weights"] = {
        "sha256": hashlib.sha256(weights).hexdigest(),
        "bytes": len(weights),
    }
    changes = {"manifest.json": json.dumps(manifest).encode(), "model/weights": weights}
    return repacked(tiny, tmp_path / "stage", **changes)


def test_eight_processes_race_and_one_is_killed_half_way(large: Artefact, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    victim = start_unpacking(large, cache)
    deadline = time.monotonic() + 60
    while not any(cache.glob(".*.part/model/weights")) and time.monotonic() < deadline:
        assert victim.poll() is None, "it was to be killed half-way, and had finished"
    racers = [start_unpacking(large, cache) for _ in range(7)]
    victim.send_signal(signal.SIGKILL)
    folders = {racer.communicate()[0].strip() for racer in racers}
    victim.communicate()

    folder = cache / f"tiny-{large.version}-{large.build}"
    assert folders == {str(folder)}
    assert [racer.returncode for racer in racers] == [0] * 7
    assert victim.returncode == -signal.SIGKILL
    leftovers = [name for name in os.listdir(cache) if name != folder.name]
    assert len(leftovers) == 1, "the racers removed theirs; the dead one's is not theirs to remove"
    for name, expected in read_manifest(folder).files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected.sha256


def test_what_a_dead_process_left_is_removed_a_day_later(tiny: Artefact, tmp_path: Path) -> None:
    old, young = tmp_path / ".tiny-old.part", tmp_path / ".tiny-young.part"
    for leftover in (old, young):
        (leftover / "model").mkdir(parents=True)
    two_days_ago = time.time() - 2 * 24 * 60 * 60
    os.utime(old, (two_days_ago, two_days_ago))
    unpack(tiny.path, tmp_path, model="tiny", build=tiny.build)
    assert not old.exists()
    assert young.exists()


def test_the_message_has_one_sentence_and_its_next_step(tmp_path: Path) -> None:
    with pytest.raises(TfEmbeddingsError) as error:
        unpack(tmp_path / "x.zip", tmp_path, model="tiny", build="b000000000000")
    assert re.fullmatch(r"tf_embeddings: [^\n]+\. Stage it with: python [^\n]+", str(error.value))
