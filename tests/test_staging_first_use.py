"""Digests that are kept from first use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching import first_use

URL = "https://models.example/Tickets.tar.gz?a=B"


def pin_files(folder: Path, handle: str, digest: str) -> None:
    first_use.pin_files(folder, handle, Path("module"), digest)


@pytest.mark.parametrize("pin", [first_use.pin, pin_files])
def test_of_two_that_pin_at_once_one_is_refused(
    tmp_path: Path, pin: Callable[[Path, str, str], None]
) -> None:
    for number in range(100):
        together = threading.Barrier(2)

        def accepts(digest: str, folder: Path, together: threading.Barrier = together) -> bool:
            together.wait()
            try:
                pin(folder, URL, digest)
            except StagingError:
                return False
            return True

        folder = tmp_path / str(number)
        with ThreadPoolExecutor(2) as pool:
            tries = [pool.submit(accepts, letter * 64, folder) for letter in "ab"]
        assert sorted(one.result() for one in tries) == [False, True]
        assert len(list((folder / "pins").iterdir())) == 1


@pytest.mark.parametrize(
    "spelling",
    [
        "https://MODELS.example/Tickets.tar.gz?a=B",
        "https://models.example:443/Tickets.tar.gz?a=B",
        "HTTPS://models.example/Tickets.tar.gz?a=B#part",
    ],
)
def test_all_spellings_of_an_address_share_a_pin(tmp_path: Path, spelling: str) -> None:
    first_use.pin(tmp_path, URL, "a" * 64)
    assert first_use.pinned(tmp_path, spelling) == "a" * 64
    assert first_use.pinned(tmp_path, URL.lower()) is None
