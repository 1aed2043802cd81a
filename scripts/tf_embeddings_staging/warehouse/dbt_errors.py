"""What a failed call of dbt says, as one sentence with the next step."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError

_OURS = "stage_model: "

# What dbt puts around an error's sentence: 1.x before it, v2 before and after it.
_PREFIX = re.compile(r"(?:\[ERROR\]: )?Encountered an error[^:]*:\s*")
_HEADLINE = re.compile(r"([A-Z]\w+ Error( in \w+ \S+ \(.*\))?)?|> (in|called by) .*")
_V2 = re.compile(
    r"\[error\] \[\w+ \(dbt\d+\)\]: (?:Failed to run operation invalid operation: )?"
    r"(?:[A-Z]\w+ Error: )?(?:\[\w+\] )?(?P<sentence>.*?)"
    r"(?: \(SQLSTATE: \w+, Vendor code: -?\d+\))?(?:\s*\n(?:\(in | *--> | *0: ).*)?",
    re.DOTALL,
)
# What Snowflake puts before it: number, SQLSTATE, query id and kind of error; v2 says the first two
# twice.
_CODE = re.compile(r"(?:\d+ \(\w+\): )+(?:[0-9a-f-]{32,}: )?(?:SQL [\w ]+ error:\s*)?")
_DENIED = re.compile(
    "insufficient privileges|not authorized|does not exist|failed to connect", re.IGNORECASE
)

_VERSION = re.compile(
    r"not supported with the '(?P<package>.*)' package\.\s+Installed version of dbt: =?(?P<has>\S+)"
    r"\s+Required version of dbt for '.*': \[(?P<wants>.*)\]"
)
_ADAPTER = re.compile(r"Could not find adapter type (?P<type>\w+)")
_NO_MACRO = re.compile("could not find a macro|Template not found")
_BOTH_VARS = re.compile(r"Variables cannot be defined in both vars\.yml and dbt_project\.yml")


def error(dbt: Path, message: str, step: Mapping[str, Any]) -> StagingError:
    """Return the error of a call that failed.

    Args:
        dbt: the program that was called.
        message: its error.
        step: the statement that the macro sent last, if it named one; see `dbt_process`.
    """
    for pattern, sentence in _KNOWN.items():
        if found := pattern.search(message):
            return StagingError(sentence(dbt, found))
    v2 = _V2.fullmatch(message)
    text = v2["sentence"] if v2 else _PREFIX.sub("", message, count=1)
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if not _HEADLINE.fullmatch(line)]
    if said and said[0].startswith(_OURS):
        return StagingError("\n".join(said).removeprefix(_OURS))
    sentence = " ".join(said) or message.strip()
    if not step:
        return StagingError(f"dbt says: {sentence}")
    sentence = f"{step['doing']} failed: {_CODE.sub('', sentence, count=1)}"
    if step.get("next") and _DENIED.search(sentence):
        sentence = f"{sentence.rstrip('.')}. {step['next']}"
    return StagingError(sentence)


def _of_version(dbt: Path, found: re.Match[str]) -> str:
    return (
        f"'{dbt}' is dbt {found['has']}, but '{found['package']}' requires dbt "
        f"{found['wants'].replace(chr(39), '')}. Install such a dbt there, or run this in an "
        f"environment that has one."
    )


def _of_adapter(dbt: Path, found: re.Match[str]) -> str:
    adapter = f"dbt-{found['type']}"
    return (
        f"'{dbt}' has no {adapter}, which the profile's target needs. Install it there with: "
        f"pip install {adapter}"
    )


def _of_package(_dbt: Path, _found: re.Match[str]) -> str:
    return (
        "the dbt package tf_embeddings is not installed in this project, or it is too old. Add "
        "it to packages.yml and run: dbt deps"
    )


def _of_vars(_dbt: Path, _found: re.Match[str]) -> str:
    return (
        "dbt says: Variables cannot be defined in both vars.yml and dbt_project.yml. Move all of "
        "them into one of the two files."
    )


_KNOWN: Mapping[re.Pattern[str], Callable[[Path, re.Match[str]], str]] = {
    _VERSION: _of_version,
    _ADAPTER: _of_adapter,
    _NO_MACRO: _of_package,
    _BOTH_VARS: _of_vars,
}
