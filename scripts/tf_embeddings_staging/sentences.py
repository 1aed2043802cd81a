"""What TensorFlow raises, in one sentence."""

from __future__ import annotations

import re

_MOST = 300

# Lines that say where in the graph something is wrong, or only that it is.
_NO_SENTENCE = re.compile(
    r"Graph execution error"
    r"|Detected at node"
    r"|<stack traces unavailable>"
    r"|Stack trace for op definition"
    r"|\d+ root error\(s\) found"
    r"|\d+ (successful operations|derived errors ignored)"
    r"|Traceback \(most recent call last\)"
    r'|File "'
    r"|\[\[\{\{"
)
_NOISE = (
    re.compile(r"^\s*\(\d+\)\s+[A-Z_]+:\s*"),  # (0) INVALID_ARGUMENT: …
    re.compile(r"\{\{(function_)?node [^}]*\}\}\s*"),
    re.compile(r"\[\[.*?\]\]\s*"),
    re.compile(r"\s*\[Op:[^\]]*\](\s*name:\s*\S*)?"),
)
# A path of this machine: its last part is enough to recognize it.
_PATH = re.compile(r"(?<![\w:/.])/(?:[^\s/:'\"]+/)+(?=[^\s/])")


def in_one_sentence(error: BaseException) -> str:
    """Return what an exception says: its type, and the first line that tells something.

    What TensorFlow puts around it is left out: the stack of graph nodes, names of functions that it
    made itself, and the folders of paths.
    """
    name = type(error).__name__
    lines = (_PATH.sub("", _without_noise(line)) for line in str(error).splitlines())
    said = next((line for line in lines if line), "")
    if not said:
        return f"{name}."
    return f"{name}: {_shortened(said).rstrip('.')}."


def _without_noise(line: str) -> str:
    if _NO_SENTENCE.match(line.strip()):
        return ""
    for noise in _NOISE:
        line = noise.sub("", line)
    return " ".join(line.split())


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."
