"""Write descriptions.csv: 2,000 descriptions of Debian packages, the same on every run.

The source is a release's list of descriptions in English, on standard input:

    apt-get -o Acquire::Languages=en update
    /usr/lib/apt/apt-helper cat-file \
      /var/lib/apt/lists/*_debian_dists_bookworm_main_i18n_Translation-en* |
      python bench/make_descriptions.py

They have every length, like texts of tickets or products: from one line to a page.
Its format: https://wiki.debian.org/DebianRepository/Format
"""

from __future__ import annotations

import csv
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

FILE = Path(__file__).with_name("descriptions.csv")
COUNT = 2000

PARAGRAPH = re.compile(r"Package: (\S+)\n(?:.*\n)*?Description-en: ((?:.*\n?)*)")


def read_descriptions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each package and its description, on one line."""
    for paragraph in text.split("\n\n"):
        if match := PARAGRAPH.match(paragraph):
            package, description = match.groups()
            lines = [line for line in description.splitlines() if line.strip() != "."]
            yield package, " ".join(" ".join(lines).split())


def select(descriptions: Iterable[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    """Return a random sample, by the digest of the package's name; no text occurs twice."""
    distinct: dict[str, str] = {}
    for package, description in sorted(descriptions, key=lambda each: _digest(each[0])):
        distinct.setdefault(description, package)
        if len(distinct) == count:
            break
    return sorted((package, description) for description, package in distinct.items())


def _digest(package: str) -> bytes:
    return hashlib.sha256(package.encode()).digest()


def main() -> None:
    """Write the file from the list on standard input."""
    descriptions = select(read_descriptions(sys.stdin.read()), COUNT)
    with FILE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["package", "description"])
        writer.writerows(descriptions)


if __name__ == "__main__":
    main()
