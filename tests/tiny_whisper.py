"""A tiny checkpoint of the Whisper architecture, laid out like the genuine ones.

The weights committed in tests/tiny_whisper are those of `tests/train_tiny_whisper.py`: they know the words
of `tests/speech_media.py` and nothing else. Here they become a folder such as a genuine one is on the hub:
51,865 tokens with the genuine numbers of the special ones, so that the code that loads real weights is run.
Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from tests.speech_media import vocabulary

WEIGHTS = Path(__file__).parent / "tiny_whisper" / "compact.safetensors"

VOCABULARY_SIZE = 51865
END_OF_TEXT, START, TRANSLATE, TRANSCRIBE = 50257, 50258, 50358, 50359
START_OF_LM, START_OF_PREVIOUS, NO_SPEECH, NO_TIMESTAMPS, FIRST_TIMESTAMP = 50360, 50361, 50362, 50363, 50364
TIMESTAMPS = 1501
FULL_STOP = 13
SPACE = 220

HALVES = (
    "water+melon",
    "butter+fly",
    "eisen+bahn",
    "regen+bogen",
)
"""Words of two tokens each; all others have one."""

ALIGNMENT_HEADS = [[2, 0], [2, 1]]
"""Cross-attention heads (layer, head) trained to look at the word being written."""

UNUSED_LOGIT = -100.0
"""Logit of every token that was not trained; see `_all_embeddings`."""


def language_ids() -> dict[str, int]:
    """Number the languages as the multilingual Whisper of 2022 does: 99, without Cantonese."""
    codes = [code for code in LANGUAGES if code != "yue"]
    return {code: START + 1 + index for index, code in enumerate(codes)}


def special_tokens() -> list[str]:
    """List the special tokens in the order of their numbers, from `END_OF_TEXT` on."""
    languages = [f"<|{code}|>" for code in language_ids()]
    tasks = ["translate", "transcribe", "startoflm", "startofprev", "nocaptions", "notimestamps"]
    return ["<|endoftext|>", "<|startoftranscript|>", *languages, *(f"<|{task}|>" for task in tasks)]


def _byte_letters() -> dict[int, str]:
    """Map bytes to the letters that byte-level BPE writes them with, in the order of their tokens."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(hidden))]
    return dict(zip([*printable, *hidden], letters, strict=True))


def _spell(text: str) -> list[str]:
    letters = _byte_letters()
    return [letters[byte] for byte in text.encode()]


def _chain(letters: Sequence[str]) -> list[tuple[str, str]]:
    """Merge from the left until one token is left."""
    return [("".join(letters[:index]), letters[index]) for index in range(1, len(letters))]


def merges() -> list[tuple[str, str]]:
    """Give the merges that make each word one token, and the words of `HALVES` two."""
    halves = {half.replace("+", ""): half.split("+") for half in HALVES}
    firsts = [halves.get(word, [word])[0] for language in ("en", "de") for word in vocabulary(language)]
    chains = [_chain(_spell(" " + first)) for first in firsts]
    chains += [_chain(_spell(second)) for _, second in halves.values()]
    return list(dict.fromkeys(pair for chain in chains for pair in chain))


def make_tokenizer() -> Tokenizer:
    """Make the byte-level BPE; tokens that no text ever gives fill the numbers up to the special ones."""
    pairs = merges()
    tokens = [*_byte_letters().values(), *(left + right for left, right in pairs)]
    tokens += [f"unused{number}" for number in range(len(tokens), END_OF_TEXT - 1)]
    # The genuine one's last; by it CTranslate2 tells a multilingual model from an English one.
    tokens.append("")
    ids = {token: number for number, token in enumerate([*tokens, "<|endoftext|>"])}
    tokenizer = Tokenizer(BPE(ids, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = [AddedToken(token, normalized=False, special=True) for token in special_tokens()]
    tokenizer.add_special_tokens(specials)
    times = [f"<|{0.02 * index:.2f}|>" for index in range(TIMESTAMPS)]
    tokenizer.add_tokens([AddedToken(time, normalized=False) for time in times])
    return tokenizer


def trained_ids(tokenizer: Tokenizer) -> list[int]:
    """List the tokens that have trained embeddings, in the order of the rows of the committed weights."""
    words = [word for language in ("en", "de") for word in vocabulary(language)]
    texts = {number for word in words for number in tokenizer.encode(" " + word).ids}
    languages = [language_ids()[code] for code in ("en", "de")]
    specials = [END_OF_TEXT, START, *languages, TRANSCRIBE, START_OF_PREVIOUS, NO_SPEECH, NO_TIMESTAMPS]
    return [FULL_STOP, *sorted(texts), *specials, *range(FIRST_TIMESTAMP, VOCABULARY_SIZE)]


def model_config(vocabulary_size: int = VOCABULARY_SIZE) -> WhisperConfig:
    """Describe the network; with fewer tokens, the one that is trained."""
    ids: dict[str, Any] = {}
    if vocabulary_size == VOCABULARY_SIZE:
        ids = {"bos_token_id": END_OF_TEXT, "eos_token_id": END_OF_TEXT, "pad_token_id": END_OF_TEXT}
        ids |= {"decoder_start_token_id": START, "begin_suppress_tokens": [SPACE, END_OF_TEXT]}
    else:
        ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, "decoder_start_token_id": 0}
    return WhisperConfig(
        vocab_size=vocabulary_size,
        num_mel_bins=80,
        d_model=80,
        encoder_layers=4,
        encoder_attention_heads=4,
        encoder_ffn_dim=256,
        decoder_layers=3,
        decoder_attention_heads=2,
        decoder_ffn_dim=256,
        **ids,
    )


def generation_config(suppressed: Sequence[int]) -> GenerationConfig:
    """Describe decoding as the genuine folders do."""
    return GenerationConfig(  # type: ignore[no-untyped-call]  # transformers
        alignment_heads=ALIGNMENT_HEADS,
        begin_suppress_tokens=[SPACE, END_OF_TEXT],
        bos_token_id=END_OF_TEXT,
        decoder_start_token_id=START,
        eos_token_id=END_OF_TEXT,
        forced_decoder_ids=[[1, None], [2, TRANSCRIBE]],
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": number for code, number in language_ids().items()},
        max_initial_timestamp_index=50,
        max_length=448,
        no_timestamps_token_id=NO_TIMESTAMPS,
        pad_token_id=END_OF_TEXT,
        prev_sot_token_id=START_OF_PREVIOUS,
        return_timestamps=False,
        suppress_tokens=list(suppressed),
        task_to_id={"transcribe": TRANSCRIBE, "translate": TRANSLATE},
    )


def suppressed_ids(tokenizer: Tokenizer) -> list[int]:
    """List tokens that are no speech, as genuine folders do: symbols of one token, and special tokens."""
    symbols = [number for symbol in '"#()*+/:;<=>@[\\]^_`{|}~' for number in tokenizer.encode(symbol).ids]
    return sorted([*symbols, START, TRANSLATE, TRANSCRIBE, START_OF_LM, START_OF_PREVIOUS, NO_SPEECH])


def _all_embeddings(compact: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
    """Put trained rows among 51,865.

    The last layer norm of the decoder gives 1 in its first dimension whatever its input is; a row that has
    `UNUSED_LOGIT` there and zeros elsewhere is therefore a token that is never written.
    """
    full = torch.zeros(VOCABULARY_SIZE, compact.shape[1])
    full[:, 0] = UNUSED_LOGIT
    full[torch.tensor(rows)] = compact
    return full


POSITION_DIMENSIONS = 20
"""Dimensions of the encoder that hold the position; the others are left to the sound."""


def position_rates() -> torch.Tensor:
    """Angles per frame of the sinusoids, falling geometrically from 0.8 to 0.002."""
    return 0.8 * (0.002 / 0.8) ** torch.linspace(0, 1, POSITION_DIMENSIONS // 2)


def encoder_positions(width: int) -> torch.Tensor:
    """Give the positions of the encoder, of shape (1500, width): sinusoids in a few dimensions.

    Kept apart from the sound, they are learnt to be used within minutes.
    """
    angles = torch.arange(1500.0)[:, None] * position_rates()
    positions = torch.zeros(1500, width)
    positions[:, :POSITION_DIMENSIONS] = torch.cat([angles.sin(), angles.cos()], dim=1)
    return positions


def all_weights(weights: Path, rows: Sequence[int]) -> dict[str, torch.Tensor]:
    """Read compact weights and add what follows from them: positions of the encoder, unused tokens."""
    state = {name: tensor.float() for name, tensor in load_file(weights).items()}
    compact = state["model.decoder.embed_tokens.weight"]
    state["model.decoder.embed_tokens.weight"] = _all_embeddings(compact, rows)
    state["model.encoder.embed_positions.weight"] = encoder_positions(compact.shape[1])
    return state


def build_checkpoint(folder: Path, weights: Path = WEIGHTS) -> Path:
    """Write a folder such as `openai/whisper-tiny` is on the hub: weights, tokenizer and configurations."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {
        "tokenizer_class": "WhisperTokenizer",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "additional_special_tokens": special_tokens(),
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": True,
        "errors": "replace",
        "model_max_length": 1024,
        "processor_class": "WhisperProcessor",
        "return_attention_mask": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=2), encoding="utf-8")
    config = model_config()
    config.architectures = ["WhisperForConditionalGeneration"]
    config.save_pretrained(folder)
    generation_config(suppressed_ids(tokenizer)).save_pretrained(folder)
    extractor = WhisperFeatureExtractor(processor_class="WhisperProcessor")  # type: ignore[no-untyped-call]
    extractor.save_pretrained(folder)
    state = all_weights(weights, trained_ids(tokenizer))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def convert_checkpoint(folder: Path, target: Path) -> Path:
    """Convert a checkpoint for CTranslate2, as `ct2-transformers-converter` does for genuine weights."""
    from ctranslate2.converters import TransformersConverter

    copied = ["tokenizer.json", "preprocessor_config.json"]
    if target.exists():
        shutil.rmtree(target)
    TransformersConverter(str(folder), copy_files=copied).convert(str(target))
    return target
