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

# dbt shows a value of the profile that is of the wrong type, whatever its key is: a password of
# digits, for one. What dbt says without a value is kept.
_CREDENTIALS = re.compile(
    r"""(Credentials\ in\ profile\ ".*",\ target\ ".*"\ invalid:\ )
        (?!'\w+'\ is\ a\ required\ property|Runtime\ Error\n).*""",
    re.DOTALL | re.VERBOSE,
)
_WRONG_TYPE = (
    "a value has the wrong type (it is not shown: it may be secret). "
    "Put numbers in quotes, as in password: '123'"
)


def without_secrets(text: str) -> str:
    """Return what was said without values of the profile and what is secret in addresses."""
    text = _SIGNATURE.sub(r"\1...", _CREDENTIALS.sub(rf"\1{_WRONG_TYPE}", text))
    return _USER.sub("", text)


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
