"""One look while it is asked about: what was answered so far, how to ask again, what comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from operators.answers import REASONS, Judged, Problem, judge
from operators.cost_of import cost_of
from operators.prompt_files import Prompt
from operators.prompts import labels
from operators.stopwatch import Spent
from operators.vision_engine import Answer, Generation
from schemas.config import Vision
from schemas.failure import Failure, InputError, Reason, Stage
from schemas.look import Caption, Look
from schemas.perception import UNBATCHED, Cost, Filled, Perception

INPUT_TOKENS, OUTPUT_TOKENS = "vlm_input_tokens", "vlm_output_tokens"
"""Costs that are counted in tokens."""

READ_TIMES = 8
"""How much longer a transcription may be than a caption."""

_LONGER = 4
"""An answer that is cut off may grow to so many times its limit in later tries."""

_WARMER, _STEP, _WARMEST = 0.4, 0.2, 1.0
"""Temperature of the second try, by how much it rises with each further one, and its end."""

_PENALTY = 1.15
"""Against loops. Keskar et al. take 1.2; with it, transcriptions would lose words that do come again."""

_GLIMPSE = 80
"""Characters of an answer that a message shows."""


def most_new_tokens(vision: Vision, prompt: str) -> int:
    """Return the length of the longest answer to a prompt, in the first try."""
    return vision.max_new_tokens * (READ_TIMES if prompt == "read" else 1)


def conditions(vision: Vision, prompt: str, tried: Sequence[tuple[Answer, Judged]] = ()) -> Generation:
    """Decide how the next answer is drawn, after what was wrong with those before.

    What was only too long is asked for again as it was, with more room; all else at a higher
    temperature and from another seed, loops also with a penalty on words that were said.

    Args:
        vision: The section.
        prompt: Name of the prompt.
        tried: Answers so far, none of them good.
    """
    first = Generation(most_new_tokens(vision, prompt), vision.temperature, vision.seed)
    return ask_again(first, [(answer.finished, judged.problem) for answer, judged in tried])


def ask_again(first: Generation, tried: Sequence[tuple[bool, Problem | None]]) -> Generation:
    """Decide the same from how the first answer was drawn.

    Args:
        first: How that was.
        tried: Of each answer so far, whether the model ended it, and what was wrong with it.
    """
    problems = [problem for _, problem in tried]
    # A loop runs into any limit; more room would only make it longer.
    cut = sum(not finished and problem != Problem.REPETITION for finished, problem in tried)
    only_longer = 2**cut <= _LONGER and all(problem == Problem.CUT_OFF for problem in problems)
    warmer = min(_WARMEST, _WARMER + _STEP * (len(tried) - 1))
    return Generation(
        max_new_tokens=first.max_new_tokens * min(_LONGER, 2**cut),
        temperature=first.temperature if only_longer else max(first.temperature, warmer),
        seed=first.seed + len(tried),
        repetition_penalty=_PENALTY if Problem.REPETITION in problems else 1.0,
    )


def lost(perception: Perception, error: InputError) -> Perception:
    """Return a row without its pictures, with a failure that says why it has no caption."""
    return replace(perception, shown=[], failures=[*perception.failures, _failure(perception, error)])


class Asked:
    """A look and the answers to it."""

    def __init__(self, perception: Perception, prompts: Mapping[str, Prompt]) -> None:
        """Begin without an answer.

        Args:
            perception: Of a unit with a look.
            prompts: By name.

        Raises:
            InputError: There is no look, or no prompt of the name it gives.
        """
        look = perception.unit.look
        if look is None:
            msg = f"Wanted a look in unit {perception.unit.index}, which has pictures to show; found none."
            raise InputError(Reason.INTERNAL, msg)
        if look.prompt not in prompts:
            msg = f"Wanted a prompt of {', '.join(prompts)}; the look names {look.prompt!r}."
            raise InputError(Reason.INTERNAL, msg)
        self.perception = perception
        self.look: Look = look
        self.prompt = prompts[look.prompt]
        self.tried: list[tuple[Answer, Judged]] = []
        self.error: InputError | None = None
        self.spent = Spent()
        self.filled: list[Filled] = []

    @property
    def wants_more(self) -> bool:
        """Whether it was answered, and wrongly."""
        return self.error is None and bool(self.tried) and self.tried[-1][1].problem is not None

    def take(self, outcome: Answer | InputError, spent: Spent, filled: Filled = UNBATCHED) -> None:
        """Judge what came of asking."""
        self.spent += spent
        self.filled.append(filled)
        if isinstance(outcome, InputError):
            self.error = outcome
            return
        told = "\n".join([self.prompt.text, *labels(self.look.glances)])
        judged = judge(outcome, told, (self.look.seen, self.look.said), verbatim=self.prompt.name == "read")
        self.tried.append((outcome, judged))

    def given_back(self, name: str, revision: str) -> Perception:
        """Return the row with its caption, its failure, or both, and what it cost.

        Args:
            name: Of the engine and its model.
            revision: Which weights answered.
        """
        perception, kept = self.perception, self._kept()
        captions = [] if kept is None else [self._caption(*kept, name, revision)]
        failures = [] if kept is not None and kept[1].problem is None else [self._failed(kept)]
        size = sum(len(shown.pixels) for shown in perception.shown)
        return replace(
            perception,
            shown=[],
            captions=[*perception.captions, *captions],
            failures=[*perception.failures, *failures],
            costs=[
                *perception.costs,
                cost_of(
                    "vlm",
                    self.spent,
                    items=len(self.look.glances),
                    size_bytes=size,
                    filled=self.filled,
                ),
                *self._tokens(),
            ],
        )

    def _kept(self) -> tuple[Answer, Judged] | None:
        """Choose the answer without a fault, else the longest beginning of one that was cut off."""
        if self.tried and self.tried[-1][1].problem is None:
            return self.tried[-1]
        begun = [one for one in self.tried if one[1].problem == Problem.CUT_OFF and one[1].text]
        return max(begun, key=lambda one: len(one[1].text), default=None)

    def _caption(self, answer: Answer, judged: Judged, name: str, revision: str) -> Caption:
        return Caption(
            clip=self.look.clip,
            text=judged.text,
            engine=name,
            revision=revision,
            prompt=self.prompt.name,
            prompt_version=self.prompt.version,
            planned_visual_tokens=self.look.visual_tokens,
            planned_text_tokens=self.look.text_tokens,
            visual_tokens=answer.visual_tokens,
            input_tokens=_total([one.input_tokens for one, _ in self.tried]),
            output_tokens=_total([one.output_tokens for one, _ in self.tried]),
            pictures=len(self.look.glances),
            tries=len(self.tried) + (self.error is not None),
            doubts=list(judged.doubts),
        )

    def _tokens(self) -> list[Cost]:
        """Count tokens also of looks that end without a caption: they were paid for."""
        went_in = sum(one.input_tokens or 0 for one, _ in self.tried)
        came_out = sum(one.output_tokens or 0 for one, _ in self.tried)
        return [Cost(INPUT_TOKENS, 0.0, went_in), Cost(OUTPUT_TOKENS, 0.0, came_out)]

    def _failed(self, kept: tuple[Answer, Judged] | None) -> Failure:
        if kept is not None:
            judged = kept[1]
        elif self.error is not None or not self.tried:
            return _failure(self.perception, self.error or _unanswered())
        else:
            judged = self.tried[-1][1]
        assert judged.problem is not None
        message = f"Wanted words for what is shown; {self._what(judged, judged.problem)}"
        return _failure(self.perception, InputError(REASONS[judged.problem], message))

    def _what(self, judged: Judged, problem: Problem) -> str:
        times = "once" if len(self.tried) == 1 else f"{len(self.tried)} times"
        asked = f"(asked {times})"
        begins = " ".join(judged.text.split())
        begins = begins if len(begins) <= _GLIMPSE else begins[:_GLIMPSE] + "…"
        match problem:
            case Problem.EMPTY:
                return f"the model said nothing {asked}. Try a larger vision.max_visual_tokens or model."
            case Problem.REPETITION:
                return f"the model's answer ran in a loop {asked}: {begins!r}. Try a larger model."
            case Problem.REFUSAL:
                return f"the model declined {asked}: {begins!r}."
            case Problem.ECHO:
                return f"the model said its prompt again {asked}: {begins!r}. Try a larger model."
            case Problem.MALFORMED:
                return f"the model's answer was not as it was asked for {asked}: {begins!r}."
            case Problem.CUT_OFF:
                rest = "what is whole of it was kept" if judged.text else "no sentence of it is whole"
                return (
                    f"the model's answer did not end within its limit {asked}; {rest}. "
                    "Raise vision.max_new_tokens."
                )


def _failure(perception: Perception, error: InputError) -> Failure:
    unit = perception.unit
    return Failure(
        Stage.VLM, error.reason, error.message, unit.index, unit.page, unit.start_seconds, unit.end_seconds
    )


def _unanswered() -> InputError:
    return InputError(Reason.INTERNAL, "Wanted words for what is shown; the engine was never asked.")


def _total(counts: Sequence[int | None]) -> int | None:
    """Add what is known; null where nothing is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
