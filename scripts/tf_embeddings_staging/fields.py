"""What a field of the catalogue may hold, and the sentence for one that holds something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, Field, PlainValidator, Strict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if not path or "\\" in path or parts.is_absolute() or ".." in parts.parts:
        raise ValueError
    return path


Text = Annotated[str, Strict(), Field(pattern=r"\S", description="a text")]
Texts = Annotated[tuple[Text, ...], Field(description="a list of texts")]
Count = Annotated[int, Strict(), Field(ge=1, description="a whole number from 1")]
Number = Annotated[float, Strict()]
Positive = Annotated[Number, Field(gt=0, description="a number above 0")]
Percent = Annotated[Number, Field(ge=0, le=100, description="a number from 0 to 100")]
Flag = Annotated[bool, Strict(), Field(description="true or false")]
InnerPath = Annotated[
    str, Strict(), AfterValidator(_inside), Field(description="a path in the model's folder")
]
Sha256 = Annotated[
    str, Strict(), Field(pattern="^[0-9a-f]{64}$", description="a SHA-256 of 64 hex digits")
]

T = TypeVar("T")


class WrongFieldError(ValueError):
    """A field is missing, unknown or wrong; `path` leads to the map that it stands in."""

    def __init__(self, said: str, path: tuple[str, ...] = ()) -> None:
        """Tell what is wrong, as the rest of a sentence that begins with the map."""
        super().__init__(said)
        self.said = said
        self.path = path


def read(cls: type[T], value: object, **given: object) -> T:
    """Return the dataclass that a map of YAML describes.

    Args:
        cls: a dataclass; the types of its fields say what they may hold.
        value: the map.
        given: fields that the map must not have.

    Raises:
        WrongFieldError: the map is not one, or has a missing, unknown or wrong field.
    """
    if not isinstance(value, dict):
        raise WrongFieldError(f"is {value!r}, and it must be a map.")
    allowed = [field.name for field in fields(cls) if field.name not in given]  # pyright: ignore[reportArgumentType]
    for name in value:
        if name not in allowed:
            raise WrongFieldError(
                f"has the unknown field '{name}'. It may have: {', '.join(allowed)}."
            )
    try:
        return TypeAdapter(cls).validate_python({**value, **given})
    except ValidationError as errors:
        raise _wrong(cls, value, dict(errors.errors()[0])) from None


def within(label: str, reading: Callable[[], T]) -> T:
    """Read a part; where something in it is wrong, the path to it begins with the label."""
    try:
        return reading()
    except WrongFieldError as error:
        raise WrongFieldError(error.said, (label, *error.path)) from None


def a_map(label: str, cls: type) -> PlainValidator:
    """Return the validator of a field, or of an item, that is the map of another dataclass."""
    return PlainValidator(
        lambda value: value if isinstance(value, cls) else within(label, lambda: read(cls, value))
    )


def _wrong(cls: type, value: Mapping[str, Any], error: Mapping[str, Any]) -> WrongFieldError:
    inner = error.get("ctx", {}).get("error")
    if isinstance(inner, WrongFieldError):
        return inner
    name = str(error["loc"][0])
    words = _words(get_type_hints(cls, include_extras=True)[name])
    if error["type"] == "missing":
        return WrongFieldError(f"lacks '{name}', {words}.")
    return WrongFieldError(f"has {name}: {value[name]!r}, and it must be {words}.")


def _words(hint: object) -> str | None:
    """Return what a type allows, in words: its own description, or that of a part."""
    for said in getattr(hint, "__metadata__", ()):
        if isinstance(said, FieldInfo) and said.description:
            return said.description
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    return next(filter(None, map(_words, get_args(hint))), None)
