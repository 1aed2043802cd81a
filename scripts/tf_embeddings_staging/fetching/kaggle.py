"""Models of Kaggle: their handles, and where their archives are.

https://github.com/Kaggle/kagglehub speaks the same protocol.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.redaction import address

SHORT = "kaggle:"
HOSTS = ("www.kaggle.com", "kaggle.com")

_ENDPOINT = "https://www.kaggle.com"
_FRAMEWORKS = ("tensorflow1", "tensorflow2", "keras")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_MODEL = re.compile(
    rf"(?P<owner>{_NAME})/(?P<model>{_NAME})"
    rf"/(?:frameworks/)?(?P<framework>{_NAME})/(?:variations/)?(?P<variation>{_NAME})"
    r"(?:/(?:versions/)?(?P<version>[0-9]+))?/?"
)
_ALLOWED = (
    "It must be kaggle:<owner>/<model>/<framework>/<variation>/<version>, or the address "
    "https://www.kaggle.com/models/<owner>/<model>/<framework>/<variation>/<version>."
)


@dataclass(frozen=True)
class KaggleModel:
    """One version of one variation of a model."""

    owner: str
    model: str
    framework: str
    variation: str
    version: str

    @property
    def page(self) -> str:
        """Return the address of its page."""
        return f"{_ENDPOINT}/models/{self._path}"

    @property
    def download(self) -> str:
        """Return the address of its archive; the environment's KAGGLE_API_ENDPOINT counts."""
        endpoint = (os.environ.get("KAGGLE_API_ENDPOINT") or _ENDPOINT).rstrip("/")
        return f"{endpoint}/api/v1/models/{self._path}/download"

    @property
    def _path(self) -> str:
        return "/".join((self.owner, self.model, self.framework, self.variation, self.version))


def parse(text: str) -> KaggleModel:
    """Read a handle, in its short form or as the address of the model's page.

    Raises:
        StagingError: it is none, names no version, or a framework that is not TensorFlow's.
    """
    is_short = text.startswith(SHORT)
    shown = f"SOURCE '{text.partition('?')[0] if is_short else address(text)}'"
    path = text.removeprefix(SHORT)
    if path == text:
        path = urlsplit(text).path.strip("/").removeprefix("models/")
    match = _MODEL.fullmatch(path)
    if not match:
        raise StagingError(f"{shown} is no model of Kaggle. {_ALLOWED}")
    if match["framework"].lower() not in _FRAMEWORKS:
        raise StagingError(
            f"{shown} is made for '{match['framework']}'. The framework must be TensorFlow1, "
            f"TensorFlow2 or Keras: choose such a variation on the model's page."
        )
    if not match["version"]:
        raise StagingError(
            f"{shown} names no version, and the newest one changes under you. Add its number, as "
            f"the model's page says it: {SHORT}{path.strip('/')}/1, for example."
        )
    return KaggleModel(**match.groupdict())


def credentials() -> tuple[str, str] | None:
    """Return user and key of the environment's KAGGLE_USERNAME and KAGGLE_KEY, if both are set."""
    user, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    return (user, key) if user and key else None
