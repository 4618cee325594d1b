"""Texts and pictures become vectors: which is near which, and what is refused."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from jobs.models import run_models_list, run_models_pull
from operators.checkpoint_files import CheckpointError
from operators.embed_openai import MOST_CHARACTERS, OpenAiTextEmbedder, check_embedding_server
from operators.embed_transformers import TransformersFrameEmbedder, TransformersTextEmbedder
from operators.embedding_checkpoints import FRAMES, TEXT, check_checkpoint, text_steps
from operators.embedding_engine import of_length_one
from operators.embedding_engines import check_embedding, frames_name, text_name, text_revision
from operators.embedding_isolated import text_embedder
from operators.embedding_models import (
    FRAME_WEIGHTS,
    TEXT_WEIGHTS,
    embedding_folder,
    installed_embeddings,
    resolve_embedding,
)
from schemas.config import Config, ConfigError, Embedding, Speech, Vision, load_config
from schemas.failure import InputError, Reason
from tests import scenes
from tests.embedding_server import MODEL, embedding_server, letters
from tests.fake_hub import FakeHub, fake_hub
from tests.tiny_embedders import CLIP, SIGLIP, SYNONYMS, WORDS, write_modules

TEXTS = ["The ship left the port.", "a dog", "stone, " * 40, "We mend the automobile of the physician."]


@pytest.fixture(scope="module")
def words() -> Iterator[TransformersTextEmbedder]:
    """The model of words, loaded once."""
    threads = torch.get_num_threads()
    yield TransformersTextEmbedder(WORDS, name="", revision="")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=[CLIP, SIGLIP], ids=["clip", "siglip"])
def seer(request: pytest.FixtureRequest) -> TransformersFrameEmbedder:
    """Both models of pictures."""
    return TransformersFrameEmbedder(request.param, name="", revision="", batch=7)


# --- texts ----------------------------------------------------------------------------------


def test_words_that_mean_the_same_are_near(words: TransformersTextEmbedder) -> None:
    """Each word of a group is nearer to the others of its group than to any other word."""
    known = [word for group in SYNONYMS for word in group]
    group_of = {word: number for number, group in enumerate(SYNONYMS) for word in group}
    vectors = words.embed_texts(known)
    likeness = vectors @ vectors.T - 2 * np.eye(len(known))
    nearest = [known[index] for index in likeness.argmax(1)]
    assert [group_of[word] for word in nearest] == [group_of[word] for word in known]


def test_a_query_finds_the_sentence_that_says_it_in_other_words(words: TransformersTextEmbedder) -> None:
    """No word of the query stands in the sentence it finds."""
    vectors = words.embed_texts(TEXTS)
    assert vectors.dtype == np.float32
    assert (words.embed_query("a boat in the harbour") @ vectors.T).argmax() == 0
    assert (words.embed_query("the doctor will fix a car") @ vectors.T).argmax() == 3


def test_a_vector_does_not_depend_on_its_batch(words: TransformersTextEmbedder) -> None:
    """In any order, alone and padded: the same to a millionth, of length 1."""
    together = words.embed_texts(TEXTS)
    alone = np.concatenate([words.embed_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(words.embed_texts(TEXTS[::-1]), together[::-1], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def _plain(folder: Path, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """States of the tokens of one text, by transformers alone, and the ids."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer([text], return_tensors="pt", truncation=True)
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder, add_pooling_layer=False)(**ids).last_hidden_state[0]
    return states, ids["input_ids"][0]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
def test_pooling_is_as_the_checkpoint_states(tmp_path: Path, pooling: str, side: str) -> None:
    """Against the states of the text alone, whichever side is padded in the batch."""
    folder = shutil.copytree(WORDS, tmp_path / "words")
    write_modules(folder, pooling, 48, 64)
    _change(folder / "tokenizer_config.json", padding_side=side)
    found = TransformersTextEmbedder(folder, name="", revision="").embed_texts(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        states, _ = _plain(folder, text)
        wanted = {"mean": states.mean(0), "cls": states[0], "lasttoken": states[-1]}[pooling]
        np.testing.assert_allclose(vector, (wanted / wanted.norm()).numpy(), atol=1e-5)


def test_dense_layers_follow_the_pooling(tmp_path: Path) -> None:
    """As LaBSE and EmbeddingGemma have them: a matrix, an offset and an activation."""
    folder = shutil.copytree(WORDS, tmp_path / "words")
    weights = {"linear.weight": torch.randn(20, 48), "linear.bias": torch.randn(20)}
    _add_dense(folder, weights, "torch.nn.modules.activation.Tanh")
    found = TransformersTextEmbedder(folder, name="", revision="").embed_texts(TEXTS[:1])
    states, _ = _plain(folder, TEXTS[0])
    wanted = torch.tanh(weights["linear.weight"] @ states.mean(0) + weights["linear.bias"])
    np.testing.assert_allclose(found[0], (wanted / wanted.norm()).numpy(), atol=1e-5)


def test_prefixes_stand_before_query_and_text(words: TransformersTextEmbedder) -> None:
    """Each its own."""
    prefixed = TransformersTextEmbedder(WORDS, name="", revision="", query_prefix="dog ", text_prefix="sea ")
    np.testing.assert_allclose(prefixed.embed_query("cash"), words.embed_query("dog cash"), atol=1e-6)
    np.testing.assert_allclose(prefixed.embed_texts(["cash"]), words.embed_texts(["sea cash"]), atol=1e-6)


def test_a_long_text_is_cut_to_the_window(words: TransformersTextEmbedder) -> None:
    """What stands behind it changes nothing; the end mark of the model is kept."""
    long = "stone " * 100
    np.testing.assert_allclose(words.embed_texts([long]), words.embed_texts([long + "dog"]), atol=1e-6)
    assert text_steps(WORDS).most_tokens == 64


# --- pictures -------------------------------------------------------------------------------


def test_a_description_finds_its_picture(seer: TransformersFrameEmbedder) -> None:
    """Among 24 unseen pictures the nearest is one of what is described, mostly; square ones for CLIP."""
    shown = scenes.draw_scenes(5, 24)
    vectors = seer.embed_pictures([scenes.picture(scene, (180, 180)) for scene in shown])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    right = []
    for scene in shown:
        text = f"a {scene.colour} {scene.shape} on {scene.ground}"
        found = shown[int((seer.embed_query(text) @ vectors.T).argmax())]
        right.append(found.told == scene.told)
    assert np.mean(right) >= 0.7  # by chance 0.04


def test_a_picture_does_not_depend_on_its_batch(seer: TransformersFrameEmbedder) -> None:
    """Of other sizes beside it, and alone."""
    pictures = [
        scenes.picture(scene, size)
        for scene, size in zip(scenes.draw_scenes(6, 3), [(64, 48), (320, 180), (90, 160)], strict=True)
    ]
    alone = np.concatenate([seer.embed_pictures([picture]) for picture in pictures])
    np.testing.assert_allclose(seer.embed_pictures(pictures), alone, atol=1e-6)


# --- vectors --------------------------------------------------------------------------------


@given(arrays.arrays(np.float64, (3, 5), elements=st.floats(-1e18, 1e18, allow_subnormal=False)))
def test_vectors_get_length_one_or_are_refused(vectors: Any) -> None:
    """Their direction stays; a row of zeros has none."""
    if not np.linalg.norm(vectors, axis=1).all():
        with pytest.raises(ValueError, match="direction"):
            of_length_one(vectors)
        return
    found = of_length_one(vectors)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (np.sign(found) * np.sign(vectors) >= 0).all()


def test_numbers_that_are_none_are_refused() -> None:
    """Damaged weights give them."""
    with pytest.raises(ValueError, match="direction"):
        of_length_one(np.array([[1.0, np.nan]]))


# --- what is refused ------------------------------------------------------------------------


def _change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _add_dense(folder: Path, weights: dict[str, torch.Tensor], activation: str) -> None:
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text(json.dumps({"activation_function": activation}))
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    modules = json.loads((folder / "modules.json").read_text())
    dense = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (folder / "modules.json").write_text(json.dumps([*modules[:2], dense, *modules[2:]]))


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def _own_code(folder: Path) -> None:
    _change(folder / "config.json", auto_map={"AutoModel": "mine.Model"})


def _unknown_module(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*modules, {"path": "3_X", "type": "os.system"}]))


def _module_outside(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = "../words/1_Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))


def _other_pooling(folder: Path) -> None:
    _change(folder / "1_Pooling" / "config.json", pooling_mode_max_tokens=True)


def _pickled_dense(folder: Path) -> None:
    _add_dense(folder, {"linear.weight": torch.eye(48)}, "torch.nn.modules.linear.Identity")
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_weights, "pytorch_model.bin alone, a format that can run any code"),
        (_cut_short, "cut short or damaged"),
        (_own_code, "code of its own, which is never run"),
        (_unknown_module, "the module system at '3_X'"),
        (_module_outside, "which modules.json names"),
        (_other_pooling, "pooling by mean, max_tokens"),
        (_pickled_dense, "no model.safetensors in 2_Dense"),
    ],
)
def test_a_folder_that_cannot_be_loaded_is_refused(tmp_path: Path, spoil: Any, said: str) -> None:
    """By what its names and headers say, without loading it."""
    folder = shutil.copytree(WORDS, tmp_path / "words")
    check_checkpoint(folder, TEXT)
    spoil(folder)
    with pytest.raises(CheckpointError, match="Wanted a text embedding model") as error:
        check_checkpoint(folder, TEXT)
    assert said in str(error.value)


def test_a_model_is_not_taken_for_another_use() -> None:
    """Words where pictures are wanted, and the other way round."""
    with pytest.raises(CheckpointError, match=r"type 'bert'.*clip, siglip"):
        check_checkpoint(WORDS, FRAMES)
    with pytest.raises(CheckpointError, match=r"clip, which sees.*embedding\.frames"):
        check_checkpoint(CLIP, TEXT)


def test_missing_weights_are_not_made_up(tmp_path: Path) -> None:
    """The library would draw them at random; only those of BERT's pooler are for nothing here."""
    folder = shutil.copytree(WORDS, tmp_path / "words")
    weights = load_file(folder / "model.safetensors")
    weights.pop(next(name for name in weights if "query.weight" in name))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"Wanted all weights.*query\.weight"):
        TransformersTextEmbedder(folder, name="", revision="")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["engine=transformers"], "Wanted a model for embedding.engine=transformers"),
        (
            ["engine=transformers", "model=multilingual-e5-smal"],
            "Did you mean intfloat/multilingual-e5-small?",
        ),
        (["engine=transformers", "frames=clip-vit"], "Wanted embedding.frames to be a repository"),
        (["engine=openai", "model=x"], "Wanted embedding.base_url"),
        (["engine=openai", "model=x", "base_url=ftp://h/"], "an http or https address"),
        (["engine=openai", "model=x", "base_url=http://u:secret@h/v1"], "without a user, a password"),
    ],
)
def test_what_cannot_run_is_refused_by_name(settings: Sequence[str], said: str) -> None:
    """Before anything is fetched or asked; a secret is not repeated."""
    embedding = load_config(settings=[f"embedding.{one}" for one in settings]).embedding
    problem = check_embedding(embedding)
    assert problem is not None
    assert said in problem
    assert "secret" not in problem
    assert check_embedding(Embedding()) is None


# --- which weights --------------------------------------------------------------------------


def _config(*settings: str, **folders: Path) -> Config:
    given = [f"embedding.{name}={folder}" for name, folder in folders.items()]
    return load_config(settings=["embedding.engine=transformers", *given, *settings])


def test_models_are_pinned_by_what_is_in_them(tmp_path: Path) -> None:
    """A run writes down which weights; others under the same name are refused by the workers."""
    folder = shutil.copytree(WORDS, tmp_path / "words")
    found = resolve_embedding(_config(model=folder, frames=CLIP), lambda _: None).embedding
    assert text_name(found) == "transformers:words"
    assert text_revision(found) == f"words@{(found.revision or '')[:12]}"
    assert frames_name(found) == "transformers:clip"
    assert resolve_embedding(_config(model=WORDS), lambda _: None).embedding.revision == found.revision
    assert embedding_folder(found, TEXT_WEIGHTS) == folder
    prefixed = found.model_copy(update={"text_prefix": "passage: "})
    assert text_revision(prefixed) != text_revision(found)
    _change(folder / "sentence_bert_config.json", max_seq_length=32)
    with pytest.raises(CheckpointError, match="Vectors of two models cannot be compared"):
        embedding_folder(found, TEXT_WEIGHTS)


def test_a_model_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    """With what was looked for."""
    with pytest.raises(ConfigError, match=r"found nothing.*embedding\.frames"):
        resolve_embedding(_config(frames=tmp_path / "none"), lambda _: None)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """Serve a hub to this process, which has an empty cache."""
    with fake_hub() as served:
        template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
        for name, value in {
            "constants.ENDPOINT": served.url,
            "constants.HUGGINGFACE_CO_URL_TEMPLATE": template,
            "hf_api.api.endpoint": served.url,
            "constants.HF_HUB_CACHE": str(tmp_path / "hub"),
            "constants.HF_HUB_OFFLINE": False,
        }.items():
            monkeypatch.setattr(f"huggingface_hub.{name}", value)
        yield served


def test_models_by_name_are_fetched_pinned_and_listed(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the files that say how a text becomes its vector; a search alone never fetches."""
    commits = {
        name: hub.put(name, {str(path.relative_to(folder)): path.read_bytes() for path in _files(folder)})
        for name, folder in (("me/words", WORDS), ("me/seer", SIGLIP))
    }
    config = load_config(
        settings=["embedding.engine=transformers", "embedding.model=me/words", "embedding.frames=me/seer"]
    )
    with pytest.raises(CheckpointError, match=r"Run `gloss models pull --embedding me/words`"):
        embedding_folder(config.embedding, TEXT_WEIGHTS, fetch=False)
    said: list[str] = []
    found = resolve_embedding(config, said.append).embedding
    assert (found.revision, found.frames_revision) == (commits["me/words"], commits["me/seer"])
    assert any("me/words" in sentence for sentence in said)
    folder = embedding_folder(found, TEXT_WEIGHTS, fetch=False)
    assert folder.name == commits["me/words"]
    assert text_steps(folder) == text_steps(WORDS)
    assert text_revision(found) == f"words@{commits['me/words'][:12]}"
    assert [one.name for one in installed_embeddings(TEXT_WEIGHTS)] == ["me/words"]
    assert [one.name for one in installed_embeddings(FRAME_WEIGHTS)] == ["me/seer"]
    assert run_models_pull("me/seer", "embedding") == 0
    assert run_models_list(Speech(), Vision(), found, format="json") == 0
    held = json.loads(capsys.readouterr().out.partition("size")[2].partition("\n")[2])["held"]
    assert {(one["use"], one["model"], one["configured"]) for one in held} == {
        ("embedding", "me/words", True),
        ("embedding", "me/seer", True),
    }
    with pytest.raises(ConfigError, match="Use it as it is"):
        run_models_pull(str(WORDS), "embedding")


def test_a_repository_is_fetched_for_either_use(hub: FakeHub) -> None:
    """Named for texts by mistake, its files serve for pictures; what nothing reads is not fetched."""
    hub.put("me/seer", {path.name: path.read_bytes() for path in _files(SIGLIP)})
    wanted = ["embedding.engine=transformers", "embedding.{}=me/seer"]
    with pytest.raises(ConfigError, match=r"which sees.*embedding\.frames"):
        resolve_embedding(load_config(settings=[one.format("model") for one in wanted]), lambda _: None)
    hub.asked.clear()
    found = resolve_embedding(load_config(settings=[one.format("frames") for one in wanted]), pytest.fail)
    assert (
        embedding_folder(found.embedding, FRAME_WEIGHTS, fetch=False).name == found.embedding.frames_revision
    )
    hub.put("me/pickled", {"config.json": b"{}", "pytorch_model.bin": b"", "2_Dense/model.safetensors": b""})
    with pytest.raises(ConfigError, match="pickles alone"):
        run_models_pull("me/pickled", "embedding")
    with pytest.raises(ConfigError, match="--engine of transformers for a model of embedding"):
        run_models_pull("me/seer", "embedding", engine="faster-whisper")
    assert not hub.asked


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_child_process_gives_the_same(words: TransformersTextEmbedder) -> None:
    """Bounded and killable, and to the last bit as here."""
    config = resolve_embedding(_config(model=WORDS), lambda _: None)
    embedder: Any = text_embedder(config)
    try:
        assert not embedder.is_running
        assert np.array_equal(embedder.embed_texts(TEXTS), words.embed_texts(TEXTS))
        assert np.array_equal(embedder.embed_query("boat"), words.embed_query("boat"))
    finally:
        embedder.close()


# --- a server -------------------------------------------------------------------------------


def _served(url: str, **settings: Any) -> OpenAiTextEmbedder:
    values = {"engine": "openai", "model": MODEL, "base_url": url, "batch": 2, "patience_seconds": 0.1}
    return OpenAiTextEmbedder(Embedding.model_validate(values | settings), "openai:x", "")


def test_a_server_embeds_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each text gets its own vector, whichever order they come back in; the key goes along."""
    monkeypatch.setenv("MY_KEY", "k-123")
    with embedding_server() as server:
        embedder = _served(server.url, api_key_env="MY_KEY", text_prefix="z")
        found = embedder.embed_texts(TEXTS)
        query = embedder.embed_query("dog")
        embedder.close()
        assert check_embedding_server(embedder.embedding) is None
    np.testing.assert_allclose(found, of_length_one(np.array([letters("z" + text) for text in TEXTS])))
    np.testing.assert_allclose(query, of_length_one(np.array([letters("dog")])))
    assert sorted(len(body["input"]) for body in server.bodies[:3]) == [1, 2, 2]
    assert set(server.keys) == {"Bearer k-123"}


def test_a_text_that_is_too_long_for_a_server_is_cut() -> None:
    """To a quarter, and again: what it takes cannot be known."""
    with embedding_server(most_characters=700) as server:
        embedder = _served(server.url)
        found = embedder.embed_texts(["a" * 20_000, "b"])
        embedder.close()
    assert max(len(text) for text in server.bodies[0]["input"]) == MOST_CHARACTERS
    assert max(len(text) for text in server.bodies[-1]["input"]) == 500
    assert found[0].argmax() == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: {"object": "list"}, "no list of vectors"),
        (lambda answer: {**answer, "data": answer["data"][:1]}, "1 for 2 texts"),
        (lambda answer: {**answer, "data": [answer["data"][0]] * 2}, "2 for 2 texts"),
        (
            lambda _: {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]},
            "vectors of 1, 2 numbers",
        ),
        (
            lambda _: {"data": [{"index": n, "embedding": "AAAA"} for n in range(2)]},
            "vectors that are no lists of numbers",
        ),
    ],
)
def test_an_answer_that_is_none_is_refused(change: Any, said: str) -> None:
    """Rather than stored."""
    with embedding_server() as server:
        server.change = change
        embedder = _served(server.url)
        with pytest.raises(InputError, match=said) as error:
            embedder.embed_texts(["a", "b"])
        embedder.close()
    assert error.value.reason == Reason.MALFORMED


def test_a_server_without_the_model_is_named_before_a_run() -> None:
    """By its own words."""
    with embedding_server() as server:
        config = load_config(
            settings=["embedding.engine=openai", "embedding.model=other", f"embedding.base_url={server.url}"]
        )
        with pytest.raises(ConfigError, match=r"Wanted embeddings by other .*does not exist"):
            resolve_embedding(config, lambda _: None)
