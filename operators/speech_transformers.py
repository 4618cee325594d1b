"""Recognising speech with transformers (the extra `gloss[transformers]`).

Whisper as PyTorch weights, any folder as `save_pretrained` writes it. The library's `generate`
for Whisper takes one language for a batch, and with it gives neither the probability that nobody
speaks nor that of a language. The search beneath it is used here, with a start of its own for
each piece; one more pass over the finished text gives the probability of each token and, where
the cross-attention rests, its time.

Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from faster_whisper.tokenizer import Tokenizer
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoFeatureExtractor,
    AutoModelForSpeechSeq2Seq,
    AutoTokenizer,
    GenerationConfig,
    GenerationMixin,
)
from transformers.modeling_outputs import BaseModelOutput

from operators.speech_engine import SAMPLE_RATE, Samples, Transcript
from operators.whisper_words import Alignment, Written, best, count_frames, time_warp, transcript

SEED = 0
"""Of the sampling at temperatures above 0: what is heard in a piece can be heard again."""

_MEDIAN_FRAMES = 7
"""Width of the filter that smooths attention, as in OpenAI's code."""

_MOST_TOKENS = 224
"""Longest text of a piece: half of what the decoder has positions for, as in OpenAI's code."""


class TransformersEngine:
    """Whisper on PyTorch."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        revision: str,
        precision: str,
        beam_size: int,
        threads: int,
        gpu: bool,
    ) -> None:
        """Load a checkpoint.

        Args:
            folder: As `save_pretrained` writes it, with safetensors.
            name: Of engine and model.
            revision: Of library and weights.
            precision: Name of a type of PyTorch.
            beam_size: Width of the search.
            threads: Of one inference on a CPU.
            gpu: Whether it runs on a GPU.

        Raises:
            ValueError: Weights are missing, which the library would make up.
            MemoryError: It does not fit.
        """
        self.name = name
        self.revision = revision
        self._beam_size = beam_size
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if gpu else "cpu")
        with _within_memory():
            self._model = _load(folder, getattr(torch, precision)).to(self._device).eval()
        self._extractor = AutoFeatureExtractor.from_pretrained(  # type: ignore[no-untyped-call]
            folder, local_files_only=True
        )
        self._words = AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer
        self._heads = _alignment_heads(self._model)
        self._languages = _languages(self._model)
        self._model.generation_config = _plain_generation(self._model.generation_config)
        self._tokenizer = lru_cache(maxsize=None)(self._new_tokenizer)

    def transcribe(
        self,
        pieces: Sequence[Samples],
        languages: Sequence[str | None],
        temperatures: Sequence[float] = (0.0,),
    ) -> list[Transcript]:
        """Recognise pieces together; with several temperatures, one after the other.

        Raises:
            MemoryError: The batch is too large for the device.
        """
        with torch.inference_mode(), _within_memory():
            if tuple(temperatures) == (0.0,):
                return self._hear(pieces, languages, temperatures) if pieces else []
            return [
                self._hear([piece], [language], temperatures)[0]
                for piece, language in zip(pieces, languages, strict=True)
            ]

    def _hear(
        self, pieces: Sequence[Samples], languages: Sequence[str | None], temperatures: Sequence[float]
    ) -> list[Transcript]:
        encoded = self._encode(pieces)
        spoken, silence = self._start(encoded, languages)
        codes = [code for code, _ in spoken]
        frames = [count_frames(len(piece)) // 2 for piece in pieces]
        heard = self._search(encoded, codes, silence, frames, temperatures)
        return [
            transcript(written, aligned, self._tokenizer(code), len(piece) / SAMPLE_RATE, (code, sure))
            for (written, aligned), piece, (code, sure) in zip(heard, pieces, spoken, strict=True)
        ]

    def _encode(self, pieces: Sequence[Samples]) -> torch.Tensor:
        """Return what the encoder makes of pieces, shape (pieces, 1500, width)."""
        features = self._extractor(
            [np.asarray(piece, np.float32) for piece in pieces],
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
        ).input_features
        encoded: torch.Tensor = self._model.get_encoder()(
            features.to(self._device, self._model.dtype)
        ).last_hidden_state
        return encoded

    def _start(
        self, encoded: torch.Tensor, languages: Sequence[str | None]
    ) -> tuple[list[tuple[str, float]], list[float]]:
        """Ask what follows the start: a language each, and how probable it is that nobody speaks."""
        tokenizer = self._tokenizer("en")
        begun = torch.full((len(languages), 1), tokenizer.sot, device=self._device)
        logits = self._model(encoder_outputs=(encoded,), decoder_input_ids=begun).logits[:, 0].float()
        silence = logits.softmax(-1)[:, tokenizer.no_speech].tolist()
        if not self._languages:
            return [("en", 1.0)] * len(languages), silence
        codes = list(self._languages)
        sure, which = logits[:, list(self._languages.values())].softmax(-1).max(-1)
        detected = zip((codes[index] for index in which.tolist()), sure.tolist(), strict=True)
        spoken = [
            found if given is None else (given, 1.0) for given, found in zip(languages, detected, strict=True)
        ]
        return spoken, silence

    def _search(
        self,
        encoded: torch.Tensor,
        codes: Sequence[str],
        silence: Sequence[float],
        frames: Sequence[int],
        temperatures: Sequence[float],
    ) -> list[tuple[Written, Alignment]]:
        """Write each piece; with several temperatures, until a text is trusted."""
        tried: list[list[tuple[Written, Alignment]]] = []
        for temperature in temperatures:
            tokens = self._generate(encoded, codes, temperature)
            tried.append(self._judge(encoded, codes, tokens, silence, frames, temperature))
            if all(written.is_trusted for written, _ in tried[-1]):
                return tried[-1]
        if len(tried) == 1:
            return tried[0]
        found = [attempt[0] for attempt in tried]
        chosen = best([written for written, _ in found])
        return [next(attempt for attempt in found if attempt[0] is chosen)]

    def _generate(self, encoded: torch.Tensor, codes: Sequence[str], temperature: float) -> list[list[int]]:
        """Search for texts, as tokens of text alone."""
        torch.manual_seed(SEED)
        prompts = torch.tensor([self._prompt(code) for code in codes], device=self._device)
        search: dict[str, Any] = {"num_beams": self._beam_size}
        if temperature > 0:
            search = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        # Not Whisper's own `generate`, but the one beneath it.
        sequences = GenerationMixin.generate(
            self._model,
            encoder_outputs=BaseModelOutput(encoded),
            attention_mask=torch.ones(encoded.shape[:2], dtype=torch.long, device=self._device),
            decoder_input_ids=prompts,
            max_length=prompts.shape[1] + _MOST_TOKENS,
            **search,
        )
        end = self._tokenizer("en").eot
        return [[token for token in row if token < end] for row in sequences[:, prompts.shape[1] :].tolist()]

    def _judge(
        self,
        encoded: torch.Tensor,
        codes: Sequence[str],
        tokens: Sequence[list[int]],
        silence: Sequence[float],
        frames: Sequence[int],
        temperature: float,
    ) -> list[tuple[Written, Alignment]]:
        """Read finished texts once more: how probable each token is, and where it rests."""
        end = self._tokenizer("en").eot
        prompts = [self._prompt(code) for code in codes]
        rows = [torch.tensor([*prompt, *text, end]) for prompt, text in zip(prompts, tokens, strict=True)]
        padded = pad_sequence(rows, batch_first=True, padding_value=end).to(self._device)
        with self._watched() as attention:
            logits = self._model(encoder_outputs=(encoded,), decoder_input_ids=padded, use_cache=False).logits
        judged = []
        for index, (prompt, text) in enumerate(zip(prompts, tokens, strict=True)):
            first, count = len(prompt) - 1, len(text) + 1
            scores = logits[index, first : first + count].float()
            following = padded[index, first + 1 : first + 1 + count]
            mean = float(_chosen(scores.log_softmax(-1), following).mean())
            probable = _chosen(scores[:-1, :end].softmax(-1), following[:-1]).tolist()
            weights = torch.stack([head[index, first : first + count, : frames[index]] for head in attention])
            aligned = Alignment(time_warp(_rest_costs(weights)), probable)
            written_text = self._tokenizer(codes[index]).decode(text).strip()
            judged.append((Written(text, written_text, mean, silence[index], temperature), aligned))
        return judged

    @contextmanager
    def _watched(self) -> Iterator[list[torch.Tensor]]:
        """Collect the cross-attention of the heads that align, each (pieces, tokens, frames).

        Only eager attention can be looked at; it is too slow for the rest of the work.
        """
        seen: list[torch.Tensor] = []

        def keep(heads: Sequence[int]) -> Callable[..., None]:
            def look(_module: object, _inputs: object, output: Any) -> None:
                seen.extend(output[1][:, head].float() for head in heads)

            return look

        layers = self._model.get_decoder().layers
        hooks = [
            layers[layer].encoder_attn.register_forward_hook(keep(heads))
            for layer, heads in self._heads.items()
        ]
        usual = self._model.config._attn_implementation
        self._model.set_attn_implementation("eager")
        try:
            yield seen
        finally:
            self._model.set_attn_implementation(usual)
            for hook in hooks:
                hook.remove()

    def _prompt(self, code: str) -> list[int]:
        tokenizer = self._tokenizer(code)
        return [*tokenizer.sot_sequence, tokenizer.no_timestamps]

    def _new_tokenizer(self, code: str) -> Tokenizer:
        return Tokenizer(self._words, bool(self._languages), task="transcribe", language=code)


def _load(folder: Path, dtype: torch.dtype) -> Any:
    model, loading = AutoModelForSpeechSeq2Seq.from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        attn_implementation="sdpa",
        output_loading_info=True,
    )
    if missing := sorted(loading["missing_keys"]):
        msg = (
            f"Wanted all weights of a Whisper in {folder}; found none for {', '.join(missing[:3])} "
            f"({len(missing)} are missing). Take the folder as it was saved."
        )
        raise ValueError(msg)
    return model


def _languages(model: Any) -> dict[str, int]:
    """List the tokens of the languages the model knows; none for an English-only model."""
    known = getattr(model.generation_config, "lang_to_id", None) or {}
    return {token[2:-2]: number for token, number in known.items()}


def _alignment_heads(model: Any) -> dict[int, list[int]]:
    """List the heads that look at what is being written, by layer; if not stated, half of all."""
    stated = getattr(model.generation_config, "alignment_heads", None)
    layers, heads = model.config.decoder_layers, model.config.decoder_attention_heads
    by_layer: dict[int, list[int]] = {}
    for layer, head in stated or product(range(layers // 2, layers), range(heads)):
        by_layer.setdefault(layer, []).append(head)
    return by_layer


def _plain_generation(genuine: GenerationConfig) -> GenerationConfig:
    """Keep what the model wants suppressed, and nothing that the library does for Whisper alone."""
    return GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=genuine.bos_token_id,
        eos_token_id=genuine.eos_token_id,
        pad_token_id=genuine.pad_token_id,
        decoder_start_token_id=genuine.decoder_start_token_id,
        suppress_tokens=genuine.suppress_tokens or None,
        begin_suppress_tokens=genuine.begin_suppress_tokens or None,
    )


def _chosen(scores: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Take from each row, shape (tokens, vocabulary), what it gives the token."""
    return scores.gather(-1, tokens[:, None])[:, 0]


def _rest_costs(attention: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Turn the attention of several heads, (heads, tokens, frames), into costs of resting there.

    As OpenAI's `find_alignment`: attention to sound alone, normalised over the tokens, smoothed,
    and averaged over the heads.
    """
    weights = attention / attention.sum(-1, keepdim=True)
    deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    weights = (weights - mean) / deviation.clamp_min(1e-12)
    half = _MEDIAN_FRAMES // 2
    if weights.shape[-1] > half:
        padded = torch.nn.functional.pad(weights, (half, half), mode="reflect")
        weights = padded.unfold(-1, _MEDIAN_FRAMES, 1).median(-1).values
    return np.asarray(-weights.mean(0).cpu().numpy(), np.float32)


@contextmanager
def _within_memory() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    except RuntimeError as error:
        # The allocator for CPUs has no exception of its own.
        if "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower():
            raise MemoryError(str(error)) from error
        raise
