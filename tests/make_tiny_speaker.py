"""Make the tiny voice model of the tests, and the voices that it has to tell apart.

    PYTHONPATH=/folder/with/onnx python -m tests.make_tiny_speaker

needs espeak-ng, torch, onnx and sherpa-onnx, and takes three minutes on a core. A network of two
convolutions and statistics pooling (Snyder et al., X-Vectors, 2018) learns to tell some hundred synthetic
voices apart with an additive margin (Wang et al., Additive Margin Softmax, 2018). It is written as an export
of WeSpeaker is, with the metadata by which sherpa-onnx knows one, and heard through the features that
sherpa-onnx computes. The three voices of the tests are not among those it learnt.
"""

import itertools
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import sherpa_onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from tests.speech_media import RATE_HZ, Samples, read_sound, write_sound

FOLDER = Path(__file__).parent / "tiny_speaker"
MODEL, MELS, DIMENSIONS = FOLDER / "voices.onnx", 80, 32
TOLD = {"low": ("en-us+m3", 30), "high": ("en-us+f2", 70), "other": ("en-us+marcelo", 40)}
"""The voices of the tests: what espeak-ng calls them, and their pitch (0-99)."""
VARIANTS = (
    "m1 m2 m4 m5 m6 m7 f1 f3 f4 f5 Alex Alicia Andrea Andy Annie Denis Diogo Gene Hugo Jacky Lee Marco Mario "
    "Michael Mike Storm adam anika announcer aunty belinda boris caleb croak david ed edward grandma grandpa "
    "gustave iven john klatt klatt2 klatt3 linda max michel norbert paul pedro quincy rob robert steph "
    "travis victor zac"
)
PITCHES, SPEEDS = (20, 50, 80), (140, 160, 180)
SENTENCES, SENTENCE_WORDS, BATCH, STEPS = 8, 7, 64, 1500
WORDS = (
    "apple basket candle dragon elephant flower garden hammer island jungle kitchen lemon mountain number "
    "orange pencil queen river silver table umbrella village window yellow zebra bridge cloud seven winter "
    "music we they should never think about what happens before good people always choose quiet places"
)
METADATA = {
    "framework": "wespeaker",
    "language": "English",
    "url": "tests/make_tiny_speaker.py",
    "comment": "a toy: it knows synthetic voices only",
    "sample_rate": RATE_HZ,
    "output_dim": DIMENSIONS,
    "normalize_samples": 0,
    "feature_normalize_type": "global-mean",
}


def spoken(text: str, voice: str, pitch: int, speed: int) -> Samples:
    """Synthesise a sentence at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "-w", str(path), text]
        subprocess.run(command, check=True)
        samples = read_sound(path)
    return np.asarray(samples * (0.08 / np.sqrt(np.mean(samples**2))), np.float32)


def save(nodes: list[Any], weights: dict[str, NDArray[Any]], dimensions: int, path: Path) -> None:
    """Write a graph from `feats` (1, frames, 80) to `embs` (1, dimensions) with the metadata of an export."""
    graph = helper.make_graph(
        nodes,
        "voices",
        [helper.make_tensor_value_info("feats", TensorProto.FLOAT, ["B", "T", MELS])],
        [helper.make_tensor_value_info("embs", TensorProto.FLOAT, ["B", dimensions])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in METADATA.items():
        model.metadata_props.add(key=key, value=str(value))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


class Features:
    """The features sherpa-onnx computes, by a model that gives back what it is given."""

    def __init__(self, folder: Path) -> None:
        """Write the model and load it."""
        path = folder / "features.onnx"
        shape = {"flat": np.array([1, -1], np.int64)}
        save([helper.make_node("Reshape", ["feats", "flat"], ["embs"])], shape, 0, path)
        config = sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=str(path))
        self._extractor = sherpa_onnx.SpeakerEmbeddingExtractor(config)

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """Return features, shape (frames, 80), 10 ms apart."""
        stream = self._extractor.create_stream()
        stream.accept_waveform(RATE_HZ, samples)
        stream.input_finished()
        return np.asarray(self._extractor.compute(stream), np.float32).reshape(-1, MELS)


class Net(nn.Module):
    """Two convolutions, mean and deviation over time, a projection."""

    def __init__(self) -> None:
        """Draw the weights."""
        super().__init__()
        self.first, self.second = nn.Conv1d(MELS, 48, 3), nn.Conv1d(48, 48, 3, dilation=2)
        self.last = nn.Linear(96, DIMENSIONS)

    def forward(self, feats: torch.Tensor) -> torch.Tensor:
        """Map features (batch, frames, 80) to prints (batch, 32)."""
        hidden = functional.relu(self.first(feats.transpose(1, 2)))
        hidden = functional.relu(self.second(hidden))
        mean = hidden.mean(2)
        deviation = torch.sqrt(((hidden - mean[:, :, None]) ** 2).mean(2) + 1e-4)
        prints: torch.Tensor = self.last(torch.cat([mean, deviation], 1))
        return prints


def heard(features: Features, rng: random.Random) -> list[list[NDArray[np.float32]]]:
    """Synthesise the voices to learn: for each the features of some sentences."""
    voices = [(f"en-us+{variant}", pitch) for variant, pitch in itertools.product(VARIANTS.split(), PITCHES)]
    said = []
    for voice, pitch in voices:
        texts = [" ".join(rng.sample(WORDS.split(), SENTENCE_WORDS)) for _ in range(SENTENCES)]
        said.append([features(spoken(text, voice, pitch, rng.choice(SPEEDS))) for text in texts])
    seconds = sum(len(sentence) for voice in said for sentence in voice) / 100
    print(f"{len(said)} voices, {seconds:.0f} s", file=sys.stderr)
    return said


def train(said: list[list[NDArray[np.float32]]], rng: random.Random) -> Net:
    """Learn to tell the voices apart in cuts of 0.8 to 2 s, with some noise."""
    net, centres = Net(), nn.Parameter(torch.randn(len(said), DIMENSIONS))
    optimiser = torch.optim.AdamW([*net.parameters(), centres], 3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=STEPS)
    for step in range(STEPS):
        who = torch.tensor([rng.randrange(len(said)) for _ in range(BATCH)])
        length = rng.randrange(80, 200)
        cuts = []
        for voice in who.tolist():
            whole = rng.choice(said[voice])
            start = rng.randrange(max(1, len(whole) - length))
            cut = torch.tensor(np.resize(whole[start : start + length], (length, MELS)))
            cuts.append(cut - cut.mean(0) + 0.1 * torch.randn(length, MELS))
        cosine = functional.normalize(net(torch.stack(cuts))) @ functional.normalize(centres).T
        margin = 0.2 * functional.one_hot(who, len(said))
        loss = functional.cross_entropy(20 * (cosine - margin), who)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            right = (cosine.argmax(1) == who).float().mean()
            print(f"step {step}: loss {loss:.3f}, right {right:.2f}", file=sys.stderr)
    return net


def write(net: Net, path: Path) -> None:
    """Write the network as ONNX, its weights in half precision."""
    weights: dict[str, NDArray[Any]] = {
        name.replace(".", "_"): value.detach().numpy().astype(np.float16)
        for name, value in net.named_parameters()
    }
    nodes = [helper.make_node("Cast", [name], [f"{name}_32"], to=TensorProto.FLOAT) for name in weights]
    weights["small"] = np.array([1e-4], np.float32)

    def add(kind: str, inputs: str, output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(kind, inputs.split(), [output], **attributes))

    add("Transpose", "feats", "turned", perm=[0, 2, 1])
    add("Conv", "turned first_weight_32 first_bias_32", "conv1")
    add("Relu", "conv1", "hidden1")
    add("Conv", "hidden1 second_weight_32 second_bias_32", "conv2", dilations=[2])
    add("Relu", "conv2", "hidden2")
    add("ReduceMean", "hidden2", "mean", axes=[2], keepdims=1)
    add("Sub", "hidden2 mean", "centred")
    add("Mul", "centred centred", "squared")
    add("ReduceMean", "squared", "variance", axes=[2], keepdims=1)
    add("Add", "variance small", "positive")
    add("Sqrt", "positive", "deviation")
    add("Concat", "mean deviation", "pooled", axis=1)
    add("Flatten", "pooled", "flat", axis=1)
    add("Gemm", "flat last_weight_32 last_bias_32", "embs", transB=1)
    save(nodes, weights, DIMENSIONS, path)


def say(rng: random.Random) -> None:
    """Write the sentences of the three voices."""
    for name, (voice, pitch) in TOLD.items():
        said = [spoken(" ".join(rng.sample(WORDS.split(), 4)), voice, pitch, 160) for _ in range(5)]
        write_sound(FOLDER / f"{name}.opus", np.concatenate(said), bit_rate=24_000)


def main() -> None:
    """Make the model and the sentences."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rng = random.Random(0)  # noqa: S311 - no secret
    FOLDER.mkdir(exist_ok=True)
    say(rng)
    with tempfile.TemporaryDirectory() as folder:
        write(train(heard(Features(Path(folder)), rng), rng), MODEL)


if __name__ == "__main__":
    main()
