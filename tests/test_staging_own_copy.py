"""What is inspected is what is packed, whoever writes to a model's files meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bert_folder
import encoder_makers
import pytest
from graph_makers import lengths, save_text
from tf_embeddings_staging.building.build import build
from tf_embeddings_staging.building.prepare import Input, own_copy
from tf_embeddings_staging.building.recipe import recipe
from tf_embeddings_staging.cache import sha256_of
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching.fetch import Fetched
from tf_embeddings_staging.inspection.files import files_of
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Local
from tf_embeddings_udf import read_manifest


class Swapping(Report):
    """A report that changes a model as soon as it was inspected."""

    def __init__(self, change: Callable[[], None]) -> None:
        super().__init__()
        self._change = change

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        with super().step(label):
            yield
        if label.startswith("Inspecting"):
            self._change()


def test_what_was_inspected_is_packed_though_the_folder_changes(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "model", lengths)
    other = save_text(tmp_path / "other", lambda texts: lengths(texts, 3))
    clean = sha256_of(folder / "saved_model.pb")

    def swap() -> None:
        shutil.copyfile(other / "saved_model.pb", folder / "saved_model.pb")

    artifact = build(Local(folder), "mine", tmp_path / "cache", Swapping(swap))
    assert sha256_of(folder / "saved_model.pb") != clean
    assert read_manifest(artifact.path).files["model/saved_model.pb"].sha256 == clean


SAVED = [
    encoder_makers.save_transformers_saved_model,
    encoder_makers.save_use_lite_module,
    encoder_makers.save_keras_file,
    encoder_makers.save_preprocessor_pair,
]


def given_of(path: Path, preprocessor: str | None = None) -> Input:
    before = Fetched(Path(preprocessor), "folder:before") if preprocessor else None
    return Input(Fetched(path, "folder:model"), before, None, Options())


@pytest.mark.parametrize("save", SAVED)
def test_a_copy_has_the_recipe_of_what_it_is_a_copy_of(
    tmp_path: Path, save: Callable[[Path], encoder_makers.Made]
) -> None:
    made = save(tmp_path / "made")
    options = dict(zip(made.options[::2], made.options[1::2], strict=False))
    inner = made.path / "saved_model" / "1"
    given = given_of(inner if inner.is_dir() else made.path, options.get("--preprocessor"))
    kept = own_copy(given, tmp_path / "copy")
    assert kept.fetched.path.is_relative_to(tmp_path / "copy")
    assert recipe("mine", kept, None) == recipe("mine", given, None)


@pytest.mark.parametrize("flat", [True, False])
def test_so_has_the_copy_of_an_encoders_folder(tmp_path: Path, flat: bool) -> None:
    given = given_of(bert_folder.make_folder(tmp_path / "encoder").path)
    if flat:
        (given.fetched.path / "modules.json").unlink()
        (given.fetched.path / "2_Normalize").mkdir()
    kept = own_copy(given, tmp_path / "copy")
    assert recipe("mine", kept, None) == recipe("mine", given, None)


def refusal(path: Path, cache: Path) -> str:
    with pytest.raises(StagingError) as error:
        build(Local(path), "mine", cache, Report())
    return str(error.value)


def leaves(name: str) -> str:
    return f"'{name}' is a link that leaves the model's folder. Put the file itself there."


@pytest.mark.parametrize("name", ["assets.extra/k", "assets/words.txt", "variables/k"])
def test_a_link_that_leaves_a_model_is_refused(tmp_path: Path, name: str) -> None:
    folder = save_text(tmp_path / "model", lengths)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to("/etc/hostname")
    assert refusal(folder, tmp_path / "cache") == leaves(name)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_a_link_that_leaves_an_encoder_is_refused(tmp_path: Path, name: str) -> None:
    folder = bert_folder.make_folder(tmp_path / "encoder").path
    shutil.move(folder / name, tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    assert refusal(folder, tmp_path / "cache") == leaves(name)


def test_a_tokenizer_that_is_a_link_is_refused(tmp_path: Path) -> None:
    made = encoder_makers.save_transformers_saved_model(tmp_path / "made" / "model")
    (tokenizer,) = (tmp_path / "made").rglob("tokenizer.json")
    shutil.move(tokenizer, tmp_path / "elsewhere")
    tokenizer.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StagingError) as error:
        own_copy(given_of(made.path / "saved_model" / "1"), tmp_path / "copy")
    assert str(error.value) == leaves("tokenizer.json")


def test_links_into_hugging_faces_blobs_are_followed(tmp_path: Path) -> None:
    folder = bert_folder.make_folder(tmp_path / "repo" / "snapshots" / "abc").path
    (tmp_path / "repo" / "blobs").mkdir()
    shutil.move(folder / "model.safetensors", tmp_path / "repo" / "blobs" / "1")
    (folder / "model.safetensors").symlink_to(Path("..", "..", "blobs", "1"))
    kept = own_copy(given_of(folder), tmp_path / "copy")
    assert not (kept.fetched.path / "model.safetensors").is_symlink()
    assert recipe("mine", kept, None) == recipe("mine", given_of(folder), None)


def test_links_out_of_those_blobs_are_not(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "repo" / "snapshots" / "abc", lengths)
    (tmp_path / "repo" / "blobs").symlink_to("/etc")
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra" / "k").symlink_to(Path("..", "..", "..", "blobs", "hostname"))
    with pytest.raises(StagingError, match=r"'assets\.extra/k' is a link"):
        files_of(folder)


def test_a_file_name_that_is_no_utf_8_is_one_sentence(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "model", lengths)
    (folder / "assets").mkdir(exist_ok=True)
    Path(os.fsdecode(os.fsencode(folder / "assets") + b"/caf\xe9.txt")).write_text("words")
    assert refusal(folder, tmp_path / "cache") == (
        r"the file name 'assets/caf\xe9.txt' is not UTF-8. Rename the file."
    )


def test_so_is_the_name_of_the_folder(tmp_path: Path) -> None:
    folder = save_text(tmp_path / "model", lengths)
    named = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.rename(named)
    assert refusal(named, tmp_path / "cache") == (
        r"the file name 'folder:caf\xe9' is not UTF-8. Rename the file."
    )
