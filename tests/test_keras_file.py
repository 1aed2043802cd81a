"""Keras files: what is in them is looked at before Keras makes anything of it."""

from __future__ import annotations

import base64
import hashlib
import json
import marshal
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import encoder_makers
import makers
import numpy as np
import pytest
from inspecting import find
from tf_embeddings_staging import process
from tf_embeddings_staging.conversion import keras_file
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Options

TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .keras file as Keras saves it."""
    return encoder_makers.save_keras_file(tmp_path_factory.mktemp("keras")).path


def test_a_keras_file_becomes_a_saved_model_that_gives_its_vectors(tmp_path: Path) -> None:
    import tensorflow as tf

    made = encoder_makers.save_keras_file(tmp_path / "made")
    target = tmp_path / "exported"
    request = {"file": str(made.path), "target": str(target)}
    assert process.run("convert_keras", request, tmp_path) == {}

    found = find(target, Options())
    assert (found.kind, found.model_dimensions) == ("text", made.dimensions)
    function = tf.saved_model.load(str(target)).signatures[found.encoder["signature"]]
    texts = makers.CORPUS[:3]
    column = tf.constant([[text] for text in texts])
    vectors = function(**{found.encoder["input"]: column})[found.encoder["output"]]
    np.testing.assert_allclose(vectors, made.direct(texts), atol=TOLERANCE, rtol=0)


def test_a_functional_model_of_many_layers_is_converted(tmp_path: Path) -> None:
    import keras

    vectorize = keras.layers.TextVectorization(output_sequence_length=8)
    vectorize.adapt(makers.CORPUS)
    texts = keras.Input(shape=(1,), dtype="string", name="texts")
    states = keras.layers.Embedding(60, 6, mask_zero=True)(vectorize(texts))
    pooled = keras.ops.mean(states, axis=1)
    dense = keras.layers.Dense(6, activation="gelu", kernel_regularizer="l2")(pooled)
    recurrent = keras.layers.Bidirectional(keras.layers.LSTM(3))(states)
    model = keras.Model(texts, keras.layers.UnitNormalization()(dense + recurrent))
    model.compile(optimizer="adam", loss=lambda expected, came: came - expected)
    model.save(tmp_path / "m.keras")

    keras_file.convert_keras_task(
        {"file": str(tmp_path / "m.keras"), "target": str(tmp_path / "m")}
    )
    assert find(tmp_path / "m", Options()).model_dimensions == 6


def test_the_digests_are_of_the_content_and_not_of_the_date(plain: Path, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        files["metadata.json"] = b'{"keras_version": "3.15.0", "date_saved": "another day"}'

    digests = keras_file.content_digests(plain)
    assert keras_file.content_digests(changed(plain, tmp_path, change)) == digests
    with zipfile.ZipFile(plain) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    assert digests.keys() == content.keys() - {"metadata.json"}
    assert {"config.json", "model.weights.h5"} < digests.keys()
    assert all(
        digest == hashlib.sha256(content[name]).hexdigest() for name, digest in digests.items()
    )


def changed(
    plain: Path,
    folder: Path,
    change: Callable[[dict[str, bytes]], object],
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Write a .keras file again, with other files."""
    with zipfile.ZipFile(plain) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    path = folder / "changed.keras"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def with_layer(plain: Path, folder: Path, layer: Mapping[str, Any]) -> Path:
    """Put one more layer, as config.json describes it, at a .keras file's end."""

    def change(files: dict[str, bytes]) -> None:
        config = json.loads(files["config.json"])
        config["config"]["layers"].append(layer)
        files["config.json"] = json.dumps(config).encode()

    return changed(plain, folder, change)


def refusal(path: Path) -> str:
    """Return why the check, and so the conversion, refuses a file."""
    with pytest.raises(StagingError) as error:
        keras_file.check(path)
    with pytest.raises(StagingError) as again:
        keras_file.convert_keras_task({"file": str(path), "target": str(path.parent / "target")})
    assert str(again.value) == str(error.value)
    assert not (path.parent / "target").exists()
    start = f"the Keras file '{path.name}' cannot be staged: "
    assert str(error.value).startswith(start)
    return str(error.value).removeprefix(start)


ONLY = (
    "; only Keras's own layers and operations are loaded. Save a custom model with model.export, "
    "and stage its folder."
)


def evil() -> None:
    raise AssertionError


MARSHALLED = base64.b64encode(marshal.dumps(evil.__code__)).decode()
LAMBDA = {"class_name": "__lambda__", "config": {"value": [MARSHALLED, None, None]}}


@pytest.mark.parametrize("function", [LAMBDA, [MARSHALLED, None, None], "evil"])
def test_a_lambda_is_refused(plain: Path, tmp_path: Path, function: object) -> None:
    layer = {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"name": "evil", "function": function},
        "registered_name": None,
    }
    assert refusal(with_layer(plain, tmp_path, layer)) == (
        "it has a Lambda, which runs code that is not in the model's graph; write it with Keras's "
        "own layers and operations."
    )


def test_a_lambda_within_another_layer_is_refused(plain: Path, tmp_path: Path) -> None:
    layer = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"name": "dense", "units": 2, "activation": LAMBDA},
        "registered_name": None,
    }
    assert refusal(with_layer(plain, tmp_path, layer)).startswith("it has a __lambda__, which runs")


@pytest.mark.parametrize("name", ["TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"])
def test_a_layer_that_loads_something_else_is_refused(
    plain: Path, tmp_path: Path, name: str
) -> None:
    layer = {"module": "keras.layers", "class_name": name, "config": {}, "registered_name": None}
    assert refusal(with_layer(plain, tmp_path, layer)).startswith(f"it has a {name}, which runs")


@pytest.mark.parametrize("name", ["TFSMLayer", "Lambda"])
def test_such_a_layer_is_refused_where_it_is_named_as_a_function(
    plain: Path, tmp_path: Path, name: str
) -> None:
    layer = {"module": "keras.layers", "class_name": "function", "config": name}
    assert refusal(with_layer(plain, tmp_path, layer)).startswith(f"it has a {name}, which runs")


@pytest.mark.parametrize(
    ("module", "class_name", "config"),
    [
        ("os", "function", "system"),
        ("os", "system", {"command": "id"}),
        ("builtins", "eval", {"source": "1"}),
        ("posix", "function", "system"),
        ("keras.utils", "function", "get_file"),
        ("keras.src.utils.file_utils", "get_file", {"origin": "http://localhost"}),
        ("keras.saving", "function", "load_model"),
        ("keras.config", "function", "enable_unsafe_deserialization"),
        ("keras.models", "load_model", {"filepath": "secret"}),
        ("keras.callbacks", "CSVLogger", {"filename": "stolen"}),
        ("keras", "get_file", {}),
        ("kerasx.layers", "Dense", {}),
        ("keras.layers.os", "system", {}),
        (None, "Dense", {}),
        (None, "__typespec__", ["secret"]),
    ],
)
def test_what_is_no_layer_of_keras_is_refused(
    plain: Path, tmp_path: Path, module: str | None, class_name: str, config: object
) -> None:
    layer = {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": None,
    }
    with pytest.raises(StagingError) as error:
        path = with_layer(plain, tmp_path, layer)
        keras_file.convert_keras_task({"file": str(path), "target": str(tmp_path / "target")})
    assert "cannot be staged: " in str(error.value)


def test_a_foreign_module_is_named(plain: Path, tmp_path: Path) -> None:
    layer = {"module": "os", "class_name": "function", "config": "system"}
    assert (
        refusal(with_layer(plain, tmp_path, layer)) == f"its 'config.json' names os.function{ONLY}"
    )


def test_a_custom_layer_is_refused(plain: Path, tmp_path: Path) -> None:
    layer = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {},
        "registered_name": "mine>Dense",
    }
    assert refusal(with_layer(plain, tmp_path, layer)) == (
        f"its 'config.json' names keras.layers.Dense, registered as 'mine>Dense'{ONLY}"
    )


def test_a_vocabulary_that_is_a_path_is_refused(plain: Path, tmp_path: Path) -> None:
    layer = {
        "module": "keras.layers",
        "class_name": "StringLookup",
        "config": {"vocabulary": "/etc/passwd"},
        "registered_name": None,
    }
    assert refusal(with_layer(plain, tmp_path, layer)) == (
        "its 'config.json' takes vocabulary from the file '/etc/passwd' of whoever saved it; adapt "
        "the layer, or give it the words themselves."
    )


def test_what_a_model_was_trained_with_does_not_count(plain: Path, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        config = json.loads(files["config.json"])
        config["compile_config"] = {"loss": {"module": "mine", "class_name": "Loss", "config": {}}}
        files["config.json"] = json.dumps(config).encode()

    keras_file.check(changed(plain, tmp_path, change))


@pytest.mark.parametrize(
    "name",
    ["weights.pkl", "assets/../../evil", "/etc/evil", "assets\\\\..\\\\evil", "model.weights.npz"],
)
def test_files_that_no_keras_file_has_are_refused(plain: Path, tmp_path: Path, name: str) -> None:
    def change(files: dict[str, bytes]) -> None:
        files[name] = pickle.dumps(evil.__name__)

    assert refusal(changed(plain, tmp_path, change)) == (
        f"it holds '{name}', which does not belong in a .keras file."
    )


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_file_that_is_missing_is_named(plain: Path, tmp_path: Path, name: str) -> None:
    assert refusal(changed(plain, tmp_path, lambda files: files.pop(name))) == f"it lacks '{name}'."


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_twice_is_refused(plain: Path, tmp_path: Path) -> None:
    path = changed(plain, tmp_path, lambda files: None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", b"{}")
    assert refusal(path) == "it holds a file twice."


def test_a_zip_bomb_is_refused(plain: Path, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        files["assets/bomb"] = bytes(2**27)

    path = changed(plain, tmp_path, change, zipfile.ZIP_DEFLATED)
    said = refusal(path)
    assert said.startswith(f"its {path.stat().st_size:,} bytes would unpack to 134,")
    with pytest.raises(StagingError, match="would unpack to"):
        keras_file.content_digests(path)


def test_a_config_that_is_no_json_is_refused(plain: Path, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        files["config.json"] = b"[" * 100_000

    assert refusal(changed(plain, tmp_path, change)).startswith("its 'config.json' is not JSON (")


def test_a_file_that_is_cut_short_is_refused(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.keras"
    path.write_bytes(plain.read_bytes()[:-100])
    assert refusal(path) == "it is cut short, or not a .keras file."


def test_a_file_with_other_bytes_is_refused(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.keras"
    content = bytearray(plain.read_bytes())
    content[content.index(b'{"module"') + 20] ^= 1
    path.write_bytes(content)
    assert refusal(path) == "it is cut short, or not a .keras file."


def test_a_file_of_old_keras_says_what_to_do(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["weights"] = [1.0]
    with pytest.raises(StagingError) as error:
        keras_file.content_digests(tmp_path / "old.h5")
    assert str(error.value) == (
        "'old.h5' is an HDF5 file, which Keras wrote before version 3. Load it with the Keras that "
        "wrote it, and save it as a SavedModel with model.export."
    )


@pytest.mark.parametrize("how", ["link", "external data"])
def test_weights_that_are_in_another_file_are_refused(
    plain: Path, tmp_path: Path, how: str
) -> None:
    import h5py

    def change(files: dict[str, bytes]) -> None:
        weights = tmp_path / "weights.h5"
        with h5py.File(weights, "w") as file:
            file["a/itself"] = file.create_group("a/b")
            if how == "link":
                file["a/away"] = h5py.ExternalLink("/etc/secret.h5", "/")
            else:
                file.create_dataset("a/away", (4,), "u1", external=[("/etc/passwd", 0, 4)])
        files["model.weights.h5"] = weights.read_bytes()

    path = changed(plain, tmp_path, change)
    with pytest.raises(StagingError) as error:
        keras_file.convert_keras_task({"file": str(path), "target": str(tmp_path / "target")})
    assert str(error.value) == (
        "the Keras file 'changed.keras' cannot be staged: its 'model.weights.h5' takes '/a/away' "
        "from another file."
    )


def with_weights(plain: Path, folder: Path, write: Callable[[Any], object]) -> Path:
    """Give a .keras file other weights."""
    import h5py

    with h5py.File(folder / "weights.h5", "w") as file:
        write(file)
    content = (folder / "weights.h5").read_bytes()
    return changed(plain, folder, lambda files: files.update({"model.weights.h5": content}))


def conversion_refusal(path: Path) -> str:
    with pytest.raises(StagingError) as error:
        keras_file.convert_keras_task({"file": str(path), "target": str(path.parent / "target")})
    return str(error.value)


def test_weights_that_are_a_type_are_refused(plain: Path, tmp_path: Path) -> None:
    def write(file: Any) -> None:  # noqa: ANN401 - h5py ships no types
        file["layer/type"] = np.dtype("f8")

    assert conversion_refusal(with_weights(plain, tmp_path, write)) == (
        "the Keras file 'changed.keras' cannot be staged: its 'model.weights.h5' holds "
        "'/layer/type', which is neither a group nor numbers."
    )


def test_weights_that_declare_more_than_the_file_has_are_refused(
    plain: Path, tmp_path: Path
) -> None:
    def write(file: Any) -> None:  # noqa: ANN401 - h5py ships no types
        file.create_dataset("layer/vars/0", (2**40,), "f4")

    path = with_weights(plain, tmp_path, write)
    size = (tmp_path / "weights.h5").stat().st_size
    assert conversion_refusal(path) == (
        "the Keras file 'changed.keras' cannot be staged: its 'model.weights.h5' has "
        f"{size:,} bytes, and declares numbers of 4,398,046,511,104."
    )
