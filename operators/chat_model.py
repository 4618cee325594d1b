"""A model behind a server of the OpenAI chat completions protocol: asking it, and whether it is there."""

import difflib
from collections.abc import Callable, Sequence
from functools import partial

from operators.chat_client import CHECK_SECONDS, CHECKING, ChatClient, Patience
from operators.chat_protocol import Json, chat_body, parse_answer
from operators.chat_status import StatusError
from operators.vision_engine import Answer, Generation
from schemas.failure import InputError, Reason

_QUESTION = Generation(max_new_tokens=8)
"""Enough for a server to show that it answers; it costs next to nothing."""


class ChatModel:
    """Asks a server, many questions at once."""

    def __init__(
        self,
        *,
        name: str,
        model: str,
        base_url: str,
        api_key_env: str | None = None,
        revision: str | None = None,
        timeout_seconds: float = 120.0,
        requests_per_minute: float = 0.0,
        concurrency: int = 8,
        patience: Patience | None = None,
        section: str = "vision",
    ) -> None:
        """Take the key from the environment of this process, and ask the server what it serves.

        Args:
            name: As rows bear it (`openai:qwen2-vl`).
            model: What the server calls it.
            base_url: Such as `http://127.0.0.1:8000/v1`.
            api_key_env: Variable that holds the key; null or an unset one sends none.
            revision: Which weights; null asks the server, and takes the model's name where it
                does not say.
            timeout_seconds: For one attempt.
            requests_per_minute: The share of this process; 0 is no limit.
            concurrency: Most requests at once.
            patience: How long a question is tried.
            section: Of the configuration that names the server, for messages.

        Raises:
            ValueError: The URL or the key cannot be used.
        """
        self.name = name
        self.model = model
        self.client = ChatClient(
            base_url,
            api_key_env,
            timeout_seconds=timeout_seconds,
            requests_per_minute=requests_per_minute,
            concurrency=concurrency,
            patience=patience,
            section=section,
        )
        self.revision = _served(self.client, model) if revision is None else revision

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.client.base_url!r})"

    def ask(self, bodies: Sequence[Callable[[], Json]]) -> list[Answer | InputError]:
        """Ask all questions, each on its own; one that fails disturbs no other.

        Args:
            bodies: Each is made when its turn comes.

        Returns:
            One outcome for each body, in order. Errors that may be gone in another run are
            `transient`.
        """
        return [self._answer(reply) for reply in self.client.post_all("chat/completions", bodies)]

    def close(self) -> None:
        """Close connections; a later question opens them again."""
        self.client.close()

    def _answer(self, reply: Json | InputError) -> Answer | InputError:
        if isinstance(reply, InputError):
            return reply
        try:
            return parse_answer(reply, partial(self.client.scrub, answer=True))
        except InputError as error:
            return error


def served_revision(
    *, model: str, base_url: str, api_key_env: str | None = None, section: str = "vision"
) -> str:
    """Ask a server which weights it has behind a name; the name itself where it does not say.

    Raises:
        ValueError: The URL or the key cannot be used.
    """
    client = _checker(base_url, api_key_env, CHECK_SECONDS, section)
    try:
        return _served(client, model)
    finally:
        client.close()


def check_server(
    *,
    model: str | None,
    base_url: str,
    api_key_env: str | None = None,
    timeout_seconds: float = CHECK_SECONDS,
    section: str = "vision",
) -> str | None:
    """Tell why a server cannot be used, by asking for its models, or else a question of one word.

    Args:
        model: What the server should call it.
        base_url: Such as `http://127.0.0.1:8000/v1`.
        api_key_env: Variable that holds the key.
        timeout_seconds: For each of at most three questions; each is tried twice.
        section: Of the configuration that names the server, for messages.

    Returns:
        None when it answers; otherwise what was wanted, what was found and what to do.
    """
    try:
        client = _checker(base_url, api_key_env, timeout_seconds, section)
    except ValueError as error:
        return str(error)
    try:
        return _check(client, model)
    finally:
        client.close()


def _checker(base_url: str, api_key_env: str | None, timeout_seconds: float, section: str) -> ChatClient:
    return ChatClient(
        base_url, api_key_env, timeout_seconds=timeout_seconds, patience=CHECKING, section=section
    )


def _check(client: ChatClient, model: str | None) -> str | None:
    listing = client.get("models")
    names = _names(listing)
    if isinstance(listing, InputError) and (
        listing.reason == Reason.TIMEOUT or "status" not in listing.message
    ):
        return listing.message  # nobody there: no other question helps
    if model is None:
        found = f"it has {', '.join(names[:8])}" if names else "it does not list what it has"
        asked = f"Wanted {client.section}.model, as the server at {client.base_url} calls it"
        return f"{asked}; found none, and {found}."
    if model in names:
        return None
    # Servers know more names than they list (`llava` for `llava:latest`), and some list none.
    [reply] = client.post_all("chat/completions", [partial(chat_body, model, ["Say yes."], _QUESTION)])
    if not isinstance(reply, InputError):
        return None
    if names and _status(reply) in (400, 404, 422):
        near = difflib.get_close_matches(model, names, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]}?" if near else ""
        return (
            f"Wanted the model {model} ({client.section}.model) at {client.base_url}; found "
            f"{', '.join(names[:8])}{' and more' if len(names) > 8 else ''}.{hint}"
        )
    return _wrong_path(client, reply) or _wrong_key(client, reply) or reply.message


def _wrong_path(client: ChatClient, reply: InputError) -> str | None:
    """Look one level deeper when nothing is at the path: `/v1` is often forgotten."""
    if _status(reply) not in (404, 405):
        return None
    deeper = ChatClient(
        f"{client.base_url}/v1",
        client.api_key_env,
        timeout_seconds=client.timeout_seconds,
        section=client.section,
    )
    try:
        found = deeper.get("models")
    finally:
        deeper.close()
    if isinstance(found, InputError) and not any(
        code in found.message for code in ("status 401", "status 403")
    ):
        return None
    return (
        f"Wanted a chat server at {client.base_url}; found nothing there, but one at {deeper.base_url}. Set "
        f"{client.section}.base_url={deeper.base_url}."
    )


def _wrong_key(client: ChatClient, reply: InputError) -> str | None:
    if _status(reply) not in (401, 403):
        return None
    if client.has_key:
        return (
            f"Wanted {client.base_url} to take the key in the environment variable {client.api_key_env}; it "
            f"refuses it. {reply.message}"
        )
    named = client.api_key_env or f"that {client.section}.api_key_env names"
    return f"Wanted a key for {client.base_url}; found none in the environment variable {named}. Set it."


def _status(error: InputError) -> int | None:
    return error.status if isinstance(error, StatusError) else None


def _names(listing: Json | InputError) -> list[str]:
    """Return the names of the models of a listing, in its order."""
    return [entry["id"] for entry in _entries(listing)]


def _served(client: ChatClient, model: str) -> str:
    for entry in _entries(client.get("models")):
        if entry["id"] == model:
            root = entry.get("root")  # vLLM: what the name stands for
            return client.scrub(root if isinstance(root, str) and root else model, answer=True)
    return model


def _entries(listing: Json | InputError) -> list[Json]:
    data = listing.get("data") if not isinstance(listing, InputError) else None
    entries = data if isinstance(data, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
