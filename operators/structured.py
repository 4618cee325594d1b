"""The JSON object in what a model said: found, mended where it is nearly one, and validated.

Models put fences and words around an object, leave out a comma, or a quotation mark. What an object is
wanted to hold is said by a pydantic model, whose bounds count. An answer that is none is never
turned into an object that is empty.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import json_repair
from pydantic import BaseModel, ValidationError

from operators.quote import neutral
from schemas.failure import InputError, Reason

Model = TypeVar("Model", bound=BaseModel)

MOST_CHARACTERS = 100_000
"""Of an answer that is looked at: 20,000 tokens and more."""

_MOST_MENDED = 20_000
"""Of an object that is mended, which may take time that grows with the square of its length."""

_MOST_OPEN = 20
"""Brackets without end in an object that is mended; with thousands it takes minutes."""

_MOST_BEGINNINGS = 200
"""Places that are tried as the beginning of an object."""

_MOST_ENDS = 50
"""Ends of parts that are tried, the last first, as the end of an object that was cut off."""

_MOST_FAULTS, _LONGEST_FAULT = 3, 60
"""Faults that a message names, and characters of each place."""

_DECODER = json.JSONDecoder(strict=False)
"""Lets line breaks in strings pass."""


@dataclass(frozen=True, slots=True)
class Parsed(Generic[Model]):
    """An object as it was wanted."""

    value: Model
    repaired: bool
    """It was not JSON as it stood."""


def parse(text: str, model: type[Model]) -> Parsed[Model]:
    """Find and validate the object in an answer; of several that are valid the last, which is the final one.

    Args:
        text: As the model gave it.
        model: What is wanted.

    Raises:
        InputError: MALFORMED; the message says what is wrong and repeats nothing of the answer but
            names.
    """
    text = text[:MOST_CHARACTERS]
    fault: InputError | None = None
    valid: Model | None = None
    for found in _objects(text):
        # One of its parts, or anything else in braces, would be an empty object where all has a default.
        if not _names(model) & found.keys():
            continue
        try:
            valid = model.model_validate(found)
        except ValidationError as error:
            fault = _malformed(f"an object with faults: {_faults(error)}")
    if valid is not None:
        return Parsed(valid, repaired=False)
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0:
        raise fault or _malformed("no object")
    # What follows the last bracket may be chatter, or the rest of an object that lacks its end.
    for segment in dict.fromkeys((text[begin : end + 1], text[begin:])):
        mended = _mended(segment, model)
        if isinstance(mended, InputError):
            fault = fault or mended
        else:
            return Parsed(mended, repaired=True)
    raise fault or _malformed("no object")


def parse_beginning(text: str, model: type[Model]) -> Parsed[Model] | None:
    """Make an object of the whole parts of one that was cut off; None where they are not enough.

    Args:
        text: As the model gave it, ended at its limit.
        model: What is wanted.
    """
    text = text[:_MOST_MENDED]
    begin = text.find("{")
    ends = [at + 1 for at in range(begin + 1, len(text)) if text[at] in "}]"] if begin >= 0 else []
    for end in reversed(ends[-_MOST_ENDS:]):
        mended = _mended(text[begin:end], model)
        if not isinstance(mended, InputError):
            return Parsed(mended, repaired=True)
    return None


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema that servers are asked to hold an answer to.

    Strict ones want each object closed and all its fields required. What is meant the prompt says alone.
    """
    schema = _strict(model.model_json_schema())
    assert isinstance(schema, dict)
    return schema


def texts_of(value: BaseModel) -> list[str]:
    """List all text in an object, in its order."""
    return list(_texts(value.model_dump(mode="json")))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _strict(schema: object, *, names: bool = False) -> object:
    """Close objects; `names` tells that the keys are names of fields and not of the schema."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if names:
        return {name: _strict(item) for name, item in schema.items()}
    kept = {
        name: _strict(item, names=name in ("properties", "$defs"))
        for name, item in schema.items()
        if name not in ("title", "description", "default")
    }
    if isinstance(fields := kept.get("properties"), dict):
        kept |= {"additionalProperties": False, "required": list(fields)}
    return kept


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """Find the objects that stand in a text, none inside another."""
    at = text.find("{")
    for _ in range(_MOST_BEGINNINGS):
        if at < 0:
            return
        try:
            found, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield found
        at = text.find("{", end)


def _mended(text: str, model: type[Model]) -> Model | InputError:
    if text.count("{") - text.count("}") > _MOST_OPEN:
        return _malformed("brackets without end")
    try:
        found = json_repair.loads(text[:_MOST_MENDED])
    except (ValueError, RecursionError):
        return _malformed("no object")
    # Several things in a row come as a list.
    last = found[-1] if isinstance(found, list) and found else found
    if not isinstance(last, dict) or not _says_something(last, model):
        return _malformed("no object with what is wanted")
    try:
        return model.model_validate(last)
    except ValidationError as error:
        return _malformed(f"an object with faults: {_faults(error)}")


def _says_something(found: Mapping[str, Any], model: type[BaseModel]) -> bool:
    """Tell whether an object that was made up of garbage holds anything under a name that is wanted."""
    return any(found.get(name) not in (None, "", [], {}) for name in _names(model))


def _names(model: type[BaseModel]) -> set[str]:
    fields = model.model_fields
    return {field.alias or name for name, field in fields.items()} | set(fields)


def _faults(error: ValidationError) -> str:
    """Say what is wrong, without the values, which are anybody's words."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    named = [
        f"{neutral('.'.join(map(str, one['loc'])))[:_LONGEST_FAULT] or 'object'}: {one['msg']}"
        for one in found[:_MOST_FAULTS]
    ]
    more = f" and {len(found) - len(named)} more" if len(found) > len(named) else ""
    return "; ".join(named) + more


def _malformed(found: str) -> InputError:
    return InputError(Reason.MALFORMED, f"Wanted a JSON object as it was asked for; found {found}.")
