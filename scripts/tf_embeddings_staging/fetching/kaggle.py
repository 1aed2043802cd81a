"""Models of Kaggle.

https://github.com/Kaggle/kagglehub speaks the same protocol. It is not used here: it unpacks
archives without limits, and brings kagglesdk and protobuf along.
"""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tf_embeddings_staging.errors import SourceError, StagingError
from tf_embeddings_staging.fetching.archive_address import fetch_archive, kept_archive
from tf_embeddings_staging.fetching.download import DownloadError, is_loopback, is_plain
from tf_embeddings_staging.fetching.fetch import Errand, Fetched, Source, UnusableError
from tf_embeddings_staging.fields import Text

_SHORT = "kaggle:"
_ENDPOINT = "https://www.kaggle.com"
_HOSTS = ("www.kaggle.com", "kaggle.com")
_FRAMEWORKS = ("tensorflow1", "tensorflow2", "keras")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_MODEL = re.compile(
    rf"(?P<owner>{_NAME})/(?P<model>{_NAME})"
    rf"/(?:frameworks/)?(?P<framework>{_NAME})/(?:variations/)?(?P<variation>{_NAME})"
    r"(?:/(?:versions/)?(?P<version>[0-9]+))?/?"
)
_FORM = f"{_SHORT}<owner>/<model>/<framework>/<variation>/<version>"
_HINT = (
    f"It must be {_FORM}, or the address "
    f"{_ENDPOINT}/models/<owner>/<model>/<framework>/<variation>/<version>."
)


@dataclass(frozen=True)
class Kaggle(Source):
    """One version of one variation of a model, as owner/model/framework/variation/version."""

    allowed = (f"a Kaggle model ({_FORM})",)
    preparing = allowed

    path: Text

    @classmethod
    def of_text(cls, text: str) -> Self | None:
        """Return the model that a handle names, in its short form or as the address of its page."""
        path = text.removeprefix(_SHORT)
        if path == text:
            if "://" not in text or urlsplit(text).hostname not in _HOSTS:
                return None
            path = urlsplit(text).path.strip("/").removeprefix("models/")
        match = _MODEL.fullmatch(path)
        if not match:
            raise UnusableError("is not a Kaggle model.", _HINT)
        if match["framework"].lower() not in _FRAMEWORKS:
            raise UnusableError(
                f"is made for '{match['framework']}'.",
                "The framework must be TensorFlow1, TensorFlow2 or Keras: choose such a variation "
                "on the model's page.",
            )
        if not match["version"]:
            raise UnusableError(
                "has no version, and the newest one may change at any time.",
                f"Add its number from the model's page, as in {_SHORT}{path.strip('/')}/1.",
            )
        return cls("/".join(match.groups()))

    @property
    def label(self) -> str:
        """Return the address of its page."""
        return f"{_ENDPOINT}/models/{self.path}"

    def cached(self, errand: Errand) -> Fetched | None:
        """Return what was downloaded and unpacked before."""
        return kept_archive(self.label, errand)

    def fetch(self, errand: Errand) -> Fetched:
        """Download and unpack the model; the environment's KAGGLE_API_ENDPOINT counts."""
        endpoint = (os.environ.get("KAGGLE_API_ENDPOINT") or _ENDPOINT).rstrip("/")
        url = f"{endpoint}/api/v1/models/{self.path}/download"
        is_safe = is_loopback(url) or not is_plain(url)
        return fetch_archive(self.label, url, errand, _authorization() if is_safe else None)

    def next_step(self, error: SourceError) -> str:
        """Return how to sign in where the model asks for an account."""
        if isinstance(error, DownloadError) and error.status in (401, 403):
            return (
                " Accept the model's terms on its page, and set KAGGLE_API_TOKEN to a token of "
                "your account, or save its kaggle.json in ~/.kaggle."
            )
        return super().next_step(error)


def _authorization() -> str | None:
    """Return the header for the user's account, looked up as kagglehub does.

    https://github.com/Kaggle/kagglehub#authenticate: a token, in KAGGLE_API_TOKEN or in
    ~/.kaggle/access_token; or user and key, in KAGGLE_USERNAME and KAGGLE_KEY or in kaggle.json.

    Raises:
        StagingError: kaggle.json is damaged.
    """
    home = Path("~/.kaggle").expanduser()
    if token := os.environ.get("KAGGLE_API_TOKEN") or _text_in(home / "access_token"):
        return f"Bearer {_text_in(Path(token)) or token}"
    user, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    if not (user and key):
        file = Path(os.environ.get("KAGGLE_CONFIG_DIR") or home) / "kaggle.json"
        text = _text_in(file)
        if not text:
            return None
        try:
            given = json.loads(text)
            user, key = given["username"], given["key"]
        except (ValueError, KeyError, TypeError):
            raise StagingError(
                f"'{file}' does not hold the username and the key of a Kaggle account. Download it "
                f"again from your account's settings, or delete it."
            ) from None
    return f"Basic {base64.b64encode(f'{user}:{key}'.encode()).decode()}"


def _text_in(file: Path) -> str | None:
    try:
        return file.read_text("utf-8").strip() or None
    except (OSError, ValueError):  # not there; or a token, which is too long for a name
        return None
