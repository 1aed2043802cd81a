"""The files beside a SavedModel that say how to use it: tokenizer, pooling, limits, prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection import sentence_files, tokenizer_file
from tf_embeddings_staging.inspection.files import ASSETS
from tf_embeddings_staging.inspection.sentence_files import TOKENIZER, read_optional
from tf_embeddings_staging.options import Options

RUNTIME_POOLINGS = ("mean", "cls", "max")
"""What the runtime can make of the tokens' vectors that a SavedModel gives."""

_SAVED_BY_TRANSFORMERS = "saved_model"  # <folder>/saved_model/1
_POOLING = f"{sentence_files.POOLING}/config.json"
# Positions of RoBERTa and those after it start behind the padding's.
_POSITIONS_BEHIND_PADDING = ("camembert", "longformer", "mpnet", "roberta", "xlm-roberta")


@dataclass(frozen=True)
class Neighbors:
    """What lies beside a SavedModel of token ids, and what a user says instead.

    Attributes:
        tokenizer: its tokenizer.json.
        rewritten: what that must hold, if that is not what it holds.
        pads_left: whether its padding stands before a text.
        pooling: how one vector is made of one a token, if anything says so.
        normalize: whether a file says that vectors are scaled to length 1.
        limit: the tokens after which the model truncates, if a file says so.
        positions: the most tokens that it could take, if a file says so.
        prefix: what is put before each text; "" if nothing is.
        prompts: the prefixes that a file names, if one of them is to be chosen.
        pooled: the config.json of the module Pooling.
        further: the modules that change a text's vector beyond pooling and scaling it.
    """

    tokenizer: Path
    rewritten: bytes | None
    pads_left: bool
    pooling: str | None
    normalize: bool
    limit: int | None
    positions: int | None
    prefix: str
    prompts: Mapping[str, str]
    pooled: Mapping[str, Any]
    further: tuple[str, ...]

    def require_prefix_is_pooled(self, pooling: str | None) -> None:
        """Refuse a pooling that leaves the prefix's tokens out, where there is a prefix.

        Raises:
            StagingError: it does.
        """
        sentence_files.require_prefix_is_pooled(self.pooled, _POOLING, pooling, self.prefix)

    def require_pooling_is_all(self) -> None:
        """Refuse to pool what passes through further modules, which nothing here would compute.

        Raises:
            StagingError: there are some.
        """
        if self.further:
            raise StagingError(
                f"'modules.json' asks for {' + '.join(self.further)} beside the pooling, and this "
                f"output holds a vector for each token, before all of that. Save the whole "
                f"pipeline as one SavedModel, with one vector a text; if it has such an output "
                f"too, name it with --output."
            )


def find_neighbors(
    folder: Path, root: Path | None = None, options: Options | None = None
) -> Neighbors | None:
    """Return what lies beside a SavedModel, None if there is no tokenizer.

    Args:
        folder: the SavedModel's.
        root: the folder that came with it, see `graph.Graph`.
        options: what the user says of the model.

    Raises:
        StagingError: a file cannot be read, or asks for something unknown.
    """
    for place in places(folder, root):
        if (place / TOKENIZER).is_file():
            return _read(
                place, folder if place.parent == folder.absolute() else place, options or Options()
            )
    return None


def _read(place: Path, settings: Path, options: Options) -> Neighbors:
    sentence_files.require_no_adapter(settings)
    modules = sentence_files.modules(settings)
    kinds = None if modules is None else [kind for kind, _ in modules]
    pooled = read_optional(settings / _POOLING)
    pooling = options.pooling or _pooling(pooled, kinds)
    sentence_files.require_usual_normalize(settings / sentence_files.NORMALIZE)
    tokenizer = place / TOKENIZER
    rewritten = tokenizer_file.rewritten(tokenizer, settings)
    normalizer = tokenizer_file.normalizer_of(tokenizer, rewritten)
    sentence_files.require_casing_agrees(settings, normalizer)
    default, prompts = sentence_files.prompts_of(settings)
    _require_whole_vectors(settings, options)
    return Neighbors(
        tokenizer=tokenizer,
        rewritten=rewritten,
        pads_left=tokenizer_file.pads_left(tokenizer, settings),
        pooling=pooling,
        normalize=(
            (settings / sentence_files.NORMALIZE).is_dir()
            if kinds is None
            else "Normalize" in kinds
        ),
        limit=sentence_files.limit_of(settings),
        positions=_positions(read_optional(settings / "config.json")),
        prefix=default if options.prefix is None else options.prefix,
        prompts={} if default or options.prefix is not None else prompts,
        pooled=pooled,
        further=tuple(kind for kind in (kinds or ())[1:] if kind not in ("Pooling", "Normalize")),
    )


def _require_whole_vectors(settings: Path, options: Options) -> None:
    """Refuse to keep the first numbers of a vector only because a file beside the model says so."""
    kept = sentence_files.truncate_dim_of(settings)
    if kept is not None and options.truncate_dim is None:
        raise StagingError(
            f"'config_sentence_transformers.json' says truncate_dim {kept}, which may be done in "
            f"the SavedModel or not. Say --truncate-dim with the numbers to keep, or take it out."
        )


def places_named() -> str:
    """Return where a tokenizer is looked for, in words."""
    return f"in the SavedModel's folder, in its '{ASSETS}' or beside the folder"


def places(folder: Path, root: Path | None) -> Iterator[Path]:
    """Yield the folders in which a tokenizer is looked for."""
    folder = folder.absolute()
    yield from (folder, folder / ASSETS, folder / "assets.extra")
    above = [folder.parent]
    if folder.parent.name == _SAVED_BY_TRANSFORMERS:
        above.append(folder.parent.parent)
    for place in above:
        if root is None or place.is_relative_to(root.absolute()):
            yield place


def _pooling(fields: Mapping[str, Any], kinds: list[str] | None) -> str | None:
    """Return the pooling that a file says, if it is all that happens to the tokens' vectors."""
    if not fields or kinds not in (None, *sentence_files.PIPELINES):
        return None
    allowed = f"it may be {', '.join(RUNTIME_POOLINGS)}. Say which one with --pooling."
    return sentence_files.pooling_of(fields, _POOLING, RUNTIME_POOLINGS, allowed)


def _positions(config: Mapping[str, Any]) -> int | None:
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or isinstance(positions, bool) or positions < 1:
        return None
    if config.get("model_type") not in _POSITIONS_BEHIND_PADDING:
        return positions
    padding = config.get("pad_token_id")
    return positions - 1 - (padding if isinstance(padding, int) else 1)
