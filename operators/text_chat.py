"""How a question in words becomes what a language model reads: its chat template, and no control tokens."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from operators.vision_plain_text import control_tokens, plain_text


class Chat:
    """The tokenizer of one checkpoint, and its chat template where it has one."""

    def __init__(self, folder: Path) -> None:
        """Load the tokenizer.

        Args:
            folder: Of a checkpoint that `check_text_checkpoint` has let pass.
        """
        self.tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        self._pad()
        self.control = control_tokens(self.tokenizer)

    def prompt(self, text: str) -> str:
        """Write out a question as the model is to read it; what it quotes cannot steer the template."""
        text = plain_text(text, self.tokenizer, self.control)
        if self.tokenizer.chat_template is None:
            return text
        rendered: str = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            tokenize=False,
            add_generation_prompt=True,
            # Templates of models that can think first ask for it; others take no notice.
            enable_thinking=False,
        )
        return rendered

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a whole prompt."""
        prompt = self.prompt(text)
        begun = self.tokenizer.bos_token is not None and prompt.startswith(self.tokenizer.bos_token)
        return list(self.tokenizer(prompt, add_special_tokens=not begun)["input_ids"])

    def marks(self) -> int:
        """Count the tokens that stand around a question."""
        word = "word"
        return len(self.ids(word)) - len(self.tokenizer(word, add_special_tokens=False)["input_ids"])

    def _pad(self) -> None:
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
