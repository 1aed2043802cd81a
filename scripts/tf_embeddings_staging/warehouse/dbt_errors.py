"""What a failed call of dbt says, as one sentence with the next step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError

_OURS = re.compile("(stage_model|map_embeddings): ")

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

# What dbt says, and what is said instead; a pattern's groups go into the sentence, without quotes.
_KNOWN = {
    re.compile(
        r"not supported with the '(?P<package>.*)' package\.\s+Installed version of dbt: "
        r"=?(?P<has>\S+)\s+Required version of dbt for '.*': \[(?P<wants>.*)\]"
    ): (
        "'{dbt}' is dbt {has}, but '{package}' requires dbt {wants}. Install such a dbt there, or "
        "run this in an environment that has one."
    ),
    re.compile(r"Could not find adapter type (?P<type>\w+)"): (
        "'{dbt}' has no dbt-{type}, which the profile's target needs. Install it there with: pip "
        "install dbt-{type}"
    ),
    re.compile("could not find a macro|Template not found"): (
        "the dbt package tf_embeddings is not installed in this project, or it is too old. Add it "
        "to packages.yml and run: dbt deps"
    ),
    re.compile(r"Variables cannot be defined in both vars\.yml and dbt_project\.yml"): (
        "dbt says: Variables cannot be defined in both vars.yml and dbt_project.yml. Move all of "
        "them into one of the two files."
    ),
}


def error(dbt: Path, message: str, step: Mapping[str, Any]) -> StagingError:
    """Return the error of a call that failed.

    Args:
        dbt: the program that was called.
        message: its error.
        step: the statement that the macro sent last, if it named one; see `dbt_process`.
    """
    for pattern, sentence in _KNOWN.items():
        if found := pattern.search(message):
            groups = {name: text.replace("'", "") for name, text in found.groupdict().items()}
            return StagingError(sentence.format(dbt=dbt, **groups))
    v2 = _V2.fullmatch(message)
    text = v2["sentence"] if v2 else _PREFIX.sub("", message, count=1)
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if not _HEADLINE.fullmatch(line)]
    if said and _OURS.match(said[0]):
        return StagingError(_OURS.sub("", "\n".join(said), count=1))
    sentence = " ".join(said) or message.strip()
    if not step:
        return StagingError(f"dbt says: {sentence}")
    sentence = f"{step['doing']} failed: {_CODE.sub('', sentence, count=1)}"
    if step.get("next") and _DENIED.search(sentence):
        sentence = f"{sentence.rstrip('.')}. {step['next']}"
    return StagingError(sentence)
