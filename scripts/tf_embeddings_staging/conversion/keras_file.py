"""Keras 3's .keras files: looked through before Keras touches them, then saved as a SavedModel.

A .keras file is a zip of config.json, metadata.json, model.weights.h5 and assets/. Keras makes the
objects that config.json names, so what it may name is a list here: layers and what belongs to them.
Keras's own safe mode is on too, but it was bypassed before, by functions of keras.utils that
download and by vocabularies that are paths: CVE-2025-1550, CVE-2025-8747, CVE-2025-12058.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError

CONVERTER = 1
"""The number of the export: raise it when the same file gives different vectors."""

_CONFIG = "config.json"
_METADATA = "metadata.json"
_WEIGHTS = "model.weights.h5"
_ASSETS = "assets/"

_CHUNK = 2**20
_MOST_BYTES = 8 * 2**30
_MOST_CONFIG = 64 * 2**20
_MOST_FILES = 10_000
# Keras stores the files as they are; deflated weights shrink by a tenth.
_MOST_RATIO = 100
_LEAST_BYTES = 64 * 2**20  # what is harmless, whatever its ratio

_HDF5 = b"\x89HDF\r\n\x1a\n"

# Of `keras` and of `keras.src`.
_MODULES = frozenset(
    (
        *("activations", "constraints", "dtype_policies", "initializers", "layers", "losses"),
        *("metrics", "models", "ops", "optimizers", "quantizers", "random", "regularizers"),
    )
)
_OF_KERAS = frozenset(("DTypePolicy", "Functional", "Model", "Sequential"))
_VALUES = frozenset(
    ("__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__")
)
# These run what is not in the file's graph: Python, pickled modules, other models.
_REFUSED = frozenset(("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"))
# A string in their place is a path, which Keras would read.
_PATHS = ("idf_weights", "vocabulary")


def content_digests(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a .keras file that the vectors depend on, by name.

    metadata.json holds the date, so it does not count.

    Raises:
        StagingError: it is not a .keras file, or holds files that do not belong in one.
    """
    with _opened(path) as archive:
        return {
            name: _sha256(archive, name)
            for name in sorted(archive.namelist())
            if name != _METADATA and not name.endswith("/")
        }


def check(path: Path) -> None:
    """Look through a .keras file; nothing in it is run or unpacked.

    Raises:
        StagingError: it is not a .keras file, is damaged, or holds what is not allowed.
    """
    with _opened(path) as archive:
        try:
            config = json.loads(archive.read(_CONFIG))
        except (ValueError, RecursionError) as error:
            raise _refused(path, f"its '{_CONFIG}' is not JSON ({error})") from None
        if not isinstance(config, dict):
            raise _refused(path, f"its '{_CONFIG}' is not a JSON object")
        # What a model was trained with is not loaded.
        for one in _objects({**config, "compile_config": None}):
            if why := _objection(one):
                raise _refused(path, why)


def convert_keras_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: export a checked .keras `file` to the SavedModel `target`."""
    path, target = Path(request["file"]), Path(request["target"])
    check(path)
    _require_plain_weights(path)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    try:
        model: Any = keras.saving.load_model(path, safe_mode=True, compile=False)
    except (TypeError, ValueError, KeyError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        raise _refused(path, f"Keras {keras.__version__} cannot load it ({first[:300]})") from error
    _list_in_order(model)
    model.export(str(target), format="tf_saved_model", verbose=False)
    return {}


def _list_in_order(model: Any) -> None:  # noqa: ANN401 - Keras types it as Any or None
    """Have Keras list the variables that a graph uses in the model's own order.

    It takes them from a set of TensorFlow's, in the order of their addresses in memory, so one file
    would give one SavedModel today and another one tomorrow: another build. Nothing else is done in
    this process. Where Keras has moved its function, it is left as it is.
    """
    try:
        archive: Any = import_module("keras.src.export.saved_model_export_archive")
        listed = archive._list_variables_used_by_fns
    except (ImportError, AttributeError):
        return
    places = {id(variable.value): place for place, variable in enumerate(model.variables)}

    def in_order(functions: Any) -> tuple[list[Any], ...]:  # noqa: ANN401
        return tuple(
            sorted(variables, key=lambda one: places.get(id(one), len(places)))
            for variables in listed(functions)
        )

    archive._list_variables_used_by_fns = in_order


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a .keras file whose names and sizes are what they must be."""
    with path.open("rb") as file:
        if file.read(len(_HDF5)) == _HDF5:
            raise StagingError(
                f"'{path.name}' is an HDF5 file, which Keras wrote before version 3. Load it with "
                f"the Keras that wrote it, and save it as a SavedModel with model.export."
            )
    try:
        with zipfile.ZipFile(path) as archive:
            _require_names(path, archive)
            _require_sizes(path, archive)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        raise _refused(path, "it is cut short, or not a .keras file") from None


def _require_names(path: Path, archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    if len(names) > _MOST_FILES:
        raise _refused(path, f"it holds {len(names)} files, more than {_MOST_FILES}")
    if len(set(names)) < len(names):
        raise _refused(path, "it holds a file twice")
    for name in names:
        parts = name.removesuffix("/").split("/")
        is_asset = (
            name.startswith(_ASSETS) and not {"", ".", ".."} & set(parts) and "\\" not in name
        )
        if not is_asset and name not in (_CONFIG, _METADATA, _WEIGHTS, _ASSETS):
            raise _refused(path, f"it holds '{name}', which does not belong in a .keras file")
    for name in (_CONFIG, _WEIGHTS):
        if name not in names:
            raise _refused(path, f"it lacks '{name}'")


def _require_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if any(entry.flag_bits & 1 for entry in entries):
        raise _refused(path, "it is encrypted")
    total = sum(entry.file_size for entry in entries)
    packed = path.stat().st_size
    if total > _MOST_BYTES or (total > _LEAST_BYTES and total > _MOST_RATIO * packed):
        raise _refused(path, f"its {packed:,} bytes would unpack to {total:,}")
    if archive.getinfo(_CONFIG).file_size > _MOST_CONFIG:
        raise _refused(path, f"its '{_CONFIG}' is larger than {_MOST_CONFIG / 2**20:.0f} MiB")


def _sha256(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with archive.open(name) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield every JSON object in a value, in its order; without recursion, however deep."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += reversed(one.values())
        elif isinstance(one, list):
            waiting += reversed(one)


def _objection(fields: Mapping[str, Any]) -> str | None:
    """Return why an object of config.json is not allowed, or None."""
    for name in _PATHS:
        if isinstance(fields.get(name), str):
            return (
                f"its '{_CONFIG}' takes {name} from the file '{fields[name]}' of whoever saved it; "
                f"adapt the layer, or give it the words themselves"
            )
    if "class_name" not in fields and "module" not in fields:
        return None
    module, class_name = fields.get("module"), fields.get("class_name")
    # A function of a module is named by its `config`, and a layer's class is one, too.
    named = fields.get("config") if class_name == "function" else class_name
    if isinstance(named, str) and (named in _REFUSED or named == "__lambda__"):
        return (
            f"it has a {named}, which runs code that is not in the model's graph; write it "
            f"with Keras's own layers and operations"
        )
    registered = fields.get("registered_name")
    is_plain_name = registered in (None, class_name, fields.get("config"))
    if is_plain_name and _is_kerass_own(module, class_name):
        return None
    named = f"{module}.{class_name}" if module else class_name
    custom = f", registered as '{registered}'" if not is_plain_name else ""
    return (
        f"its '{_CONFIG}' names {named}{custom}; only Keras's own layers and operations are "
        f"loaded. Save a custom model with model.export, and stage its folder"
    )


def _is_kerass_own(module: object, class_name: object) -> bool:
    if module is None:
        return class_name in _VALUES
    if module == "builtins":
        return class_name == "function"  # of Keras's activations, losses and the like, by name
    if module == "keras":
        return class_name in _OF_KERAS
    parts = str(module).split(".")
    within = parts[2:] if parts[:2] == ["keras", "src"] else parts[1:]
    return parts[0] == "keras" and bool(within) and within[0] in _MODULES


def _require_plain_weights(path: Path) -> None:
    """Refuse weights that are elsewhere, for HDF5 can link to any file, or nowhere."""
    import h5py

    with _opened(path) as archive, archive.open(_WEIGHTS) as file:
        try:
            with h5py.File(file, "r") as weights:
                why = _objection_to_weights(weights, archive.getinfo(_WEIGHTS).file_size)
        except OSError as error:
            raise _refused(path, f"its '{_WEIGHTS}' is not an HDF5 file ({error})") from None
    if why is not None:
        raise _refused(path, f"its '{_WEIGHTS}' {why}")


def _objection_to_weights(weights: Any, size: int) -> str | None:  # noqa: ANN401 - h5py ships no types
    """Return why weights in a file of `size` bytes are not allowed, or None."""
    import h5py

    waiting, seen, total = [weights], set(), 0
    while waiting:
        group = waiting.pop()
        place = h5py.h5o.get_info(group.id).addr  # pyright: ignore[reportAttributeAccessIssue]
        if place in seen:  # a group may hold itself
            continue
        seen.add(place)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                return f"takes '{group.name}/{name}' from another file"
            one = group[name]
            if isinstance(one, h5py.Group):
                waiting.append(one)
                continue
            if not isinstance(one, h5py.Dataset):
                return f"holds '{group.name}/{name}', which is neither a group nor numbers"
            if one.external or one.is_virtual:
                return f"takes '{one.name}' from another file"
            # Keras does not compress; what has never been written to takes no room in the file.
            total += math.prod(one.shape or ()) * one.dtype.itemsize
            if total > max(size, _LEAST_BYTES):
                return f"has {size:,} bytes, and declares numbers of {total:,}"
    return None


def _refused(path: Path, why: str) -> StagingError:
    return StagingError(f"the Keras file '{path.name}' cannot be staged: {why}.")
