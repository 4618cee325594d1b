"""The main language of an asset is named, or nothing is."""

import pytest

from operators.language import detect_language, iso_639_1


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("A leaf needs three things: light, water and carbon dioxide.", "en"),
        ("Der schnelle braune Fuchs springt über den faulen Hund.", "de"),
        ("Le gouvernement a annoncé une réforme des retraites pour l'automne.", "fr"),
        ("La casa es muy grande y bonita, y tiene un jardín con árboles.", "es"),
        ("Привет, как дела сегодня утром? Мы едем на дачу.", "ru"),
        ("Це українське речення про погоду та їжу.", "uk"),
        ("این یک متن فارسی درباره آب و هوا است", "fa"),
        ("هذا نص باللغة العربية عن الطقس في المدينة", "ar"),
        ("光合作用", "zh"),
        ("光合成は葉で行われる", "ja"),
        ("ラーメン", "ja"),
        ("안녕하세요", "ko"),
        ("שלום עולם", "he"),
        ("Καλημέρα κόσμε", "el"),
        ("สวัสดีครับ", "th"),
        ("नमस्ते", "hi"),
    ],
)
def test_languages(text: str, language: str) -> None:
    """Scripts that belong to one language need a word, the others a sentence."""
    assert detect_language([text]) == language


@pytest.mark.parametrize("text", ["", "OK", "12 345,67", "C02-22 XK 99", "x = f(y)", "A1 B2 C3 D4 E5 F6 G7"])
def test_too_little_text_has_no_language(text: str) -> None:
    """Numbers, codes and single words are not guessed at."""
    assert detect_language([text]) is None


def test_the_main_language_of_a_mixed_text_is_that_of_most_letters() -> None:
    """A Chinese slide among English ones does not make the lecture Chinese."""
    english = [
        "What a leaf needs",
        "Light from the sun",
        "Water from the roots",
        "Carbon dioxide from the air",
    ]
    assert detect_language([*english, "光合作用", "释放氧气"]) == "en"


def test_stated_language_does_not_overrule_the_text_but_settles_a_tie() -> None:
    """Metadata is often a default; it decides only between what is possible."""
    assert detect_language(["A leaf needs three things: light, water and air."], "deu") == "en"
    assert detect_language(["12 345"], "de") is None
    # Danish and Norwegian have almost the same sentence.
    either = ["Samlet regnskap for kommunen"]
    assert detect_language(either, "no") in {"no", None}


def test_repeated_text_and_order_do_not_change_the_answer() -> None:
    """A footer on a thousand slides weighs as one line."""
    texts = ["Der Fuchs springt über den faulen Hund.", *["Powered by the ACME cloud platform"] * 1000]
    texts += ["Die Blätter brauchen Licht, Wasser und Luft zum Leben.", "Das Wasser kommt aus den Wurzeln."]
    assert detect_language(texts) == "de"


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en-US", "en"),
        ("eng", "en"),
        ("zh_Hant", "zh"),
        ("GER", "de"),
        ("und", None),
        ("", None),
        (None, None),
    ],
)
def test_tags_are_reduced_to_two_letters(tag: str | None, code: str | None) -> None:
    """BCP 47 and ISO 639-2 tags as containers state them."""
    assert iso_639_1(tag) == code
