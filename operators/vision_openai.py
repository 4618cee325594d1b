"""Captions from any server of the OpenAI chat completions protocol: vLLM, llama.cpp, Ollama, clouds."""

from collections.abc import Sequence
from functools import partial

from operators.chat_model import ChatModel
from operators.chat_protocol import chat_body
from operators.vision_engine import Answer, Generation, Request
from schemas.failure import InputError


class OpenAiEngine(ChatModel):
    """Shows pictures to a server, many questions at once."""

    def generate(self, requests: Sequence[Request], how: Generation) -> list[Answer | InputError]:
        """Ask all questions, each on its own; one that fails disturbs no other.

        Returns:
            One outcome for each request, in order. Errors that may be gone in another run are
            `transient`.
        """
        return self.ask([partial(chat_body, self.model, request.parts, how) for request in requests])
