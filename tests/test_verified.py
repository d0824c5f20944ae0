"""Verified answers: who may have them, what counts as the same question, and how they stand beside policies."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bot import assistant
from bot.assistant import _open_fitting_matcher
from config.errors import ModelError
from config.settings import Audience, IndexSettings, Settings
from exporter.manifest import Recipe, make_manifest, write_manifest
from knowledge.chunk import Chunk
from knowledge.differences import DIFFERENCES, differences
from knowledge.embed import Embedder
from knowledge.lexical import build_lexical
from knowledge.matcher import (
    DECISION_FILE,
    HEAD_FILE,
    SIGNALS,
    Decision,
    Matcher,
    StoredPair,
    Thresholds,
    match_input,
    open_matcher,
    save_decision,
)
from knowledge.metadata import PolicyMetadata
from knowledge.pair import open_piece_head
from knowledge.retrieve import Asker, Passage
from knowledge.verified import (
    NONE_VERIFIED,
    VerifiedAnswer,
    VerifiedIndex,
    VerifiedMatch,
    compare,
    find_verified,
    make_verified_index,
    with_verified,
)

CARRY = VerifiedAnswer("How many vacation days can I carry over?", "Five days, until 31 March.", date(2026, 1, 1))
PARK = VerifiedAnswer("Where can visitors park?", "In spaces V1 to V12 by the main gate.", date(2026, 1, 1))
EVERYBODY = Asker()
SHIPPED = Settings().parts_dir / "matcher"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A matcher that was not trained: the retriever's adapter, a head that reads nothing, and a decision by hand."""
    made = tmp_path_factory.mktemp("matcher")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(Path(IndexSettings().adapter or "") / name, made / name)
    names = ("product", "difference", "question", "stored", "answer", "question_word", "stored_word")
    head = {name: np.zeros(384, dtype=np.float32) for name in names}
    save_file({**head, "cosines": np.ones(2, np.float32), "bias": np.zeros(3, np.float32)}, made / HEAD_FILE)
    named = {"question_similarity": 10.0, "new_words": -3.0, "other_leave": -9.0, "other_doing": -9.0}
    weights = np.array([named.get(name, 0.0) for name in SIGNALS], dtype=np.float32)
    save_decision(Decision(weights, -5.0, Thresholds(match=0.6, evidence=0.3)), made)
    return made


@pytest.fixture(scope="module")
def matcher(folder: Path) -> Matcher:
    return open_matcher(folder, threads=1)


@pytest.fixture(scope="module")
def stored(embedder: Embedder) -> VerifiedIndex:
    return make_verified_index([CARRY, PARK], embedder)


def found(
    question: str,
    stored: VerifiedIndex,
    embedder: Embedder,
    asker: Asker = EVERYBODY,
    matcher: Matcher | None = None,
) -> VerifiedAnswer | None:
    match = find_verified(question, embedder.embed([question])[0], stored, asker, matcher)
    return match.answer if match else None


def test_same_words_match_without_a_matcher_whatever_their_case_and_marks(
    stored: VerifiedIndex, embedder: Embedder
) -> None:
    assert found("how many VACATION days can i carry over", stored, embedder) is CARRY
    assert found("how many vacation days may i carry over", stored, embedder) is None


def test_nothing_matches_when_nothing_is_stored(embedder: Embedder, matcher: Matcher) -> None:
    assert found("how many vacation days can i carry over", NONE_VERIFIED, embedder, matcher=matcher) is None
    assert make_verified_index([], embedder) is NONE_VERIFIED


def test_rewording_matches_and_near_miss_does_not(stored: VerifiedIndex, embedder: Embedder, matcher: Matcher) -> None:
    assert found("vacation days that can be carried over, how many?", stored, embedder, matcher=matcher) is CARRY
    assert found("how many sick days can i carry over", stored, embedder, matcher=matcher) is None
    assert found("how many vacation days can i sell", stored, embedder, matcher=matcher) is None


@pytest.mark.parametrize(
    ("audience", "countries", "asker", "is_given"),
    [
        (Audience.ALL, (), EVERYBODY, True),
        (Audience.MANAGERS, (), EVERYBODY, False),
        (Audience.MANAGERS, (), Asker(Audience.MANAGERS), True),
        (Audience.HR, (), Asker(Audience.MANAGERS), False),
        (Audience.ALL, ("GB",), Asker(country="GB"), True),
        (Audience.ALL, ("GB",), Asker(country="DE"), False),
        (Audience.ALL, ("GB",), EVERYBODY, False),
    ],
)
@pytest.mark.parametrize("question", [CARRY.question, "vacation days that can be carried over, how many?"])
def test_answer_is_given_only_to_whom_it_is_for(
    question: str,
    audience: Audience,
    countries: tuple[str, ...],
    asker: Asker,
    is_given: bool,
    embedder: Embedder,
    matcher: Matcher,
) -> None:
    answer = VerifiedAnswer(CARRY.question, CARRY.text, CARRY.verified_on, audience, countries)
    index = make_verified_index([answer], embedder)
    assert (found(question, index, embedder, asker, matcher) is answer) is is_given
    assert bool(compare(question, embedder.embed([question])[0], index, asker, matcher)) is is_given


def test_hidden_answers_do_not_crowd_out_the_one_that_may_be_given(embedder: Embedder, matcher: Matcher) -> None:
    hidden = [
        VerifiedAnswer(f"{CARRY.question} {mark}", f"Secret {mark}.", date(2026, 2, 1), Audience.HR)
        for mark in "abcdefgh"
    ]
    index = make_verified_index([*hidden, CARRY], embedder)
    assert found("vacation days that can be carried over, how many?", index, embedder, matcher=matcher) is CARRY


def test_latest_of_two_answers_to_the_same_words_is_given(embedder: Embedder, matcher: Matcher) -> None:
    newer = VerifiedAnswer("how many vacation days can i carry over", "Eight days.", date(2026, 3, 1))
    for order in ([CARRY, newer], [newer, CARRY]):
        index = make_verified_index(order, embedder)
        assert found(CARRY.question, index, embedder) is newer
        assert found("vacation days that can be carried over, how many?", index, embedder, matcher=matcher) is newer


def test_id_is_the_same_for_the_same_pair_and_another_for_another() -> None:
    again = VerifiedAnswer(CARRY.question, CARRY.text, date(2020, 1, 1))
    assert again.id == CARRY.id != PARK.id


def test_growing_index_embeds_only_what_is_new(stored: VerifiedIndex, embedder: Embedder) -> None:
    class Counting:
        texts = 0

        def embed(self, texts: list[str]) -> np.ndarray:
            self.texts += len(texts)
            return embedder.embed(texts)

    counting = Counting()
    new = VerifiedAnswer("Is there a gym?", "Yes, in the basement.", date(2026, 1, 1))
    grown = make_verified_index([PARK, new], counting, stored)  # type: ignore[arg-type]
    assert (counting.texts, grown.answers) == (2, (PARK, new))
    np.testing.assert_allclose(grown.questions, embedder.embed([PARK.question, new.question]), atol=1e-5)
    np.testing.assert_allclose(grown.texts, embedder.embed([PARK.text, new.text]), atol=1e-5)


def test_likely_answer_is_read_beside_the_policies_marked_as_hrs() -> None:
    policy = Chunk("1", "leave.md", 0, ("Leave",), "Unused days lapse.", None, PolicyMetadata("Leave"))
    other = Chunk("2", "gym.md", 0, ("Gym",), "The gym opens at six.", None, PolicyMetadata("Gym"))
    passages = [Passage(policy, 0.8, 0.8), Passage(other, 0.2, 0.2)]
    lexical = build_lexical([policy.embedded_text, other.embedded_text])
    match = VerifiedMatch(CARRY, probability=0.4, similarity=0.8, is_certain=False)
    merged = with_verified(passages, [match], "days left to carry over", lexical)
    assert [passage.chunk.id for passage in merged] == [CARRY.id, "1"]
    first = merged[0].chunk
    assert (first.file, first.heading, first.text) == (f"verified answers/{CARRY.id}", CARRY.question, CARRY.text)
    assert (first.metadata.title, first.metadata.effective) == ("Verified by HR", CARRY.verified_on)
    assert 0 < merged[0].lexical <= 1
    assert with_verified(passages, [], "days left to carry over", lexical) == passages


def test_doubtful_answer_is_evidence_and_not_given(stored: VerifiedIndex, embedder: Embedder, folder: Path) -> None:
    question = "vacation days that can be carried over, how many?"
    decision = json.loads((folder / DECISION_FILE).read_text(encoding="utf-8"))
    strict = folder.with_name("strict")
    shutil.copytree(folder, strict)
    decision["thresholds"]["match"] = 0.9999
    (strict / DECISION_FILE).write_text(json.dumps(decision), encoding="utf-8")
    matches = compare(question, embedder.embed([question])[0], stored, EVERYBODY, open_matcher(strict, threads=1))
    assert [(match.answer, match.is_certain) for match in matches] == [(CARRY, False)]


def test_what_differs_is_named() -> None:
    def named(question: str) -> dict[str, float]:
        row = differences(question, "can i sell vacation days", "No.")
        return dict(zip(DIFFERENCES, map(float, row), strict=True))

    assert named("can i sell sick days")["other_leave"] == 1
    assert named("can i carry over vacation days")["other_doing"] == 1
    assert named("can contractors sell vacation days")["new_who"] == 1
    assert named("can i sell 5 vacation days")["numbers_new"] == 1
    assert named("can i not sell vacation days")["negation_differs"] == 1
    assert named("when can i sell vacation days")["asks_differ"] == 1
    assert not any(named("can i sell vacaton days")[name] for name in ("new_words", "missing_words", "other_leave"))


def test_pair_is_read_in_the_order_question_stored_answer(folder: Path) -> None:
    from knowledge.embed import embedded_model
    from knowledge.pair import open_tokenizer

    tokenizer = open_tokenizer(embedded_model())
    pair = match_input("sell days?", "can i sell vacation days", "No. " * 200, tokenizer)
    spans = (pair.question, pair.heading, *pair.spans)
    told = [tokenizer.decode(pair.ids[span.start : span.end]) for span in spans]
    assert told[0] == "sell days?" and told[1] == "can i sell vacation days"
    assert told[2].startswith("no. no.") and len(pair.ids) < 128


@pytest.mark.parametrize("damage", [HEAD_FILE, DECISION_FILE])
def test_damaged_matcher_is_named_with_what_to_do(folder: Path, tmp_path: Path, damage: str) -> None:
    broken = tmp_path / "matcher"
    shutil.copytree(folder, broken)
    (broken / damage).write_bytes(b"{")
    with pytest.raises(ModelError, match=r"The matcher in .* cannot be used .*--only matcher"):
        open_matcher(broken, threads=1)


def test_head_of_another_width_is_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "matcher"
    shutil.copytree(folder, other)
    head = load_file(other / HEAD_FILE)
    save_file({**head, "stored_word": np.zeros(16, dtype=np.float32)}, other / HEAD_FILE)
    with pytest.raises(ModelError, match=r"stored_word .* \(16,\), and \(384,\) is needed.*--only matcher"):
        open_matcher(other, threads=1)
    head = {"scale": np.ones((), np.float32), "weights": np.zeros(16, np.float32), "bias": np.zeros((), np.float32)}
    save_file(head, other / HEAD_FILE)
    with pytest.raises(ModelError, match=r"shape \(16,\).*restore the file"):
        open_piece_head(other)


def test_matcher_made_over_another_embedder_is_left_out_with_a_warning(
    folder: Path, tmp_path: Path, embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    made = tmp_path / "matcher"
    assert _open_fitting_matcher(embedder, made) is None and "there is no matcher" in caplog.text
    shutil.copytree(folder, made)
    assert _open_fitting_matcher(embedder, made) is None and "not known" in caplog.text
    for base, is_used in ((embedder.version, True), ("another-embedder-1", False)):
        made_by = Recipe(part="matcher", command="", base=base, rows=0, data_sha256="", seed=0, settings={})
        write_manifest(made, make_manifest(made_by, {}, ()))
        caplog.clear()
        assert isinstance(_open_fitting_matcher(embedder, made), Matcher) is is_used
        assert ("made over another embedder" in caplog.text and "--only matcher" in caplog.text) is not is_used


@pytest.mark.asyncio
async def test_nothing_is_loaded_on_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop_thread = threading.get_ident()
    opened_on: dict[str, int] = {}

    def noting(name: str) -> Callable[..., object]:
        def opening(*_: object, **__: object) -> object:
            opened_on[name] = threading.get_ident()
            if name == "open_engine":
                raise ModelError("no model")
            return io.BytesIO()  # can be closed, as the index is

        return opening

    names = [
        *("open_embedder", "open_reader", "open_judge", "open_index", "open_engine"),
        *("_open_fitting_matcher", "_open_fitting_classifier"),
    ]
    for name in names:
        monkeypatch.setattr(assistant, name, noting(name))
    with pytest.raises(ModelError, match="no model"):
        async with assistant.open_assistant(Settings(data_dir=tmp_path)):
            pass
    assert opened_on.keys() == set(names) and loop_thread not in opened_on.values()


def test_thousands_of_stored_answers_are_searched_quickly(embedder: Embedder, matcher: Matcher) -> None:
    rng = np.random.default_rng(0)
    answers = tuple(VerifiedAnswer(f"question {n}", f"answer {n}", date(2026, 1, 1)) for n in range(5_000))
    rows = rng.standard_normal((2, 5_000, 384), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    index = VerifiedIndex(answers, rows[0], rows[1])
    vector = embedder.embed(["how many days"])[0]
    compare("how many days", vector, index, EVERYBODY, matcher)  # whom they are for is worked out once
    began = time.perf_counter()
    compare("how many days", vector, index, EVERYBODY, None)
    assert time.perf_counter() - began < 0.2  # about 3 ms on a machine that does nothing else


class TestTrainedMatcher:
    """What ships: told apart on a few questions of its own kind."""

    @pytest.mark.parametrize(
        ("question", "is_same"),
        [
            ("Hi, how many vacation days can I carry over, please?", True),
            ("who approves my request to carry over vacation days?", False),
            ("how many sick days can i carry over?", False),
            ("how do i order a new laptop", False),
        ],
    )
    def test_rewording_is_told_from_near_miss(
        self, question: str, is_same: bool, stored: VerifiedIndex, embedder: Embedder
    ) -> None:
        assert (found(question, stored, embedder, matcher=open_matcher(SHIPPED, threads=1)) is CARRY) is is_same

    def test_probability_is_one_number_from_0_to_1(self) -> None:
        pair = StoredPair(CARRY.question, CARRY.text, 0.9, 0.5)
        (probability,) = open_matcher(SHIPPED, threads=1).probabilities("days to carry over?", [pair])
        assert 0 <= probability <= 1

    def test_it_is_small_and_says_how_it_was_made(self) -> None:
        from exporter.manifest import check_files

        manifest = check_files(SHIPPED)
        assert manifest.part == "matcher" and manifest.data_sha256
        assert sum(file.stat().st_size for file in SHIPPED.iterdir()) <= 3_000_000


def test_older_answer_for_the_askers_country_is_given_before_a_newer_one_for_all(embedder: Embedder) -> None:
    british = VerifiedAnswer(CARRY.question, "Eight days.", date(2025, 6, 1), countries=("GB",))
    newer_british = VerifiedAnswer(CARRY.question, "Nine days.", date(2025, 7, 1), countries=("GB", "IE"))
    general = VerifiedAnswer(CARRY.question, "Four days.", date(2026, 3, 1))
    for order in ([british, general, newer_british, CARRY], [CARRY, newer_british, general, british]):
        index = make_verified_index(order, embedder)
        assert found(CARRY.question, index, embedder, Asker(country="GB")) is newer_british
        for asker in (EVERYBODY, Asker(country="DE")):
            assert found(CARRY.question, index, embedder, asker) is general
