"""The models that are known by name; catalogue.yml describes its own fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import chain, zip_longest
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, PlainValidator, Strict
from tf_embeddings_project import NotYamlError, read_yaml

from tf_embeddings_staging.errors import SourceError, StagingError
from tf_embeddings_staging.fetching.fetch import Errand, Fetched, Source
from tf_embeddings_staging.fetching.kept import require_digests
from tf_embeddings_staging.fields import (
    Count,
    Flag,
    InnerPath,
    Number,
    Percent,
    Positive,
    Sha256,
    Text,
    Texts,
    WrongFieldError,
    a_map,
    read,
    within,
)
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.sources import SOURCES

Kind = Literal["pairs", "sentencepiece", "static", "text", "tokens"]
KINDS: tuple[str, ...] = get_args(Kind)
UNLIMITED = "unlimited"
TokenLimit = Annotated[
    Count | Literal["unlimited"],
    Field(description=f"a whole number from 1, or {UNLIMITED}"),
]
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class KnownVector:
    """The first numbers of a text's vector, to be met within `tolerance`; who published them."""

    text: Text
    first: Annotated[tuple[Number, ...], Field(min_length=1, description="a list of numbers")]
    tolerance: Positive
    source: Text


@dataclass(frozen=True)
class KnownTokens:
    """The token ids of a text, to be met exactly, and who published them."""

    text: Text
    ids: Annotated[
        tuple[Annotated[int, Strict(), Field(ge=0)], ...],
        Field(description="a list of whole numbers"),
    ]
    source: Text


@dataclass(frozen=True)
class KnownOrdering:
    """Groups of texts that mean something alike: their cosines are higher inside than between.

    `closest`, if there is one, is the pair of texts with the highest cosine of all.
    """

    groups: Annotated[
        tuple[Annotated[tuple[Text, ...], Field(min_length=2)], ...],
        Field(min_length=2, description="a list of at least two lists of at least two texts"),
    ]
    closest: Annotated[tuple[Text, Text] | None, Field(description="a list of two texts")]
    source: Text


@dataclass(frozen=True)
class Known:
    """What is published of a model's outputs.

    `cosines`: (text, text, cosine), and `scores`: (query, text, score), which `source` published,
    to be met within `tolerance`.
    """

    source: Text | None = None
    tolerance: Positive | None = None
    cosines: Annotated[
        tuple[tuple[Text, Text, Number], ...], Field(description="a list of [text, text, cosine]")
    ] = ()
    scores: Annotated[
        tuple[tuple[Text, Text, Number], ...], Field(description="a list of [query, text, score]")
    ] = ()
    vectors: Annotated[
        tuple[Annotated[KnownVector, a_map("vectors", KnownVector)], ...],
        Field(description="a list of maps"),
    ] = ()
    token_ids: Annotated[
        tuple[Annotated[KnownTokens, a_map("token_ids", KnownTokens)], ...],
        Field(description="a list of maps"),
    ] = ()
    ordering: Annotated[KnownOrdering, a_map("ordering", KnownOrdering)] | None = None


@dataclass(frozen=True)
class _Said:
    """What an entry may say under `options`: each field of `Options`."""

    kind: Kind | None = None
    signature: Text | None = None
    output: Text | None = None
    pooling: Literal["mean", "cls", "max", "mean_sqrt_len", "weightedmean", "lasttoken"] | None = (
        None
    )
    normalize: Flag | None = None
    max_tokens: Count | None = None
    truncate_dim: Count | None = None
    prefix: Annotated[str, Strict(), Field(description="a text")] | None = None
    preprocessor: Text | None = None
    allow_ops: Texts = ()
    static_rule: Literal["model2vec", "model2vec-0.9", "sentence-transformers"] | None = None
    engine: Literal["litert", "tensorflow"] | None = None


def _source(value: object) -> Source:
    """Return the source that a map with one key describes."""
    if isinstance(value, Source):
        return value
    kinds = {kind.key: kind for kind in SOURCES if kind.key}
    key, given = next(iter(value.items())) if isinstance(value, dict) and value else (None, None)
    if key not in kinds or len(value) != 1:  # pyright: ignore[reportArgumentType]
        raise WrongFieldError(
            f"has the source {value!r}, and it must be one of {', '.join(kinds)}, with its fields."
        )
    return within(key, lambda: read(kinds[key], given))


def _known(value: object) -> Known:
    """Return what is published; who published it is said once, or for each part."""
    if isinstance(value, Known):
        return value
    return within("known", lambda: _read_known(value))


def _read_known(value: object) -> Known:
    whole = {"source": value["source"]} if isinstance(value, dict) and "source" in value else {}

    def sourced(one: object) -> object:
        return {**whole, **one} if isinstance(one, dict) else one

    if isinstance(value, dict):
        parts: dict[str, object] = {
            name: [*map(sourced, value[name])]
            for name in ("vectors", "token_ids")
            if isinstance(value.get(name), list)
        }
        if isinstance(ordering := value.get("ordering"), dict):
            parts["ordering"] = sourced({"closest": None, **ordering})
        value = {**value, **parts}
    known = read(Known, value)
    for name in ("source", "tolerance"):
        if (known.cosines or known.scores) and getattr(known, name) is None:
            words = {"source": "a text", "tolerance": "a number above 0"}[name]
            raise WrongFieldError(f"lacks '{name}', {words}.")
    closest = known.ordering and known.ordering.closest
    if known.ordering and closest and not {*closest} <= {*chain(*known.ordering.groups)}:
        raise WrongFieldError(
            f"has closest: {[*closest]!r}, and it must be two texts of its groups.", ("ordering",)
        )
    return known


def _options(value: object) -> Options:
    if isinstance(value, Options):
        return value
    said = within("options", lambda: read(_Said, value))
    return Options(**{one.name: getattr(said, one.name) for one in fields(said)})


@dataclass(frozen=True, kw_only=True)
class Entry(Source):
    """One model of the catalogue.

    Attributes:
        megabytes: the size of its weights as float32, in 1,000,000 bytes.
        token_limit: the tokens of a text that it reads.
        speed: about how many texts it embeds in the time in which minilm embeds one.
        quality: nDCG@10 in percent on the 15 tasks of retrieval of MTEB English, as published.
        packages: the Python packages that it needs beyond those of its kind.
        options: what the command line would say of it otherwise.
        digests: the SHA-256 of its files, as far as they are known.
        verified: whether this project has run its real weights.
    """

    name: str = field()  # pyright: ignore[reportIncompatibleVariableOverride]
    about: Text
    kind: Kind = field()  # pyright: ignore[reportIncompatibleVariableOverride]
    dimensions: Count
    sources: Annotated[
        tuple[Annotated[Source, PlainValidator(_source)], ...],
        Field(min_length=1, description="a list of at least one source"),
    ]
    home: Text | None = None
    license: Text | None = None
    languages: Texts = ()
    megabytes: Count | None = None
    token_limit: TokenLimit | None = None
    speed: Positive | None = None
    quality: Percent | None = None
    packages: Texts = ()
    options: Annotated[Options, PlainValidator(_options)] = field(default_factory=Options)
    digests: Annotated[
        Mapping[InnerPath, Sha256],
        Field(description="a map from the model's files to their SHA-256"),
    ] = field(default_factory=dict)
    known: Annotated[Known, PlainValidator(_known)] | None = None
    verified: Flag = False

    @property
    def label(self) -> str:
        """Return its name."""
        return self.name

    def cached(self, errand: Errand) -> Fetched | None:
        """Return what an earlier run fetched from any of the sources; asks no network."""
        self._require_no_digest(errand)
        for source in self.sources:
            found = source.cached(errand)
            if found and self._is_whole(found):
                return self._named(found)
        return None

    def fetch(self, errand: Errand) -> Fetched:
        """Fetch the model from the first of its sources that gives it."""
        self._require_no_digest(errand)
        errand = replace(errand, digests=self.digests)
        reasons: list[str] = []
        for source, following in zip_longest(self.sources, self.sources[1:]):
            try:
                found = source.fetch(errand)
                require_digests(found.folder, self.digests)
                return self._named(found)
            except SourceError as error:
                # Its first sentence: the others say what to do where there is no other source.
                reasons.append(f"{source.label}: {str(error).partition('. ')[0]}")
                if following:
                    errand.report.say(f"{reasons[-1]}. Trying {following.label}.")
        raise StagingError(
            f"no source of '{self.name}' gave the model. {'. '.join(reasons)}. Check the network, "
            f"pip's configuration (pip config list) and HF_ENDPOINT, or what the catalogue says "
            f"of it, and run this again."
        )

    def _named(self, found: Fetched) -> Fetched:
        return replace(found, uri=self.home or f"catalogue:{self.name}")

    def _is_whole(self, found: Fetched) -> bool:
        try:
            require_digests(found.folder, self.digests)
        except SourceError:
            return False
        return True

    def _require_no_digest(self, errand: Errand) -> None:
        if errand.sha256:
            raise StagingError(
                f"--sha256 is for an archive, and '{self.name}' is a model of the catalogue, which "
                f"knows its own digests. Leave --sha256 out."
            )


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
        raw = read_yaml(path)
    except OSError as error:
        raise StagingError(f"the catalogue '{path}' cannot be read: {error.strerror}.") from None
    except NotYamlError as error:
        raise StagingError(f"the catalogue '{path}' is not YAML: {error.reason}.") from None
    if not isinstance(raw, dict):
        raise StagingError(
            f"the catalogue '{path}' must be a map from names to models; what each says is at the "
            f"top of the package's own catalogue.yml."
        )
    return {str(name): _entry(path, name, value) for name, value in raw.items()}


def _entry(file: Path, name: object, value: object) -> Entry:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StagingError(
            f"{file.name}: {name!r} is not a name: it starts with a letter a-z and has up to 40 "
            f"characters a-z, 0-9 and _."
        )
    try:
        entry = read(Entry, value, name=name)
    except WrongFieldError as error:
        where = ", ".join((f"{file.name}: '{name}'", *error.path))
        raise StagingError(f"{where}{',' if error.path else ''} {error.said}") from None
    return replace(entry, sources=tuple(one.beside(file.parent) for one in entry.sources))
