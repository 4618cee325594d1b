"""Whether what a sentence affirms is denied where it rests, or the other way round.

`The rest does not become heat` has every word of `The rest becomes heat`, so that counting words bears it
out. A negation reaches over the words behind it up to the end of its clause (Chapman et al. 2001, NegEx,
with a window of words), in German over the few before it too, whose verbs come first. Two texts clash when
a word they share is within reach of a negation in one and the other has no negation at all.

What this cannot see: opposites (`rises` for `falls`), and sentences with two negations that cancel out.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile

from operators.word_forms import plain, plain_words
from operators.words import is_unspaced

REACH = 8
"""Words behind a negation that it may deny."""

CLOSE = 4
"""Words behind a negation that it surely denies."""

REACH_BACK = 2
"""Words before it, where verbs stand before their negation (`wächst nicht`)."""

_NEGATIONS = {
    "en": "not no never none neither nor cannot nobody nothing nowhere",
    "de": "nicht kein keine keinen keinem keiner keines nie niemals nichts niemand weder",
    "fr": "pas jamais aucun aucune rien personne ni",
    "es": "no nunca jamás ningún ninguna ninguno nada nadie ni tampoco",
    "it": "non mai nessun nessuno nessuna niente nulla né",
    "pt": "não nunca jamais nenhum nenhuma nada ninguém nem",
    "nl": "niet geen nooit niets niemand",
    "ru": "не нет никогда ничего никто ни нельзя",
    "sv": "inte ingen inget inga aldrig",
    "da": "ikke ingen intet aldrig",
    "no": "ikke ingen intet aldri",
    "pl": "nie nigdy nic nikt",
}
_MAYBE = {
    "en": (
        "without only just fail fails failed lack lacks lacking unable impossible hardly barely rarely "
        "seldom prevent prevents avoid avoids avoided instead except unless longer stop stops stopped "
        "refuse refuses refused deny denies denied absent absence few missing question whether"
    ),
    "de": (
        "ohne nur sondern kaum selten statt außer unmöglich fehlt fehlen verhindert vermeidet sonst bloß ob"
    ),
    "fr": "sans seulement sauf manque impossible peu empêche évite plutôt guère",
    "es": "sin solo sólo sino salvo falta imposible poco evita impide apenas",
    "it": "senza solo soltanto ma tranne manca impossibile poco evita impedisce",
    "pt": "sem só apenas mas exceto falta impossível pouco evita impede",
    "nl": "zonder alleen maar behalve nauwelijks zelden onmogelijk",
}
"""Words that deny in other ways, or limit a negation (`not only`): where one stands, nothing is concluded."""

_ASIAN = re.compile("不|没|未|無|无|ない|ません|なかった|아니|않|못|없")
_ASIAN_BEFORE = "不没未無无안못"
"""Of these, those that stand before what they deny."""
_ASIAN_MAYBE = re.compile(
    "不仅|不但|不过|不同|不断|不少|不只|无论|不管|不久|不如|没想到|かもしれない|なければ|だけでな|不得不"
)
_CLAUSE = re.compile(r"[,;:.!?()，。；：！？、]|\s[–—-]\s")
_TURNS = frozenset(("but", "sondern", "aber", "mais", "sino", "pero", "ma", "bensi", "mas", "maar", "но"))
"""Words that end what is denied: `not software but machines`."""
_VERB_FIRST = ("de", "nl", "fr", "sv", "da", "no")
"""Languages whose verb stands before its negation."""
_CONTRACTED = re.compile(r"n['’]t\b|\bcannot\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Polarity:
    """What a text denies."""

    denied: tuple[tuple[str, ...], ...]
    """For each negation the plain words that it reaches, the nearest first."""
    count: int
    """Its negations."""
    limits: int
    """Its words that deny or limit in ways that are not followed."""


def polarity(text: str, language: str | None) -> Polarity:
    """Find what a text denies; of languages that have no list here nothing is known to be denied."""
    if is_unspaced(text) or language == "ko":
        return _asian(text)
    negations, maybe = _lists(language)
    denied: list[tuple[str, ...]] = []
    count = limits = 0
    for clause in _CLAUSE.split(_CONTRACTED.sub(" not ", text)):
        words = plain_words(clause)
        places = [place for place, word in enumerate(words) if word in negations]
        count += len(places)
        limiting = sum(word in maybe for word in words)
        limits += limiting
        if limiting:
            continue
        for place in places:
            denied.append(tuple(takewhile(_goes_on, words[place + 1 : place + 1 + REACH])))
            if language in _VERB_FIRST:
                denied.append(tuple(reversed(words[max(0, place - REACH_BACK) : place])))
    return Polarity(tuple(denied), count, limits)


def _goes_on(word: str) -> bool:
    return word not in _TURNS


@cache
def _lists(language: str | None) -> tuple[frozenset[str], frozenset[str]]:
    key = language or "en"
    negations = frozenset(map(plain, _NEGATIONS.get(key, "").split()))
    return negations, frozenset(map(plain, _MAYBE.get(key, "").split()))


def _asian(text: str) -> Polarity:
    bare = _ASIAN_MAYBE.sub(" ", text)
    denied: list[tuple[str, ...]] = []
    for match in _ASIAN.finditer(bare):
        if match.group() in _ASIAN_BEFORE:
            near = _CLAUSE.split(bare[match.end() :])[0][:REACH]
        else:
            near = _CLAUSE.split(bare[: match.start()])[-1][-REACH:]
        words = plain_words(near)
        denied.append(tuple(words if match.group() in _ASIAN_BEFORE else reversed(words)))
    return Polarity(tuple(denied), len(denied), len(_ASIAN_MAYBE.findall(text)))


def clash(
    sentence: Polarity,
    sources: Sequence[tuple[Polarity, Mapping[str, Collection[str]]]],
    empty: Collection[str],
) -> bool:
    """Tell whether a sentence denies what its sources affirm, or affirms what they deny.

    Of what a negation of the sentence reaches, at least half must stand in a source that does not deny it;
    of what one of the best source reaches, the nearest word must stand in a sentence that has no negation.

    Args:
        sentence: Of the sentence.
        sources: What it rests on, the best first: its polarity, and which words of the sentence it has, each
            with the forms it has there.
        empty: Plain words that say nothing.
    """
    if sentence.count:
        scopes = [[word for word in scope[:CLOSE] if word not in empty] for scope in sentence.denied]
        return any(_is_affirmed(scope, sources) for scope in scopes if scope)
    best, shared = sources[0]
    if sentence.limits or best.limits:
        return False
    forms = {form for found in shared.values() for form in found}
    return not forms.isdisjoint(_nearest(best, empty))


def _is_affirmed(
    scope: Sequence[str], sources: Sequence[tuple[Polarity, Mapping[str, Collection[str]]]]
) -> bool:
    """Tell whether the sources that have most of these words, at least half, all affirm them."""
    counts = [sum(word in shared for word in scope) for _, shared in sources]
    most = max(counts)
    return 2 * most >= len(scope) and all(
        source.limits == 0 and not _denies(source, scope, shared)
        for count, (source, shared) in zip(counts, sources, strict=True)
        if count == most
    )


def _denies(source: Polarity, words: Sequence[str], shared: Mapping[str, Collection[str]]) -> bool:
    """Tell whether a source denies one of these words of a sentence."""
    forms = {form for word in words for form in (word, *shared.get(word, ()))}
    return any(not forms.isdisjoint(scope) for scope in source.denied)


def _nearest(polarity: Polarity, empty: Collection[str]) -> set[str]:
    """The nearest word that says something, of each negation."""
    found = (next((word for word in scope if word not in empty), None) for scope in polarity.denied)
    return {word for word in found if word is not None}


def parity_differs(sentence: Polarity, source: Polarity) -> bool:
    """Tell whether one of two texts in nearly the same words is negated and the other is not."""
    return sentence.limits == source.limits and (sentence.count - source.count) % 2 == 1
