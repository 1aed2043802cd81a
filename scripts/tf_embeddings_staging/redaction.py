"""Taking secrets out of what dbt and the connector say."""

from __future__ import annotations

import re

# A presigned address is good for an upload, and the connector's errors hold it: whole, or from the
# path on, as urllib3 writes it. Quotes, blanks and brackets are always encoded in it.
_SIGNATURE = re.compile(r"\?[^\s'\")]*=[^\s'\")]*")

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
    """Return what was said without values of the profile and signatures of presigned addresses."""
    return _SIGNATURE.sub("?...", _CREDENTIALS.sub(rf"\1{_WRONG_TYPE}", text))
