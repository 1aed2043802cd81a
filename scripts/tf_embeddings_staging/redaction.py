"""Taking secrets out of what dbt and the connector say."""

from __future__ import annotations

import re

# A presigned address is good for an upload, and the connector's errors hold it: whole, or from the
# path on, as urllib3 writes it. Quotes, blanks and brackets are always encoded in it.
_SIGNATURE = re.compile(r"\?[^\s'\")]*=[^\s'\")]*")


def without_secrets(text: str) -> str:
    """Return a text whose presigned addresses are good for nothing any more."""
    return _SIGNATURE.sub("?...", text)
