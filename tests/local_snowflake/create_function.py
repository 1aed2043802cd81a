"""CREATE FUNCTION … LANGUAGE PYTHON, read strictly from its text.

What stands before the first property has an order, and NULL handling and volatility belong there.
The properties (`name = value`) follow in any order, each once, as the examples of the page have
them.

See https://docs.snowflake.com/en/sql-reference/sql/create-function
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from local_snowflake.errors import compilation_error
from local_snowflake.statements import Reader, Token, first_words, unescaped

MOST_BODY_BYTES = 1024 * 1024
RUNTIMES = ("3.10", "3.11", "3.12", "3.13", "3.14")
GONE_RUNTIMES = ("3.8", "3.9")
PYPI_ONLY_RUNTIMES = ("3.14",)

_TEMPORARY = ("temp", "temporary")
_BEFORE_FUNCTION = ("secure", "aggregate")
_NOT_HERE = ("external_access_integrations", "secrets")
ARCHITECTURES = ("x86", "arm64")
_KINDS = {
    "varchar": "string text char character nvarchar nchar",
    "number": "numeric decimal int integer bigint smallint tinyint byteint",
    "float": "float4 float8 double real",
    "boolean": "bool",
    "object": "",
    "array": "",
    "variant": "",
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in (kind, *names.split())}


@dataclass(frozen=True)
class SqlType:
    """A type of an argument or a result.

    Attributes:
        kind: varchar, number, float, boolean, object, array or variant.
        scale: of a number.
    """

    kind: str
    scale: int = 0

    @property
    def name(self) -> str:
        """The name that Snowflake shows."""
        return self.kind.upper()

    @property
    def full_name(self) -> str:
        """The name with its length or precision."""
        sizes = {"varchar": "(16777216)", "number": f"(38,{self.scale})"}
        return f"{self.name}{sizes.get(self.kind, '')}"

    @property
    def duck(self) -> str:
        """DuckDB's type for it."""
        number = f"DECIMAL(38,{self.scale})" if self.scale else "BIGINT"
        return {"number": number, "float": "DOUBLE", "boolean": "BOOLEAN"}.get(self.kind, "VARCHAR")

    @property
    def is_json(self) -> bool:
        """Whether its values are JSON."""
        return self.kind in {"object", "array", "variant"}


@dataclass(frozen=True)
class CreateFunction:
    """What a statement asks for.

    Attributes:
        name: its parts, folded; one to three.
        parameters: name and type.
        body: the code between the dollars or quotes; None where the handler is in an import.
        repository: the parts of ARTIFACT_REPOSITORY, folded; None where there is none.
        architecture: of RESOURCE_CONSTRAINT; None where there is none.
    """

    name: tuple[str, ...]
    replace: bool
    is_temporary: bool
    if_not_exists: bool
    copy_grants: bool
    parameters: tuple[tuple[str, SqlType], ...]
    returns: SqlType
    is_nullable: bool
    is_strict: bool
    is_immutable: bool
    runtime_version: str
    handler: str
    imports: tuple[str, ...]
    packages: tuple[str, ...]
    repository: tuple[str, ...] | None
    comment: str
    architecture: str | None
    body: str | None


def is_create_function(sql: str) -> bool:
    """Whether a statement is a CREATE FUNCTION, in any language."""
    words = first_words(sql, 8)
    if words[:1] != ["create"] or "function" not in words:
        return False
    before = words[1 : words.index("function")]
    return set(before) <= {"or", "replace", *_TEMPORARY, *_BEFORE_FUNCTION}


def parse(sql: str) -> CreateFunction:
    """Parse a statement, or raise Snowflake's error."""
    read = Reader(sql)
    read.expect("create")
    replace = read.take("or", "replace")
    is_temporary = bool(read.take_any(*_TEMPORARY))
    while not read.take("function"):
        if word := read.take_any(*_BEFORE_FUNCTION):
            _unsupported(f"CREATE {word.upper()} FUNCTION")
        read.fail()
    if_not_exists = read.take("if", "not", "exists")
    if replace and if_not_exists:
        raise compilation_error("options IF NOT EXISTS and OR REPLACE are incompatible.", 1422)
    name = read.name()
    parameters = _parameters(read)
    copy_grants = read.take("copy", "grants")
    read.expect("returns")
    if read.take("table"):
        _unsupported("RETURNS TABLE")
    returns = read_type(read)
    is_nullable = not read.take("not", "null")
    read.take("null")
    read.expect("language")
    if not read.take("python"):
        _unsupported(f"LANGUAGE {read.next().text.upper()}")
    is_strict = _is_strict(read)
    is_immutable = read.take_any("volatile", "immutable") == "immutable"
    properties = _Properties(read)
    return CreateFunction(
        name=name,
        replace=replace,
        is_temporary=is_temporary,
        if_not_exists=if_not_exists,
        copy_grants=copy_grants,
        parameters=parameters,
        returns=returns,
        is_nullable=is_nullable,
        is_strict=is_strict,
        is_immutable=is_immutable,
        runtime_version=_runtime(properties),
        handler=_handler(properties),
        imports=properties.imports,
        packages=properties.packages,
        repository=properties.repository,
        comment=properties.comment,
        architecture=properties.architecture,
        body=_body(read),
    )


def read_type(read: Reader) -> SqlType:
    """Read a type.

    See https://docs.snowflake.com/en/sql-reference/intro-summary-data-types
    """
    token = read.next()
    word = token.text.lower()
    if token.kind != "word":
        read.fail(token)
    if word not in _KIND_OF:
        raise compilation_error(f"Unsupported data type '{token.text.upper()}'.", 2040, "22023")
    if word == "double":
        read.take("precision")
    kind = _KIND_OF[word]
    sizes = []
    if kind in {"varchar", "number"} and read.take("("):
        sizes.append(_whole(read))
        if kind == "number" and read.take(","):
            sizes.append(_whole(read))
        read.expect(")")
    return SqlType(kind, sizes[1] if len(sizes) == 2 else 0)


def _whole(read: Reader) -> int:
    token = read.next()
    if token.kind != "number" or "." in token.text:
        read.fail(token)
    return int(token.text)


def _parameters(read: Reader) -> tuple[tuple[str, SqlType], ...]:
    read.expect("(")
    found: list[tuple[str, SqlType]] = []
    if read.take(")"):
        return ()
    while True:
        name = read.name()
        if len(name) != 1:
            read.fail()
        found.append((name[0], read_type(read)))
        if read.take("default"):
            _unsupported("an argument's DEFAULT")
        if read.take(")"):
            break
        read.expect(",")
    names = [name for name, _ in found]
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise compilation_error(f"duplicate argument name '{min(duplicates)}'.", 2025)
    return tuple(found)


def _is_strict(read: Reader) -> bool:
    if read.take("strict") or read.take("returns", "null", "on", "null", "input"):
        return True
    read.take("called", "on", "null", "input")
    return False


class _Properties:
    """The clauses of the form `name = value`."""

    def __init__(self, read: Reader) -> None:
        self.runtime_version: str | None = None
        self.handler: str | None = None
        self.imports: tuple[str, ...] = ()
        self.packages: tuple[str, ...] = ()
        self.repository: tuple[str, ...] | None = None
        self.comment = ""
        self.architecture: str | None = None
        seen: set[str] = set()
        while (token := read.peek()) and token.text.lower() not in {"as", ";"}:
            word = token.text.lower()
            if word in _NOT_HERE:
                _unsupported(word.upper())
            if token.kind != "word" or word not in _READERS:
                read.fail(token)
            if word in seen:
                raise compilation_error(f"duplicate property '{word.upper()}'.", 1431)
            seen.add(word)
            read.next()
            read.expect("=")
            attribute, get = _READERS[word]
            setattr(self, attribute, get(read))


def _version(read: Reader) -> str:
    token = read.next()
    if token.kind not in {"string", "number"}:
        read.fail(token)
    return unescaped(token.text) if token.kind == "string" else token.text


def _text(read: Reader) -> str:
    return _string(read, read.next())


def _string(read: Reader, token: Token) -> str:
    if token.kind != "string":
        read.fail(token)
    return unescaped(token.text)


def _texts(read: Reader) -> tuple[str, ...]:
    read.expect("(")
    if read.take(")"):
        return ()
    found = [_text(read)]
    while read.take(","):
        found.append(_text(read))
    read.expect(")")
    return tuple(found)


def _architecture(read: Reader) -> str:
    """Read `(architecture = 'x86')`: the machines that the function may run on.

    See https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-packages
    """
    read.expect("(", "architecture", "=")
    token = read.next()
    architecture = _string(read, token)
    if architecture.lower() not in ARCHITECTURES:
        read.fail(token)
    read.expect(")")
    return architecture.lower()


_READERS = {
    "runtime_version": ("runtime_version", _version),
    "handler": ("handler", _text),
    "imports": ("imports", _texts),
    "packages": ("packages", _texts),
    "artifact_repository": ("repository", Reader.name),
    "comment": ("comment", _text),
    "resource_constraint": ("architecture", _architecture),
}


def _runtime(properties: _Properties) -> str:
    """Return the Python version if functions can still be created with it.

    See https://docs.snowflake.com/en/developer-guide/python-runtime-support-policy
    """
    version = properties.runtime_version
    if version is None:
        raise compilation_error("Missing option(s): [RUNTIME_VERSION]", 1429, "42601")
    if version in GONE_RUNTIMES:
        raise compilation_error(
            f"Python runtime version {version} is decommissioned: no functions can be created "
            f"with it. Use one of {', '.join(RUNTIMES[1:])}.",
            391569,
            "42601",
        )
    if version not in RUNTIMES:
        raise compilation_error(
            f"Unsupported Python runtime version '{version}'. The supported versions are "
            f"{', '.join(RUNTIMES)}.",
            391511,
            "42601",
        )
    return version


def _handler(properties: _Properties) -> str:
    if not properties.handler:
        raise compilation_error("Missing option(s): [HANDLER]", 1429, "42601")
    return properties.handler


def _body(read: Reader) -> str | None:
    """Read the code: between `$$`, so that there is none inside, or in single quotes.

    See https://docs.snowflake.com/en/developer-guide/udf/udf-stored-procedure-naming-conventions
    """
    body = None
    if read.take("as"):
        token = read.next()
        body = token.text[2:-2] if token.kind == "dollar" else _string(read, token)
        if len(body.encode()) > MOST_BODY_BYTES:
            raise compilation_error(
                f"The function's code has {len(body.encode())} bytes; it may have "
                f"{MOST_BODY_BYTES} (1 MB).",
                391501,
            )
    read.end()
    return body


def _unsupported(what: str) -> NoReturn:
    raise compilation_error(f"{what} is not supported by the local Snowflake.", 2, "0A000")
