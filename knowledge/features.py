"""Measure how well a piece answers a question, in numbers that a linear model can weigh.

Enters: a question, its passages, and the vectors of their pieces. Leaves: one row of features per piece, and from the
chosen pieces one row for the question as a whole. Training and serving call these same functions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowledge.lexical import LexicalIndex, words
from knowledge.pieces import Piece, PieceKind
from knowledge.retrieve import Passage
from knowledge.selection import softmax

Matrix = NDArray[np.float32]

# What a question asks for, and what a piece must hold to give it. Order matters: the weights are by position.
ASKED_AND_GIVEN: tuple[tuple[str, str, str], ...] = (
    (
        "number",
        r"how (many|mny|much|long|often|far|old|big|late|soon|early)|\bmax"
        r"|what('s| is)? the (max|min|limit|rate|amount|number)",
        r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|half|once|twice|double)\b",
    ),
    (
        "time",
        r"\bwhen\b|what (time|day|date)|how (long|soon|late)|deadline|by when",
        r"\b(days?|weeks?|months?|years?|hours?|minutes?|[ap]\.?m|january|february|march|april|may|june|july|august"
        r"|september|october|november|december|monday|friday|before|after|within|until|each|annual|daily|weekly|monthly"
        r"|quarter\w*)\b",
    ),
    (
        "money",
        r"how much|\bcosts?\b|\bpa(y|id)\b|[$£€]|money|price|reimburs|claim|bonus|salary|allowance",
        r"[£$€%]|\b(eur|usd|gbp|percent|pay|paid|cost|reimburs\w*)\b",
    ),
    (
        "person",
        r"\bwho(se|m)?\b",
        r"@|\b(managers?|hr|team|contact|supervisors?|lead|directors?|officers?|department|people|chief|committee|ask|speak"
        r"|approv\w*|respons\w*)\b",
    ),
    (
        "permission",
        r"^(\w+[,.]? )*?(can|do|does|is|are|am|will|must|should|may|could|would|did|has|have) "
        r"(i|we|you|my|they|it|the|there|someone|an?|employees|people|staff)\b",
        r"\b(may|can|cannot|must|should|not|allowed|required|entitled|eligible|permitted|need|never|always|only|prohibited"
        r"|encouraged|able)\b",
    ),
    (
        "procedure",
        r"how (do|to|can|should|does)|\bwhere\b|what do i (do|need)|\bsteps\b|procedure|process",
        r"\b(e?mail|submit|complete|fill|forms?|contact|notify|send|tell|call|request|log|use|ask|go to|apply|report"
        r"|inform|write)\b",
    ),
)
_ASKS = [re.compile(asks, re.IGNORECASE) for _, asks, _ in ASKED_AND_GIVEN]
_GIVES = [re.compile(gives, re.IGNORECASE) for _, _, gives in ASKED_AND_GIVEN]

PIECE_FEATURES: tuple[str, ...] = (
    "similarity",
    "similarity_below_best",
    "similarity_below_passage_best",
    "similarity_before",
    "similarity_after",
    "passage_similarity",
    "passage_similarity_below_best",
    "passage_lexical",
    "passage_rank",
    "overlap",
    "overlap_heading",
    "overlap_both",
    "is_row",
    "is_item",
    "log_words",
    "is_short",
    "is_long",
    "position",
    "ends_with_colon",
    "ends_with_question",
    *(f"gives_{kind}" for kind, _, _ in ASKED_AND_GIVEN),
    *(f"lacks_{kind}" for kind, _, _ in ASKED_AND_GIVEN),
)
# What is known of the pieces that were read together with the question, on top of the first look.
PAIR_FEATURES: tuple[str, ...] = (
    "first_look",
    "first_look_below_best",
    "pair",
    "pair_below_best",
    "pair_share",
    *PIECE_FEATURES,
)
QUESTION_FEATURES: tuple[str, ...] = (
    "pair_any",
    "pair_second_below_best",
    "is_best_pair",
    "is_best_first_look",
    "best_score",
    "second_score",
    "best_share",
    "second_share",
    "entropy",
    "is_same_passage",
    "mean_similarity",
    "best_passage_similarity",
    "best_overlap_anywhere",
    *(f"best_{name}" for name in PAIR_FEATURES),
    "second_pair",
    "second_similarity",
    "second_overlap_both",
    "chosen_share",
    "chosen_count",
    "chosen_words",
)


@dataclass(frozen=True)
class Candidates:
    """Pieces of a question's passages: piece i lies in passage `passage_of[i]`.

    `features` has a row per piece and a column per feature: `PIECE_FEATURES` at first look, `PAIR_FEATURES` afterwards.
    """

    pieces: tuple[Piece, ...]
    passage_of: NDArray[np.intp]
    features: Matrix


def piece_features(
    question: str,
    vector: Matrix,
    passages: Sequence[Passage],
    pieces: Sequence[Sequence[Piece]],
    vectors: Sequence[Matrix],
    lexical: LexicalIndex,
) -> Candidates:
    """Features of every piece of every passage.

    `vector` is the question's, shape (dimensions,); `pieces[p]` and `vectors[p]`, shape (len(pieces[p]), dimensions),
    belong to `passages[p]`. Overlaps are shares of the question's words, weighted by how rare they are.
    """
    asked = frozenset(words(question))
    asks = np.array([bool(pattern.search(question)) for pattern in _ASKS])
    best_passage = max((passage.similarity for passage in passages), default=0.0)
    similarities = [passage_vectors @ vector for passage_vectors in vectors]
    best = max((float(values.max()) for values in similarities if len(values)), default=0.0)
    rows: list[list[float]] = []
    for rank, (passage, cut, similar) in enumerate(zip(passages, pieces, similarities, strict=True)):
        heading = frozenset(words(f"{passage.chunk.metadata.title} {passage.chunk.heading}"))
        for i, piece in enumerate(cut):
            text = piece.in_context
            said = frozenset(words(text))
            gives = np.array([bool(pattern.search(text)) for pattern in _GIVES])
            length = len(piece.text.split())
            rows.append(
                [
                    similar[i],
                    similar[i] - best,
                    similar[i] - similar.max(),
                    similar[i - 1] if i else 0.0,
                    similar[i + 1] if i + 1 < len(cut) else 0.0,
                    passage.similarity,
                    passage.similarity - best_passage,
                    passage.lexical,
                    1 / (rank + 1),
                    lexical.share(asked & said, asked),
                    lexical.share(asked & heading, asked),
                    lexical.share(asked & (said | heading), asked),
                    float(piece.kind is PieceKind.TABLE_ROW),
                    float(piece.kind is PieceKind.LIST_ITEM),
                    float(np.log1p(length)),
                    float(length < 5),
                    float(length > 45),
                    i / len(cut),
                    float(piece.text.endswith(":")),
                    float(piece.text.endswith("?")),
                    *(asks & gives).astype(float),
                    *(asks & ~gives).astype(float),
                ]
            )
    flat = tuple(piece for cut in pieces for piece in cut)
    passage_of = np.repeat(np.arange(len(passages)), [len(cut) for cut in pieces])
    return Candidates(flat, passage_of, np.array(rows, dtype=np.float32).reshape(len(flat), len(PIECE_FEATURES)))


def pair_features(candidates: Candidates, first_look: Matrix, read: NDArray[np.intp], pair: Matrix) -> Candidates:
    """The pieces that were read with the question, in the order of `read`, with what reading them said.

    `first_look` (n,) scores all pieces; `read` (m,) names those that were read, and `pair` (m,) is what they got.
    """
    odds = np.exp(pair - pair.max())
    columns = [
        first_look[read],
        first_look[read] - first_look.max(),
        pair,
        pair - pair.max(),
        # The null option of training scores 0: the share falls when nothing read answers.
        odds / (odds.sum() + np.exp(-pair.max())),
    ]
    features = np.concatenate([np.stack(columns, axis=1), candidates.features[read]], axis=1)
    return Candidates(tuple(candidates.pieces[i] for i in read), candidates.passage_of[read], features)


def question_features(candidates: Candidates, scores: Matrix, chosen: Sequence[int]) -> Matrix:
    """Features of the question as a whole, shape (len(QUESTION_FEATURES),), from the scores (n,) of its read pieces.

    `chosen` are the pieces that are given as evidence, best first.
    """
    best = chosen[0]
    others = [int(i) for i in np.argsort(-scores, kind="stable") if i != best]
    second = others[0] if others else best
    shares = softmax(scores)
    rows = candidates.features
    column = {name: i for i, name in enumerate(PAIR_FEATURES)}
    pair = rows[:, column["pair"]]
    nearest = np.sort(pair)[::-1]
    return np.array(
        [
            float(np.log(np.exp(pair - pair.max()).sum()) + pair.max()),
            float(nearest[min(1, len(nearest) - 1)] - nearest[0]),
            float(pair.argmax() == best),
            float(rows[:, column["first_look"]].argmax() == best),
            scores[best],
            scores[second],
            shares[best],
            shares[second],
            float(-(shares * np.log(shares + 1e-9)).sum()),
            float(candidates.passage_of[best] == candidates.passage_of[second]),
            rows[:, column["similarity"]].mean(),
            rows[:, column["passage_similarity"]].max(),
            rows[:, column["overlap_both"]].max(),
            *rows[best],
            pair[second],
            rows[second, column["similarity"]],
            rows[second, column["overlap_both"]],
            shares[chosen].sum(),
            len(chosen),
            sum(len(candidates.pieces[i].in_context.split()) for i in chosen),
        ],
        dtype=np.float32,
    )
