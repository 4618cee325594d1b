"""Summaries from any server of the OpenAI chat completions protocol: vLLM, llama.cpp, Ollama, clouds."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from operators.chat_model import ChatModel
from operators.chat_protocol import chat_body
from operators.text_engine import Question
from operators.vision_engine import Answer, Generation
from schemas.failure import InputError


class OpenAiTextEngine(ChatModel):
    """Asks a server in words, many questions at once."""

    def __init__(self, *, with_schema: bool = True, **settings: Any) -> None:
        """Prepare to ask; nothing is sent yet where the revision is known.

        Args:
            with_schema: Whether to ask the server to hold answers to their JSON schema. One that
                refuses is asked without from then on.
            settings: As of `ChatModel`.

        Raises:
            ValueError: The URL or the key cannot be used.
        """
        super().__init__(section="summary", **settings)
        self.with_schema = with_schema

    def generate(self, questions: Sequence[Question], how: Generation) -> list[Answer | InputError]:
        """Ask all questions, each on its own; one that fails disturbs no other.

        Returns:
            One outcome for each question, in order. Errors that may be gone in another run are
            `transient`.
        """
        return self.ask(
            [
                partial(
                    chat_body, self.model, [question.text], how, question.schema if self.with_schema else None
                )
                for question in questions
            ]
        )
