"""The embedder gives Sentence Transformers' vectors without its weight."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from config.errors import ModelError
from knowledge.embed import BATCH_TOKENS, Embedder, embedded_model, open_embedder

TEXTS = [
    "How many holidays can I carry over?",
    "",
    "a",
    "You can carry over up to 5 days of annual leave into the next year.",
    "Überstunden werden mit €25 / Stunde vergütet – naïve café, ½ day.",
    "年次有給休暇は何日ありますか？",
    "| Grade | Notice period |\n| B2 | 3 months |",
    "🎉🎉 party budget 🎉",
    "leave " * 254,
    "The policy on parental leave says that " * 60,
    "antidisestablishmentarianism" * 40,
    "\x00 control \x07 characters \t and\nnewlines",
]


@pytest.mark.slow
def test_vectors_are_those_of_sentence_transformers() -> None:
    embedder = open_embedder()
    from sentence_transformers import SentenceTransformer

    theirs = np.asarray(
        SentenceTransformer(str(embedded_model()), device="cpu").encode(TEXTS, normalize_embeddings=True)
    )
    ours = embedder.embed(TEXTS)
    assert (ours * theirs).sum(axis=1).min() > 0.9999
    assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.slow
def test_encoders_of_a_process_share_their_word_embeddings() -> None:
    """47 MB of 90: without sharing, the second and third encoder would cost twice as much."""
    code = (
        "import re, gc; from pathlib import Path\n"
        "from config.settings import IndexSettings; from knowledge.embed import open_embedder\n"
        "def anonymous_mb():\n"
        "    gc.collect()\n"
        "    return int(re.search(r'Anonymous: +(\\d+)', Path('/proc/self/smaps_rollup').read_text())[1]) / 1000\n"
        "adapter = IndexSettings().adapter\n"
        "kept = [open_embedder(threads=1, adapter=adapter) for _ in range(2)]\n"
        "before = anonymous_mb()\n"
        "kept += [open_embedder(threads=1, adapter=adapter) for _ in range(2)]\n"
        "print((anonymous_mb() - before) / 2)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(shown.stdout) < 70


def test_encoder_outlives_others_that_shared_its_word_embeddings(embedder: Embedder) -> None:
    before = embedder.embed(TEXTS)
    for _ in range(2):
        open_embedder(threads=1)
    np.testing.assert_array_equal(embedder.embed(TEXTS), before)


def test_vectors_have_unit_length(embedder: Embedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimensions) == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


@pytest.mark.slow
def test_lower_layers_are_those_of_the_encoder() -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = str(embedded_model())
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS[:1], return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder)(**tokens, output_hidden_states=True).hidden_states
    means = [state[0].mean(dim=0).numpy() for state in states]
    vectors, lower = open_embedder().embed_in_layers(TEXTS)  # shorter than others, so it is padded
    for ours, theirs in zip((*np.split(lower[0], 5), vectors[0]), means[1:], strict=True):
        np.testing.assert_allclose(ours, theirs / np.linalg.norm(theirs), atol=1e-5)


def test_lower_layers_come_beside_the_same_vectors(embedder: Embedder) -> None:
    vectors, lower = embedder.embed_in_layers(TEXTS)
    assert (vectors == embedder.embed(TEXTS)).all()
    assert lower.shape == (len(TEXTS), embedder.lower_dimensions) == (len(TEXTS), 5 * 384)


def test_no_texts_give_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, 384)


def test_order_and_company_do_not_change_a_vector(embedder: Embedder) -> None:
    many = [text for text in TEXTS for _ in range(6)]
    assert sum(map(embedder.count_tokens, many)) > 2 * BATCH_TOKENS, "several batches"
    together = embedder.embed(many)
    alone = np.concatenate([embedder.embed([text]) for text in many])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_near_meanings_are_near(embedder: Embedder) -> None:
    question, answer, other = embedder.embed([TEXTS[0], TEXTS[3], "The fire extinguisher hangs beside the lift."])
    assert question @ answer > question @ other + 0.3


def test_text_beyond_the_limit_is_not_read(embedder: Embedder) -> None:
    full = "leave " * (embedder.max_tokens - 2)
    assert embedder.count_tokens(full) == embedder.max_tokens == 256
    np.testing.assert_allclose(embedder.embed([full]), embedder.embed([full + "unread words"]), atol=1e-6)


def test_counts_word_pieces_with_the_special_ones_and_without_a_limit(embedder: Embedder) -> None:
    assert embedder.count_tokens("") == 2
    assert embedder.count_tokens("annual leave") == 4
    assert embedder.count_tokens("leave " * 1000) == 1002


def test_half_a_surrogate_pair_is_embedded(embedder: Embedder) -> None:
    assert np.isfinite(embedder.embed(["leave \ud800?"])).all()
    assert embedder.count_tokens("\ud800") >= 2


def test_threads_may_embed_at_once(embedder: Embedder) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(embedder.embed, [TEXTS[:4]] * 8))
    for vectors in results:
        np.testing.assert_allclose(vectors, results[0], atol=1e-6)


def test_opens_and_embeds_without_pytorch() -> None:
    program = (
        "import sys; from knowledge.embed import open_embedder; open_embedder(threads=1).embed(['leave']);"
        "print(sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_version_follows_the_weights(embedder: Embedder, tmp_path: Path) -> None:
    plain = open_embedder(threads=1).version
    assert plain != embedder.version, "an adapter makes it another encoder"
    copy = shutil.copytree(embedded_model(), tmp_path / "copy")
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert open_embedder(copy, threads=1).version != plain


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_damaged_or_missing_files_are_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in ("model.safetensors", "config.json", "tokenizer.json"):
        (folder / file).symlink_to(embedded_model() / file)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        open_embedder(folder)
    (folder / name).write_bytes(b"\x00\x01 damaged")
    with pytest.raises(ModelError, match="damaged or no BERT encoder"):
        open_embedder(folder)
