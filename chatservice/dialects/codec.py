"""Frozen dataclasses as JSON objects, and back.

A dataclass is the only definition: reading, writing and the JSON Schema follow from its fields. A
field has the name that it has in the dataclass, or the ``key`` in its metadata. One with a default
may be missing, and is not written if it has that value. Fields may be strings (a `Text` may have
several lines), booleans, numbers (`Id` and others `Between` bounds), a `Time`, enumerations, and
tuples of strings or of objects.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from chatservice.core.events import ErrorCode, FieldKind, Refusal, Text, Time
from chatservice.core.sanitize import sanitize

Json = dict[str, Any]

# The first second of the year 9999, in seconds since 1970. A time that is read lies between 0 and
# this, and can be shown in every time zone.
MAX_TIME = 253_370_764_800.0

MAX_SHOWN = 40  # characters of a type that is not known, in the error that says so


class _Kind(NamedTuple):
    """A type of field. `read` raises ValueError for a value that is not of this `kind`."""

    kind: FieldKind
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    schema: Callable[[str], Json]


class Field(NamedTuple):
    """A field of an object. `required`: it may not be missing."""

    name: str
    key: str
    kind: _Kind
    default: Any
    required: bool


class Vocabulary:
    """A set of objects: `types` maps the value of ``"type"`` to a dataclass."""

    def __init__(self, types: Mapping[str, type]) -> None:
        self.types = types
        self._words = {cls: word for word, cls in types.items()}
        self._fields = {cls: self._fields_of(cls) for cls in types.values()}

    def fields(self, word: str) -> tuple[Field, ...]:
        """The fields of the objects whose ``"type"`` is `word`."""
        return self._fields[self.types[word]]

    def write(self, value: Any) -> Json:
        """The object for `value`, an instance of one of the dataclasses."""
        fields = self._fields[type(value)]
        written: Json = {"type": self._words[type(value)]}
        for name, key, kind, default, required in fields:
            held = getattr(value, name)
            if required or held != default:
                written[key] = kind.write(held)
        return written

    def read(self, given: Json) -> Any:
        """The instance that the object `given` stands for. Fields that are not known are ignored.

        Strings are sanitized. Raises `Refusal`: UNKNOWN_TYPE, MISSING_FIELD
        or BAD_FIELD.
        """
        word = given.get("type")
        cls = self.types.get(word) if isinstance(word, str) else None
        if cls is None:
            if "type" not in given:
                raise Refusal(ErrorCode.MISSING_FIELD, field="type")
            raise Refusal(ErrorCode.UNKNOWN_TYPE, type=_shown(word))
        values: Json = {}
        for name, key, kind, _, required in self._fields[cls]:
            if key in given:
                try:
                    values[name] = kind.read(given[key])
                except ValueError:
                    raise Refusal(ErrorCode.BAD_FIELD, field=key, kind=kind.kind) from None
            elif required:
                raise Refusal(ErrorCode.MISSING_FIELD, field=key)
        return cls(**values)

    def meaning(self, word: str) -> str:
        """The description of objects whose ``"type"`` is `word`: the dataclass's docstring."""
        return " ".join((self.types[word].__doc__ or "").split())

    def schema(self, word: str, prefix: str) -> Json:
        """A JSON Schema of the objects whose ``"type"`` is `word`. `prefix` and a type make a
        reference to the schema of that type."""
        fields = self.fields(word)
        return {
            "description": self.meaning(word),
            "type": "object",
            "properties": {
                "type": {"const": word},
                **{field.key: field.kind.schema(prefix) for field in fields},
            },
            "required": ["type", *(field.key for field in fields if field.required)],
        }

    def _fields_of(self, cls: type) -> tuple[Field, ...]:
        hints = get_type_hints(cls, include_extras=True)
        return tuple(
            Field(
                name=field.name,
                key=field.metadata.get("key", field.name),
                kind=self._kind(hints[field.name]),
                default=field.default,
                required=field.default is dataclasses.MISSING,
            )
            for field in dataclasses.fields(cls)
            if not field.metadata.get("hidden")
        )

    def _kind(self, hint: Any) -> _Kind:
        if hint in _KINDS:
            return _KINDS[hint]
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return _number(*arguments[1])
        if origin is tuple:
            return _several(self._kind(arguments[0]))
        if NoneType in arguments:
            (given,) = set(arguments) - {NoneType}
            return self._kind(given)
        if origin is UnionType or hint in self._words:
            return self._object_of(arguments or (hint,))
        return _choice(hint)

    def _object_of(self, classes: tuple[type, ...]) -> _Kind:
        words = [self._words[cls] for cls in classes]

        def read(given: Any) -> Any:
            if not isinstance(given, dict) or given.get("type") not in words:
                raise ValueError
            return self.read(given)

        def schema(prefix: str) -> Json:
            return {"oneOf": [{"$ref": prefix + word} for word in words]}

        return _Kind(FieldKind("object", tuple(words)), read, self.write, schema)


def _shown(given: object) -> str:
    return (sanitize(given) if isinstance(given, str) else json.dumps(given))[:MAX_SHOWN]


def _read_boolean(given: Any) -> bool:
    if not isinstance(given, bool):
        raise ValueError
    return given


def _read_string(given: Any) -> str:
    if not isinstance(given, str):
        raise ValueError
    return sanitize(given)


def _read_text(given: Any) -> str:
    """Without the lines that are blank."""
    if not isinstance(given, str):
        raise ValueError
    return "\n".join(line for line in map(sanitize, given.splitlines()) if line.strip())


def _read_number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError
    return float(given)


def _read_time(given: Any) -> float:
    if not isinstance(given, str):
        raise ValueError
    try:
        at = datetime.fromisoformat(given).astimezone(UTC).timestamp()
    except OverflowError:  # the year 0, elsewhere
        raise ValueError from None
    return min(max(at, 0.0), MAX_TIME)


def _write_time(at: float) -> str:
    seconds, microseconds = divmod(round(at * 1e6), 1_000_000)
    return f"{_write_seconds(seconds)}.{microseconds // 1000:03d}Z"


@lru_cache(maxsize=16)  # much is said in the same second, and this takes a tenth of a line's time
def _write_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def _same(value: Any) -> Any:
    return value


_KINDS = {
    str: _Kind(FieldKind("string"), _read_string, _same, lambda _: {"type": "string"}),
    bool: _Kind(FieldKind("boolean"), _read_boolean, _same, lambda _: {"type": "boolean"}),
    float: _Kind(FieldKind("number"), _read_number, _same, lambda _: {"type": "number"}),
    Text: _Kind(
        FieldKind("string"), _read_text, _same, lambda _: {"type": "string", "pattern": r"\S"}
    ),
    Time: _Kind(
        FieldKind("time"),
        _read_time,
        _write_time,
        lambda _: {"type": "string", "format": "date-time"},
    ),
}


def _number(least: int, most: int) -> _Kind:
    def read(given: Any) -> int:
        if isinstance(given, float) and given.is_integer():  # 3.0 and 3e0 are integers in JSON
            given = int(given)
        if type(given) is not int or not least <= given <= most:
            raise ValueError
        return given

    schema = {"type": "integer", "minimum": least, "maximum": most}
    kind = FieldKind("integer", (least, most)) if most < 2**53 else FieldKind("natural", (least,))
    return _Kind(kind, read, _same, lambda _: schema)


def _choice(enumeration: type[StrEnum]) -> _Kind:
    values = [member.value for member in enumeration]
    return _Kind(
        FieldKind("choice", tuple(values)),
        enumeration,
        lambda member: member.value,
        lambda _: {"enum": values},
    )


def _several(kind: _Kind) -> _Kind:
    def read(given: Any) -> tuple[Any, ...]:
        if not isinstance(given, list):
            raise ValueError
        return tuple(map(kind.read, given))

    def write(values: tuple[Any, ...]) -> list[Any]:
        return list(map(kind.write, values))

    def schema(prefix: str) -> Json:
        return {"type": "array", "items": kind.schema(prefix)}

    return _Kind(FieldKind("list", (kind.kind,)), read, write, schema)
