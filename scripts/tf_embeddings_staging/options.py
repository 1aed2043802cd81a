"""What a user may say about a model, and the limits within which it is staged."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

POOLINGS = ("mean", "cls", "max", "mean_sqrt_len", "weightedmean", "lasttoken")
"""What the converter can do; the runtime pools a SavedModel's tokens by the first three."""


@dataclass(frozen=True)
class Options:
    """What the command line, or an entry of the catalogue, says about a model; None: nothing.

    Attributes:
        kind: the kind of encoder: text, tokens, sentencepiece, static or pairs.
        signature: the SavedModel's signature to call, or `__call__` for the loaded object itself.
        output: the key, or the index, of the output that holds the vectors.
        pooling: how the vectors of a text's tokens become one, one of `POOLINGS`.
        normalize: whether vectors are scaled to length 1.
        max_tokens: the tokens after which a text is truncated.
        truncate_dim: how many of a vector's first numbers are kept.
        prefix: what is put before each text.
        preprocessor: the source of the SavedModel that makes a text the model's inputs.
        allow_ops: TensorFlow ops that are allowed although they reach out of the graph.
        static_rule: what a static encoder does to unknown tokens and long texts, one of the
            runtime's `RULES`.
        engine: what the model must run on, litert or tensorflow; None: LiteRT if it gives the same
            vectors, TensorFlow if not.
    """

    kind: str | None = None
    signature: str | None = None
    output: str | None = None
    pooling: str | None = None
    normalize: bool | None = None
    max_tokens: int | None = None
    truncate_dim: int | None = None
    prefix: str | None = None
    preprocessor: str | None = None
    allow_ops: tuple[str, ...] = ()
    static_rule: str | None = None
    engine: str | None = None

    def overridden_by(self, other: Options) -> Options:
        """Return these options with what the other ones say instead."""
        said = {field.name: getattr(other, field.name) for field in fields(other)}
        return replace(self, **{name: value for name, value in said.items() if _says(value)})

    def unlike(self, other: Options) -> Options:
        """Return what these options say that differs from the other ones."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return Options(**{name: said[name] for name in said if said[name] != getattr(other, name)})

    def flags(self, *names: str) -> list[str]:
        """Return the command line's flags for what these options say, without their values.

        Args:
            names: the fields that count; all of them, if none is named.
        """
        names = names or tuple(field.name for field in fields(self))
        said = [name for name in names if _says(getattr(self, name))]
        return [_FLAGS.get(name, f"--{name.replace('_', '-')}") for name in said]


def _says(value: object) -> bool:
    return value is not None and value != ()


_FLAGS = {"allow_ops": "--allow-op"}


@dataclass(frozen=True)
class Limits:
    """How much a model may take while it is staged.

    Attributes:
        download_bytes: the size of a download, and of what an archive unpacks to.
        dimensions: the numbers that a vector can have in the target's warehouse.
        memory_bytes: the memory of a process that runs the model; None: 90 % of the machine's.
        seconds: the time that such a process may take.
    """

    download_bytes: int = 8 * 2**30
    dimensions: int = 100_000
    memory_bytes: int | None = None
    seconds: float = 1800
