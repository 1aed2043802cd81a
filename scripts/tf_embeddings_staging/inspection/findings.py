"""What the inspection of a model finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Findings:
    """What the graph and the files beside it say, before anything runs.

    Attributes:
        kind: text, tokens or sentencepiece.
        encoder: what the manifest's `encoder` holds for this kind.
        max_tokens: the tokens after which the model truncates; None where nobody can tell.
        normalize: whether the folder says that vectors are scaled to length 1 (a module
            `Normalize` of Sentence Transformers beside it).
        prefix: what is put before each text: what the user says, or a default prompt beside it.
        prompts: the prompts beside it, if none is the default and the user says nothing.
        libraries: the Python modules that must be imported before the model is loaded.
        why: one sentence: what made it this kind, this signature and this output.
        extra_files: files from outside the SavedModel that belong into it: name there -> path.
        report: what --inspect prints, ready for JSON; see `report.report_of`.
    """

    kind: str
    encoder: Mapping[str, Any]
    max_tokens: int | None
    normalize: bool
    prefix: str
    prompts: Mapping[str, str]
    libraries: tuple[str, ...]
    why: str
    extra_files: Mapping[str, str]
    report: Mapping[str, Any]


@dataclass(frozen=True)
class Found(Findings):
    """What the model itself says, too: it was loaded, and embedded one text.

    Attributes:
        model_dimensions: how many numbers its vectors have.
        own_length: the Euclidean length of that text's vector, before anything is scaled; None
            where it is pooled later.
    """

    model_dimensions: int
    own_length: float | None = None
