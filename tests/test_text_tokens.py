"""Tokens are counted exactly where there is a tokenizer, and never too few where there is none."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from operators.quote import cut_to, quoted
from operators.text_tokens import estimate_tokens, text_counter
from schemas.config import ConfigError

MEASURED = [
    (
        "en",
        63,
        "Rivers carry more sand than wind does. Where a river slows down, the sand settles and "
        "builds a bank. After every flood the bank has moved a little, and people who live besi"
        "de it draw their maps again. Photosynthesis converts light energy into chemical energy"
        "; chlorophyll absorbs wavelengths near 680 nm.",
    ),
    (
        "upper",
        42,
        "QUARTERLY REVENUE SUMMARY AND ENVIRONMENTAL RESPONSIBILITY REPORT CONFIDENTIAL DRAFT N"
        "OT FOR DISTRIBUTION APPENDIX SCHEDULE OF PAYMENTS",
    ),
    (
        "de",
        94,
        "Die Geschwindigkeitsbegrenzung auf der Bundesautobahn wurde während der Straßenbauarbe"
        "iten vorübergehend herabgesetzt. Größere Überschwemmungen führten zu Verzögerungen, au"
        "ßerdem müssen Fußgänger den Übergang benützen.",
    ),
    (
        "fr",
        68,
        "L'évolution des dépenses publiques a été présentée à l'assemblée générale; où les dépu"
        "tés s'étaient réunis dès février, malgré les difficultés économiques rencontrées.",
    ),
    (
        "pl",
        102,
        "Zażółć gęślą jaźń. W przeszłości społeczeństwo często pomijało znaczenie źródeł odnawi"
        "alnych, jednak dziś większość państw inwestuje w elektrownie słoneczne.",
    ),
    (
        "vi",
        148,
        "Các dòng sông mang theo nhiều cát hơn gió. Nơi dòng sông chảy chậm lại, cát lắng xuống"
        " và tạo thành bờ. Người dân sống bên cạnh vẽ lại bản đồ sau mỗi trận lụt.",
    ),
    (
        "ru",
        160,
        "Реки несут больше песка, чем ветер. Там, где река замедляется, песок оседает и образуе"
        "т отмель. После каждого наводнения жители заново чертят свои карты.",
    ),
    (
        "el",
        140,
        "Τα ποτάμια μεταφέρουν περισσότερη άμμο από τον άνεμο. Όπου το ποτάμι επιβραδύνεται, η "
        "άμμος καθιζάνει και σχηματίζει όχθη.",
    ),
    (
        "ar",
        103,
        "تحمل الأنهار رمالاً أكثر مما تحمله الرياح. وحيث يتباطأ النهر تترسب الرمال وتتكون ضفة ج"
        "ديدة بعد كل فيضان.",
    ),
    (
        "he",
        137,
        "נהרות נושאים יותר חול מאשר הרוח. במקום שבו הנהר מאט החול שוקע ובונה גדה, ואחרי כל שיטפ"
        "ון האנשים מציירים את המפות מחדש.",
    ),
    (
        "hi",
        144,
        "नदियाँ हवा से अधिक रेत ले जाती हैं। जहाँ नदी धीमी होती है, वहाँ रेत जम जाती है और किनारा बनाती है।",
    ),
    (
        "ta",
        238,
        "ஆறுகள் காற்றை விட அதிக மணலைச் சுமந்து செல்கின்றன. ஆறு மெதுவாகும் இடத்தில் மணல் படிகிறது.",
    ),
    (
        "th",
        154,
        "แม่น้ำพัดพาทรายมากกว่าลม ที่ซึ่งแม่น้ำไหลช้าลง ทรายจะตกตะกอนและก่อตัวเป็นตลิ่ง",
    ),
    (
        "zh",
        142,
        "河流携带的沙子比风多。河水变慢的地方,沙子沉积下来形成河岸。每次洪水之后,住在旁边的人们"
        "都要重新绘制地图。季度收入汇总与环境责任报告。",
    ),
    (
        "ja",
        87,
        "川は風よりも多くの砂を運びます。川の流れが遅くなるところでは砂が沈み、土手ができます。"
        "プロジェクトのスケジュールを確認してください。",
    ),
    (
        "ko",
        144,
        "강은 바람보다 더 많은 모래를 나릅니다. 강이 느려지는 곳에서는 모래가 가라앉아 둑을 만"
        "듭니다. 분기별 매출 요약 보고서.",
    ),
    (
        "am",
        129,
        "ወንዞች ከነፋስ የበለጠ አሸዋ ይሸከማሉ። ወንዙ በሚዘገይበት ቦታ አሸዋው ይቀመጣል።",
    ),
    (
        "num",
        70,
        "2024-05-17 12:30:45  1,234,567.89 EUR  +49 (0)30 901820  3.14159265 68% 1/2 0x7fFF IBA"
        "N DE89 3704 0044 0532 0130 00",
    ),
    (
        "code",
        95,
        "def text_counter(model_folder: Path | None) -> TextCounter:\n    if not path.is_file()"
        ":\n        return x[i+1] != None and {'a': 1, \"b\": [2, 3]}\n    for (int i=0; i<n; +"
        "+i) { sum += a[i]*b[i]; } // TODO",
    ),
    (
        "url",
        52,
        "https://www.example.org/a/b?id=Zk3dQ9&utm_source=newsletter#top user.name+tag@mail-ser"
        "ver.example.com C:\\Windows\\System32\\drivers\\etc",
    ),
    (
        "ocr",
        65,
        "lnvoice N0. A7X-99Zq Tota1: €4,5O0.0O Kd-Nr. XJ-2231B Ref:QWZ/77 vvith sha11 reIeased "
        "tbe cornpany Iimited Bj0rn",
    ),
    (
        "emoji",
        39,
        "Great job 👍🏽🎉 → see • point ① ✓ “quoted” — dash … ½ ™ ≤ √ ∑ ■ ▪ ►",
    ),
]
"""Name, most tokens by the vocabularies of GPT-2, cl100k and o200k (gpt-tokenizer 4.0), text."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a byte-level tokenizer, with marks of begin and end and a length at which it cuts."""
    made = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([text for _, _, text in MEASURED], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(made / "tokenizer.json"))
    return made


def test_a_tokenizer_at_hand_counts_all_and_nothing_else(folder: Path) -> None:
    """No marks of begin and end, no cut at its longest input, no padding: bytes apart, 40 are 40."""
    count = text_counter(folder)
    assert count("") == 0
    assert count("\x01" * 40) == 40
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    plain.no_truncation()
    plain.no_padding()
    for _, _, text in MEASURED:
        assert count(text) == len(plain.encode(text).ids) - 2


def test_text_that_looks_like_a_mark_counts_no_less_than_it_costs(folder: Path) -> None:
    """A tokenizer takes `</s>` for one token; so does the model."""
    assert text_counter(folder)("</s>") == 1


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"model": {"type": "BPE"}}', b"\xff\xfe"])
def test_a_broken_tokenizer_is_refused_by_its_path(tmp_path: Path, content: bytes) -> None:
    """Before the run, not at the first clip."""
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        text_counter(tmp_path)


def test_without_a_tokenizer_tokens_are_estimated(tmp_path: Path) -> None:
    """A server's model has no folder; some folders have no such file."""
    assert text_counter(None) is estimate_tokens
    assert text_counter(tmp_path) is estimate_tokens


@pytest.mark.parametrize(("name", "most", "text"), MEASURED)
def test_the_estimate_is_not_too_low_in_any_script_and_not_far_too_high(
    name: str, most: int, text: str
) -> None:
    """Against what real vocabularies gave."""
    assert most <= estimate_tokens(text) <= 2.5 * most, name


@given(st.text(max_size=60))
def test_the_estimate_is_at_most_the_bytes(text: str) -> None:
    """No byte-level tokenizer needs more, so neither does the estimate."""
    assert 0 <= estimate_tokens(text) <= len(text.encode("utf-8", "surrogatepass"))


@given(st.text(st.sampled_from("abAB1 \n.éж中€ไ"), max_size=30), st.text("abAB1 é中", max_size=5))
def test_more_text_never_has_fewer(text: str, more: str) -> None:
    """Cutting text by halving rests on it."""
    assert estimate_tokens(text) <= estimate_tokens(text + more)


@given(st.sampled_from(MEASURED), st.integers(0, 120))
def test_a_quote_is_cut_to_its_tokens(measured: tuple[str, int, str], most: int) -> None:
    """By the estimate, in any script."""
    cut = cut_to(measured[2], most, estimate_tokens)
    assert estimate_tokens(quoted(cut)) <= most


def test_a_book_is_estimated_in_no_time() -> None:
    """A megabyte without a space."""
    started = time.perf_counter()
    assert estimate_tokens("a" * 1_000_000) == 400_000
    assert estimate_tokens("中1 " * 300_000) > 0
    assert time.perf_counter() - started < 10
