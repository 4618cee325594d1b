"""A language model that invents on purpose: answers to Gloss's prompts in which some sentences are false.

It reads the numbered lines out of the prompt and writes sentences from them, in words of its own as far
as arithmetic can: clauses swapped, lead-ins dropped, two lines joined. At a given rate it puts a false
one between: a number or a name changed, an affirmation denied, or something from nowhere. It knows
which is which, so that what became of them can be counted.

    inventor = Inventor(rate=0.3)
    with openai_server(answer=inventor) as server: ...
    inventor.false  # the sentences that no summary may hold
"""

import json
import random
import re
import threading
from dataclasses import dataclass, field

from tests.openai_server import Asked

_LINE = re.compile(r"^\| \[(\d+)\] (.*)$", re.M)
_MOST = re.compile(r"at most (\d+) plain sentences")
_POINTS = re.compile(r"at most (\d+) key points")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}")
_LEAD_IN = re.compile(r"^(?:So|Now|Well|And|But|Okay|Also|Then|However|In fact|As you can see),?\s+", re.I)
_IS = re.compile(r"\b(is|are|was|were|can|will|has|have|must|should)\b (?!not\b)")

_NOWHERE = (
    "The minister resigned after the vote in parliament.",
    "Penguins were seen on the northern coast for the first time.",
    "A recipe with three eggs and saffron concludes the evening.",
    "The orchestra tuned its violins before the overture.",
    "Shares of the shipping company fell after the announcement.",
    "The glacier retreated behind the old monastery.",
    "Her grandfather restored steam locomotives in his workshop.",
    "The referee cancelled the semifinal because of lightning.",
)
_STRANGERS = ("Wolverhampton", "Kowalczyk", "Montevideo", "Ferdinand", "Kilimanjaro")


@dataclass
class Inventor:
    """Answers questions of Gloss for summaries; give it to a server as `answer`."""

    rate: float = 0.3
    """Share of sentences that are false."""
    seed: int = 1
    repents: float = 1 / 3
    """Share of false sentences that it writes rightly when it is asked again…"""
    withdraws: float = 1 / 3
    """…and that it takes back; the rest it repeats."""
    true: set[str] = field(default_factory=set)
    false: set[str] = field(default_factory=set)
    kinds: dict[str, str] = field(default_factory=dict)
    """Of each false sentence, how it was made."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, asked: Asked) -> str:
        """Answer one question; the same question gets the same answer."""
        draw = random.Random(f"{self.seed} {asked.text}")  # noqa: S311 - a liar, not a secret
        lines = [(int(number), text) for number, text in _LINE.findall(asked.text)]
        if "Write it again in one sentence" in asked.text:
            return self._again(asked.text, lines, draw)
        most = int(found[1]) if (found := _MOST.search(asked.text)) else 1
        points = int(found[1]) if (found := _POINTS.search(asked.text)) else 0
        answer: dict[str, object] = {"sentences": self._sentences(lines, most, draw)}
        if '"title"' in asked.text:
            longest = max(lines, key=lambda line: len(line[1]))[1]
            answer["title"] = " ".join(re.findall(r"\w+", longest)[:5])
        if points:
            answer["key_points"] = self._sentences(lines, points, draw)
        return json.dumps(answer, ensure_ascii=False)

    def _sentences(
        self, lines: list[tuple[int, str]], most: int, draw: random.Random
    ) -> list[dict[str, object]]:
        telling = [line for line in lines if len(line[1].split()) >= 4] or lines
        chosen = sorted(draw.sample(telling, min(most, len(telling))))
        sentences: list[dict[str, object]] = []
        for number, text in chosen:
            if draw.random() < self.rate:
                kind, sentence = _falsified(text, draw)
                with self._lock:
                    self.false.add(sentence)
                    self.kinds[sentence] = kind
            else:
                sentence = _retold(text)
                with self._lock:
                    self.true.add(sentence)
            sentences.append({"text": sentence, "lines": [number]})
        return sentences

    def _again(self, question: str, lines: list[tuple[int, str]], draw: random.Random) -> str:
        """Write a sentence again: rightly, not at all, or as it was."""
        quoted = re.findall(r"^\| (.*)$", question.split("two marks of its own:")[1], re.M)
        sentence = " ".join(quoted)
        if sentence in self.true:  # it stands by what is true
            return json.dumps({"sentences": [{"text": sentence, "lines": []}]}, ensure_ascii=False)
        chance = draw.random()
        if chance < self.repents and lines:
            words = set(sentence.casefold().split())
            number, text = max(lines, key=lambda line: len(words & set(line[1].casefold().split())))
            true = _retold(text)
            with self._lock:
                self.true.add(true)
            return json.dumps({"sentences": [{"text": true, "lines": [number]}]}, ensure_ascii=False)
        if chance < self.repents + self.withdraws:
            return json.dumps({"sentences": []})
        return json.dumps({"sentences": [{"text": sentence, "lines": []}]}, ensure_ascii=False)


def _retold(text: str) -> str:
    """Say a line in a slightly other way, all of it still true."""
    text = _LEAD_IN.sub("", text.strip())
    head, comma, tail = text.rstrip(".").partition(", ")
    if comma and re.match(r"(?:when|if|because|after|before|while|as|since|although)\b", head, re.I):
        text = f"{tail[:1].upper()}{tail[1:]} {head[:1].lower()}{head[1:]}."
    text = f"{text[:1].upper()}{text[1:]}"
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."


def _falsified(text: str, draw: random.Random) -> tuple[str, str]:
    """Make a line false, in one of four ways."""
    ways = ["nowhere"]
    if _NUMBER.search(text):
        ways += ["number"] * 2
    if _NAME.search(text):
        ways += ["name"] * 2
    if _IS.search(text):
        ways.append("denied")
    way = draw.choice(ways)
    match way:
        case "number":
            found = draw.choice(list(_NUMBER.finditer(text)))
            other = str(int(re.sub(r"\D", "", found[0])) * 3 + 7)
            return way, _retold(text[: found.start()] + other + text[found.end() :])
        case "name":
            found = draw.choice(list(_NAME.finditer(text)))
            return way, _retold(text[: found.start()] + draw.choice(_STRANGERS) + text[found.end() :])
        case "denied":
            return way, _retold(_IS.sub(r"\1 not ", text, count=1))
        case _:
            return way, draw.choice(_NOWHERE)
