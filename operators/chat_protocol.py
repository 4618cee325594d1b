"""What goes to a server of the OpenAI chat completions protocol, and what comes back: no network here.

Servers differ in what they take and in how they answer. The differences that were found in vLLM,
llama.cpp, Ollama and clouds are met here; an answer that is none becomes an `InputError`.
"""

import base64
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from PIL import Image

from operators.vision_engine import Answer, Generation, Pixels
from schemas.failure import InputError, Reason

Json: TypeAlias = dict[str, Any]

_LOSSLESS_PIXELS = 512 * 512
_JPEG_QUALITY = 92
"""At 92 without chroma subsampling a colour is off by 0.6 of 255 on average (14 scans and slides)."""

_LONGEST_SAID = 2000
"""Characters of a server's complaint that are looked at."""


def data_url(picture: Pixels) -> str:
    """Write a picture as a `data:` URL, at its size.

    Small pictures are enlarged details, where letters are a few pixels wide: they go without
    loss. Of larger ones the shorter form goes: on slides PNG is both shorter and exact, on photos
    and scans JPEG takes a half to a fifth of the bytes.
    """
    height, width, _ = picture.shape
    image = Image.fromarray(picture)
    png = _encoded(image, "PNG", compress_level=1)
    if width * height > _LOSSLESS_PIXELS:
        jpeg = _encoded(image, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        if len(jpeg) < len(png):
            return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _encoded(image: Image.Image, kind: str, **settings: int) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **settings)
    return target.getvalue()


def chat_body(
    model: str, parts: Sequence[str | Pixels], how: Generation, schema: Mapping[str, Any] | None = None
) -> Json:
    """Make the body of a question: one message, text and pictures in the order of the parts.

    Args:
        model: What the server calls it.
        parts: Text and pictures.
        how: The answer is drawn.
        schema: JSON schema that the server is to hold the answer to.
    """
    body: Json = {
        "model": model,
        "messages": [{"role": "user", "content": _content(parts)}],
        "max_tokens": how.max_new_tokens,
        "temperature": how.temperature,
        "seed": how.seed,
        "stream": False,
    }
    if how.repetition_penalty != 1:
        body["repetition_penalty"] = how.repetition_penalty
    if schema is not None:
        wanted = {"name": "answer", "schema": dict(schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return body


def _content(parts: Sequence[str | Pixels]) -> str | list[Json]:
    if all(isinstance(part, str) for part in parts):
        return "".join(str(part) for part in parts)  # servers without pictures may take nothing else
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        # `high`: the tokens were planned for the whole picture, not for what a server makes of it.
        else {"type": "image_url", "image_url": {"url": data_url(part), "detail": "high"}}
        for part in parts
    ]


_INSTEAD: dict[str, str | None] = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
    "temperature": None,
    "seed": None,
    "repetition_penalty": None,
    "response_format": None,
}
"""Parameters some servers do not take, and what they take instead."""

_NOT_TAKEN = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted|forbidden|extra (input|field)",
    re.I,
)


_STRUCTURE = re.compile(
    r"response_?format|json.?schema|structured.?output|guided.?(json|decoding)|grammar", re.I
)


def not_taken(body: Json, complaint: str) -> str | None:
    """Find the parameter that a server complains of not knowing; None when it says something else."""
    # Whatever a server has against a schema (the kind, a keyword, a grammar): without it there is an answer.
    if "response_format" in body and _STRUCTURE.search(complaint):
        return "response_format"
    if not _NOT_TAKEN.search(complaint):
        return None
    # "max_tokens is not supported, use max_completion_tokens instead": the one that was sent is meant.
    return next((name for name in _INSTEAD if name in body and re.search(rf"\b{name}\b", complaint)), None)


def in_dialect(body: Json, refused: set[str]) -> Json:
    """Leave out, or call by their other name, parameters that the server does not take."""
    spoken = {}
    for name, value in body.items():
        spelled: str | None = name
        if name in refused:
            spelled = _INSTEAD[name]
            spelled = None if spelled in refused else spelled
        if spelled is not None:
            spoken[spelled] = value
    return spoken


def parse_body(data: bytes, content_type: str = "") -> Json:
    """Read a JSON object in whatever encoding it really has.

    Raises:
        InputError: It is no JSON object.
    """
    try:
        value = json.loads(_decoded(data, content_type))
    except (ValueError, RecursionError) as error:
        # Not the text of the error: of a wrong encoding it would quote the bytes.
        found = f"{len(data)} bytes that are none ({type(error).__name__})"
    else:
        if isinstance(value, dict):
            return value
        found = f"a {type(value).__name__}"
    msg = f"Wanted a JSON object from the server; found {found}."
    raise InputError(Reason.MALFORMED, msg, transient=True)


def _decoded(data: bytes, content_type: str) -> str:
    """Decode by the marks in the bytes, else as declared, else as UTF-8; never by guessing."""
    encoding: str = json.detect_encoding(data)
    declared = re.search(r"charset=[\"']?([\w.-]+)", content_type, re.I)
    if encoding == "utf-8" and declared:
        encoding = declared[1]
    try:
        return data.decode(encoding)
    except LookupError:
        return data.decode("utf-8")


def said_wrong(answer: Json) -> str:
    """Return in one line what a server says is wrong; empty where it says nothing."""
    error = answer.get("error", answer.get("detail", answer.get("message", "")))
    if isinstance(error, dict):
        named = [error.get("code"), error.get("type"), error.get("param"), error.get("message")]
        error = ", ".join(dict.fromkeys(str(item) for item in named if item not in (None, "")))
    text = error if isinstance(error, str) else json.dumps(error)
    return _repaired(" ".join(text.split()))[:_LONGEST_SAID]


def parse_answer(reply: Json, scrub: Callable[[str], str] = lambda text: text) -> Answer:
    """Read the answer out of what a server sent.

    Args:
        reply: The JSON object.
        scrub: Applied to the text.

    Raises:
        InputError: It is not what the protocol asks for.
    """
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        found = ", ".join(sorted(map(str, reply))[:8]) or "nothing"
        msg = f"Wanted choices with a message in the server's answer; found {scrub(found)[:200]}."
        raise InputError(Reason.MALFORMED, msg, transient=True)
    text = _without_thoughts(_text(message.get("content")))
    refusal = message.get("refusal")
    reason = choice.get("finish_reason")
    refused = reason == "content_filter" or (isinstance(refusal, str) and bool(refusal.strip()))
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    return Answer(
        text=scrub(_repaired(text or (refusal if refused and isinstance(refusal, str) else ""))),
        finished=reason not in ("length", "max_tokens"),
        input_tokens=_count(usage.get("prompt_tokens")),
        visual_tokens=_count(details.get("image_tokens")) if isinstance(details, dict) else None,
        output_tokens=_count(usage.get("completion_tokens")),
        refused=refused,
    )


def _text(content: object) -> str:
    """Return the text of a message: a string, nothing, or parts of which some are thoughts.

    Raises:
        InputError: It is something else.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        texts = [
            part.get("text")
            for part in content
            if isinstance(part, dict) and part.get("type", "text") in ("text", "output_text")
        ]
        return "".join(text for text in texts if isinstance(text, str))
    msg = f"Wanted text in the server's answer; found a {type(content).__name__}."
    raise InputError(Reason.MALFORMED, msg, transient=True)


def _without_thoughts(text: str) -> str:
    """Drop what a model thought before it answered; of thoughts that never end nothing is left.

    The opening mark may stand in the prompt, so that only the closing one comes back.
    """
    head, mark, rest = text.partition("</think>")
    opened = text.lstrip().startswith("<think>")
    if mark and (opened or "<think>" not in head):
        return rest.strip()
    return "" if opened else text.strip()


def _repaired(text: str) -> str:
    """Join halves of characters that were escaped one by one, and replace those that stand alone.

    A cut-off answer may end in half a character, which no table can hold.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "")


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31 else None
