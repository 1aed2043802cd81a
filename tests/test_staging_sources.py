"""What SOURCE may be, and what each wrong one is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import makers
import pytest
from tf_embeddings_staging.catalogue import catalogue
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.sources import (
    Archive,
    Built,
    HuggingFace,
    Kaggle,
    Local,
    TfHub,
    resolve,
    resolve_preprocessor,
)

ALLOWED = (
    "SOURCE may be a name of the catalogue (--list shows them), a Hugging Face id "
    "(<owner>/<model> or <owner>/<model>@<revision>, with hf: before it where a folder has the "
    "same name), a Kaggle model (kaggle:<owner>/<model>/<framework>/<variation>/<version>), a "
    "TF-Hub handle (https://tfhub.dev/<publisher>/<model>/<version>), the address of a .tar.gz, "
    ".tgz, .tar or .zip, such an archive on this machine, the folder of a SavedModel, the folder "
    "of a sentence encoder (config.json, model.safetensors, tokenizer.json, modules.json), a "
    ".keras file, or an artifact that was made before (<model>-<build>.zip)."
)
NNLM = "google/nnlm/TensorFlow2/en-dim128/1"
PAGE = f"https://www.kaggle.com/models/{NNLM}"


@pytest.fixture(scope="module")
def tiny(tiny: makers.Artifact, tmp_path_factory: pytest.TempPathFactory) -> makers.Artifact:
    """The small model, as it can be staged again."""
    return makers.with_golden(makers.copied(tiny, tmp_path_factory.mktemp("tiny")))


def refused(text: str | Path) -> str:
    with pytest.raises(StagingError) as error:
        resolve(str(text), catalogue())
    return str(error.value)


def test_a_name_of_the_catalogue_is_its_entry() -> None:
    assert resolve("minilm", catalogue()) == catalogue()["minilm"]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://tfhub.dev/google/universal-sentence-encoder/4", None),
        ("https://tfhub.dev/google/sentence-t5/st5-base/1", None),
        ("https://hub.example.com:8080/team/tickets/12", None),
        ("http://127.0.0.1:8000/google/tiny/1", None),
        (
            "https://tfhub.dev/google/nnlm-en-dim128/2/?tf-hub-format=compressed#usage",
            "https://tfhub.dev/google/nnlm-en-dim128/2",
        ),
    ],
)
def test_an_address_that_ends_with_a_version_is_a_tf_hub_handle(text: str, url: str | None) -> None:
    assert resolve(text, {}) == TfHub(url or text)


@pytest.mark.parametrize(
    "text",
    [
        PAGE,
        f"{PAGE}/?select=model",
        PAGE.replace("www.", ""),
        "kaggle:google/nnlm/TensorFlow2/en-dim128/1",
        "https://www.kaggle.com/models/google/nnlm/frameworks/TensorFlow2/variations/en-dim128/versions/1",
    ],
)
def test_all_forms_of_a_kaggle_model_are_one(text: str) -> None:
    assert resolve(text, {}) == Kaggle(NNLM)


@pytest.mark.parametrize("ending", [".tar.gz", ".tgz", ".tar", ".zip", ".ZIP"])
def test_an_archive_is_one_here_and_behind_an_address(tmp_path: Path, ending: str) -> None:
    url = f"https://models.example/tickets/1{ending}?token=a"
    assert resolve(url, {}) == Archive(url)
    path = tmp_path / f"model{ending}"
    path.write_bytes(b"not looked into yet")
    assert resolve(str(path), {}) == Local(path)


@pytest.mark.parametrize("name", ["saved_model.pb", "config.json", "modules.json"])
def test_a_folder_of_a_model_is_local(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not looked into yet")
    assert resolve(str(tmp_path), {}) == Local(tmp_path)


def test_a_keras_file_is_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tickets.keras").write_bytes(b"not looked into yet")
    monkeypatch.chdir(tmp_path)
    assert resolve("tickets.keras", {}) == Local(tmp_path / "tickets.keras")


def test_an_artifact_is_built(tiny: makers.Artifact) -> None:
    assert resolve(str(tiny.path), {}) == Built(tiny.path, tiny.model)


@pytest.mark.parametrize("damage", ["a byte more", "a bit of the model"])
def test_a_damaged_artifact_is_refused(tiny: makers.Artifact, tmp_path: Path, damage: str) -> None:
    content = bytearray(tiny.path.read_bytes())
    if damage == "a byte more":
        content.append(0)
    else:
        content[content.index(b"TFL3") + 100] ^= 1
    path = tmp_path / tiny.path.name
    path.write_bytes(content)
    assert refused(path) == (
        f"SOURCE '{path}' is damaged: not all of it is as it was made, and its name says "
        f"{tiny.build}. Copy it again from where it was made."
    )


def test_an_artifact_of_another_build_than_its_name_says_is_refused(
    tiny: makers.Artifact, tmp_path: Path
) -> None:
    path = tmp_path / "tiny-b000000000000.zip"
    shutil.copyfile(tiny.path, path)
    assert refused(path) == (
        f"SOURCE '{path}' is damaged: it is the build {tiny.build}, and its name says "
        "b000000000000. Copy it again from where it was made."
    )


def test_an_artifact_of_another_name_is_refused(tiny: makers.Artifact, tmp_path: Path) -> None:
    path = tmp_path / f"other-{tiny.build}.zip"
    shutil.copyfile(tiny.path, path)
    assert refused(path) == (
        f"SOURCE '{path}' holds the model '{tiny.model}', and its name says 'other'. Name it "
        f"'{tiny.path.name}' again."
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "ftp://models.example/a.tar.gz",
            "'ftp://models.example/a.tar.gz' is not an address of http",
        ),
        ("gs://bucket/model/1", "'gs://bucket/model/1' is not an address of http or https. "),
        ("file:///etc/passwd", "'file:///etc/passwd' is not an address of http or https. "),
        ("https:///a.zip", "'https:///a.zip' is not an address of http or https. "),
        ("https://[::1/a.zip", "is an address that cannot be read. "),
        ("https://models.example:port/a.zip", "is an address that cannot be read. "),
        (
            "https://user:secret@models.example/about?key=secret",
            "'https://models.example/about?...",
        ),
        ("https://models.example/about", "is neither a model's page nor an archive. "),
        ("https://huggingface.co/intfloat/e5-small/blob/main/a", "is neither a model's page nor "),
    ],
)
def test_an_address_of_nothing_is_told_what_is_allowed(text: str, said: str) -> None:
    message = refused(text)
    assert said in message
    assert message.startswith("SOURCE ")
    assert message.endswith(ALLOWED)
    assert "secret" not in message


@pytest.mark.parametrize(
    "text", ["https://tfhub.dev/google/universal-sentence-encoder", "https://tfhub.dev/google"]
)
def test_a_tf_hub_handle_without_a_version_is_asked_for_it(text: str) -> None:
    assert refused(text) == (
        f"SOURCE '{text}' is a TF-Hub handle without a version. Give "
        f"https://tfhub.dev/<publisher>/<model>/<version>, with a number at its end: a handle "
        f"without one may name a different model tomorrow."
    )


def test_a_kaggle_model_without_a_version_is_asked_for_it() -> None:
    assert refused("kaggle:google/nnlm/tensorFlow2/en-dim128") == (
        "SOURCE 'kaggle:google/nnlm/tensorFlow2/en-dim128' has no version, and the newest one may "
        "change at any time. Add its number from the model's page, as in "
        "kaggle:google/nnlm/tensorFlow2/en-dim128/1."
    )


@pytest.mark.parametrize("framework", ["tfLite", "pyTorch", "tfJs", "jax", "transformers"])
def test_a_kaggle_model_of_another_framework_is_refused(framework: str) -> None:
    assert refused(f"kaggle:google/nnlm/{framework}/en-dim128/1") == (
        f"SOURCE 'kaggle:google/nnlm/{framework}/en-dim128/1' is made for '{framework}'. The "
        f"framework must be TensorFlow1, TensorFlow2 or Keras: choose such a variation on the "
        f"model's page."
    )


COMMIT = "0123456789" * 4


@pytest.mark.parametrize(
    ("text", "repository", "revision"),
    [
        ("BAAI/bge-small-en-v1.5", "BAAI/bge-small-en-v1.5", "main"),
        (f"team/tickets@{COMMIT}", "team/tickets", COMMIT),
        ("hf:team/tickets", "team/tickets", "main"),
        ("hf:team/tickets@refs/pr/1", "team/tickets", "refs/pr/1"),
        ("https://huggingface.co/team/tickets", "team/tickets", "main"),
        (f"https://huggingface.co/team/tickets/tree/{COMMIT}/", "team/tickets", COMMIT),
    ],
)
def test_all_forms_of_a_hugging_face_id_are_one(text: str, repository: str, revision: str) -> None:
    assert resolve(text, {}) == HuggingFace(repository, revision=revision)


def test_a_folder_comes_before_a_hugging_face_id_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "team" / "tickets"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b"not looked into yet")
    assert resolve("team/tickets", {}) == Local(folder)
    assert resolve("hf:team/tickets", {}) == HuggingFace("team/tickets")
    assert "there is no such file or folder" in refused("team/ticket")


@pytest.mark.parametrize("text", ["hf:", "hf:tickets", "hf:../tickets", "hf:a/b/c", "hf:a/b@"])
def test_what_is_not_a_hugging_face_id_is_told_how_one_looks(text: str) -> None:
    assert refused(text) == (
        f"SOURCE '{text}' is not a Hugging Face id. It must be hf:<owner>/<model>[@<revision>]."
    )


@pytest.mark.parametrize(
    "text", ["models/tickets.tar.gz", "models/tickets.keras", "./a/b", "a/../b"]
)
def test_a_path_that_is_not_there_is_not_a_hugging_face_id(text: str) -> None:
    assert "and there is no such file or folder. " in refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "kaggle:",
        "kaggle:google/nnlm",
        "kaggle:google/../tensorFlow2/en-dim128/1",
        "kaggle:google/nnlm/tensorFlow2/en-dim128/one",
        "https://www.kaggle.com/models/google/nnlm",
        "https://www.kaggle.com/datasets/google/nnlm/keras/a/1/2",
    ],
)
def test_what_is_no_kaggle_model_is_told_how_one_looks(text: str) -> None:
    assert refused(text) == (
        f"SOURCE '{text}' is not a Kaggle model. It must be "
        f"kaggle:<owner>/<model>/<framework>/<variation>/<version>, or the address "
        f"https://www.kaggle.com/models/<owner>/<model>/<framework>/<variation>/<version>."
    )


@pytest.mark.parametrize("path", ["nnlm", "nnlm/jax/en-dim128/1", "nnlm/keras/en-dim128"])
def test_a_kaggle_address_is_shown_without_its_password(path: str) -> None:
    said = refused(f"https://user:hunter2@www.kaggle.com/models/google/{path}")
    assert said.startswith(f"SOURCE 'https://www.kaggle.com/models/google/{path}' ")
    assert "hunter2" not in said


def test_what_is_not_there_is_told_where_the_names_are() -> None:
    assert refused("minilmm") == (
        "SOURCE 'minilmm' is not in the catalogue, and there is no such file or folder. Give a "
        "name that --list shows, the path of a model or an artifact, or an id or address as --help "
        "shows them."
    )


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path) == (
        f"SOURCE '{tmp_path}' is a folder with neither saved_model.pb nor config.json. {ALLOWED}"
    )


@pytest.mark.parametrize("name", ["model.pkl", "model.onnx", "saved_model.pb"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert refused(tmp_path / name) == (
        f"SOURCE '{tmp_path / name}' is a file of a format that cannot be staged. {ALLOWED}"
    )


def test_what_is_no_preprocessor_is_told_what_is_allowed_for_one(
    tiny: makers.Artifact, tmp_path: Path
) -> None:
    allowed = (
        "It must be a SavedModel that turns texts into the model's inputs: a Kaggle model "
        "(kaggle:<owner>/<model>/<framework>/<variation>/<version>), a TF-Hub handle "
        "(https://tfhub.dev/<publisher>/<model>/<version>), the address of a .tar.gz, .tgz, .tar "
        "or .zip, such an archive on this machine, or the folder of a SavedModel."
    )
    for text, said in [
        ("../m/nosuch", "'../m/nosuch' is not the path of a file or a folder."),
        ("owner/model", "'owner/model' is not a SavedModel."),
        (str(tmp_path), f"'{tmp_path}' is a folder with neither saved_model.pb nor config.json."),
        (
            "ftp://models.example/m.zip",
            "'ftp://models.example/m.zip' is not an address of http or ",
        ),
        (str(tiny.path), f"'{tiny.path}' is not a SavedModel."),
    ]:
        with pytest.raises(StagingError) as error:
            resolve_preprocessor(text)
        assert str(error.value).startswith(f"--preprocessor {said}")
        assert str(error.value).endswith(f". {allowed}")


def test_an_old_keras_file_is_to_be_saved_anew(tmp_path: Path) -> None:
    (tmp_path / "old.h5").write_bytes(b"\x89HDF")
    assert refused(tmp_path / "old.h5").endswith(" save it as .keras.")
