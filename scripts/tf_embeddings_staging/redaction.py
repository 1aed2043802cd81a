"""Takes secrets out of what dbt, the connector and downloads say."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# A presigned address is good for an upload, and the connector's errors hold it: whole, or from the
# path on, as urllib3 writes it. Quotes, blanks and brackets are always encoded in it.
# A token may be in the fragment too.
_SIGNATURE = re.compile(r"([?#])[^\s'\")]*=[^\s'\")]*")

# https://user:password@host, of a proxy too; a password may hold an @.
_USER = re.compile(r"(?<=://)[^\s/]+@")

_NOT_SHOWN = "(not shown: it may be secret; `dbt debug` shows it)"

# What dbt says with values or lines of the profile, and what is said instead; what it says without
# one is kept.
_PROFILE = {
    # 1.x: a value of the wrong type, whatever its key is: a password of digits, for one.
    re.compile(
        r"""(Credentials\ in\ profile\ ".*",\ target\ ".*"\ invalid:\ )
        (?!'\w+'\ is\ a\ required\ property|Runtime\ Error\n).*""",
        re.DOTALL | re.VERBOSE,
    ): r"\1a value has the wrong type (it is not shown: it may be secret). "
    r"Put numbers in quotes, as in password: '123'",
    # v2: the same; of a list or a map it shows nothing.
    re.compile(
        r"(invalid (?:type|value): [a-z ]+) ([`\"]).*\2(?: as \w+)?(?=, expected )", re.DOTALL
    ): rf"\1 {_NOT_SHOWN}",
    # 1.x: the lines around an error of YAML, and what the parser found there.
    re.compile(r"(Syntax error near line \d+)\s+-{10,}.*", re.DOTALL): rf"\1 {_NOT_SHOWN}",
    # A value whose Jinja is wrong: 1.x has the value, v2 words of it.
    re.compile(r"(Could not render ).*", re.DOTALL): rf"\1a value {_NOT_SHOWN}",
    re.compile(
        r"(Jinja render error: )(?!invalid operation: 'env_var': environment variable ).*",
        re.DOTALL,
    ): rf"\1in a value {_NOT_SHOWN}",
}


def without_secrets(text: str) -> str:
    """Return what was said without values of the profile and what is secret in addresses."""
    for pattern, instead in _PROFILE.items():
        text = pattern.sub(instead, text)
    return _USER.sub("", _SIGNATURE.sub(r"\1...", text))


def address(url: str) -> str:
    """Return an address as messages show it: without user, password, query and fragment."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}{'?...' if parts.query else ''}"


def without_user(url: str) -> str:
    """Return an address without user and password, which do not belong to what it names."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
