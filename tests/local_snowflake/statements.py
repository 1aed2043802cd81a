"""A parser for statements that fakesnow and sqlglot do not know.

reader = Reader(sql)
if reader.take("drop", "stage"):
    exists = reader.take("if", "exists")
    name = reader.name()
    reader.end()
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NoReturn

from local_snowflake.errors import compilation_error

TOKEN = re.compile(
    r"""
      (?P<blank>\s+|--[^\n]*|//[^\n]*|/\*.*?\*/)
    | (?P<string>'(?:[^'\\]|\\.|'')*')
    | (?P<dollar>\$\$.*?\$\$)
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<location>@(?:"(?:[^"]|"")*"|[^\s;'"(),])+)
    | (?P<url>file://[^\s;]+)
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
PLAIN = re.compile(r"[A-Z_][A-Z0-9_$]*")
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "0": "\0"}


@dataclass(frozen=True)
class Token:
    """One piece of a statement.

    Attributes:
        kind: string, dollar, quoted, location, url, number, word or sign.
        text: as it was written.
        start: where it begins in the statement.
    """

    kind: str
    text: str
    start: int


def tokens(sql: str) -> Iterator[Token]:
    """Yield the tokens of a statement, without comments and white space."""
    for match in TOKEN.finditer(sql):
        if match.lastgroup and match.lastgroup != "blank":
            yield Token(match.lastgroup, match[0], match.start())


def first_words(sql: str, count: int = 6) -> list[str]:
    """Return the start of a statement in lower case; cheap for long statements too."""
    return [token.text.lower() for token in islice(tokens(sql), count)]


def unquoted(text: str) -> str:
    """Return an identifier's name: folded to upper case unless quoted."""
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.upper()


def identifier(name: str) -> str:
    """Return a name as Snowflake writes it, in double quotes if it needs them."""
    return name if PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def qualified(name: tuple[str, ...]) -> str:
    """Return a qualified name as Snowflake writes it."""
    return ".".join(identifier(part) for part in name)


def duck(*name: str) -> str:
    """Return a qualified name for DuckDB."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name)


def literal(value: str) -> str:
    """Return a string literal for DuckDB."""
    return "'" + value.replace("'", "''") + "'"


def unescaped(text: str) -> str:
    r"""Return the value of a string constant in single quotes: `''`, `\'`, `\\`, `\n`."""
    return re.sub(
        r"''|\\(.)",
        lambda found: "'" if found[0] == "''" else ESCAPES.get(found[1], found[1]),
        text[1:-1],
        flags=re.DOTALL,
    )


def like_matches(pattern: str, name: str) -> bool:
    """Whether a name matches a LIKE pattern of SHOW, ignoring case."""
    parts = re.split(r"(\\?[%_])", pattern)
    wild = {"%": ".*", "_": "."}
    regex = "".join(wild.get(part) or re.escape(part.removeprefix("\\")) for part in parts)
    return bool(re.fullmatch(regex, name, re.IGNORECASE | re.DOTALL))


class Reader:
    """Reads one statement from left to right."""

    def __init__(self, sql: str, most: int | None = None) -> None:
        """Read a statement, or only its first tokens."""
        self.sql = sql
        self._tokens = list(islice(tokens(sql), most))
        self._place = 0

    def peek(self, ahead: int = 0) -> Token | None:
        """Return an unread token."""
        place = self._place + ahead
        return self._tokens[place] if place < len(self._tokens) else None

    def next(self) -> Token:
        """Read the next token."""
        token = self.peek()
        if token is None:
            self.fail()
        self._place += 1
        return token

    def take(self, *words: str) -> bool:
        """Read these words or signs if they come next."""
        for ahead, word in enumerate(words):
            token = self.peek(ahead)
            if token is None or token.kind not in ("word", "sign") or token.text.lower() != word:
                return False
        self._place += len(words)
        return True

    def take_any(self, *words: str) -> str | None:
        """Read one of these words if it comes next, and return it."""
        return next((word for word in words if self.take(word)), None)

    def expect(self, *words: str) -> None:
        """Read these words or signs."""
        for word in words:
            if not self.take(word):
                self.fail()

    def name(self) -> tuple[str, ...]:
        """Read an identifier, or several separated by dots."""
        parts = [self._identifier()]
        while self.take("."):
            parts.append(self._identifier())
        return tuple(parts)

    def string(self) -> str:
        """Read a string constant."""
        token = self.next()
        if token.kind == "string":
            return unescaped(token.text)
        if token.kind == "dollar":
            return token.text[2:-2]
        self.fail(token)

    def location(self) -> str:
        """Read a stage location, with or without single quotes."""
        token = self.next()
        if token.kind == "location":
            return token.text
        if token.kind == "string" and unescaped(token.text).startswith("@"):
            return unescaped(token.text)
        self.fail(token)

    def at_end(self) -> bool:
        """Whether nothing follows but semicolons."""
        return all(token.text == ";" for token in self._tokens[self._place :])

    def end(self) -> None:
        """Refuse anything that follows."""
        while self.take(";"):
            pass
        if self.peek():
            self.fail()

    def _identifier(self) -> str:
        token = self.next()
        if token.kind not in ("word", "quoted") or token.text == '""':
            self.fail(token)
        return unquoted(token.text)

    def fail(self, token: Token | None = None) -> NoReturn:
        """Raise Snowflake's syntax error for a token, or for the one that comes next."""
        token = token or self.peek()
        start = token.start if token else len(self.sql)
        line = self.sql.count("\n", 0, start) + 1
        position = start - (self.sql.rfind("\n", 0, start) + 1)
        unexpected = token.text if token else "<EOF>"
        raise compilation_error(
            f"syntax error line {line} at position {position} unexpected '{unexpected}'."
        )
