"""Chunks, and the pieces they are cut into again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from knowledge.chunk import Chunk, ChunkSize, chunk
from knowledge.embed import Embedder
from knowledge.load import Block, BlockKind, Document, PolicyMetadata
from knowledge.pieces import PieceKind, pieces


def paragraph(text: str, *path: str) -> Block:
    return Block(BlockKind.PARAGRAPH, text, path)


def item(text: str, *path: str, depth: int = 0) -> Block:
    return Block(BlockKind.LIST_ITEM, text, path, depth=depth)


def row(*cells: str, head: tuple[str, ...] = ("Grade", "Days"), path: tuple[str, ...] = ("Leave",)) -> Block:
    return Block(BlockKind.TABLE_ROW, " | ".join(cells), path, cells=cells, head=head)


def cut(*blocks: Block, max_tokens: int = 254, overlap_tokens: int = 50) -> list[Chunk]:
    document = Document("leave.md", "hash", PolicyMetadata("Leave"), blocks)
    return chunk(document, ChunkSize(max_tokens, overlap_tokens), lambda text: len(text.split()))


def test_chunk_never_crosses_a_heading() -> None:
    chunks = cut(paragraph("one", "Leave", "A"), paragraph("two", "Leave", "A"), paragraph("three", "Leave", "B"))
    assert [(c.heading_path, c.text) for c in chunks] == [(("Leave", "A"), "one\ntwo"), (("Leave", "B"), "three")]


def test_long_table_is_cut_between_rows_and_repeats_its_head() -> None:
    chunks = cut(*(row(f"grade {n}", f"{n} days") for n in range(40)), max_tokens=60)
    assert len(chunks) > 1
    rows = [line for c in chunks for line in c.text.split("\n")[2:]]
    assert rows == [f"| grade {n} | {n} days |" for n in range(40)]
    assert all(c.text.startswith("| Grade | Days |\n| --- | --- |\n") for c in chunks)


def test_table_head_is_never_left_alone_at_the_end_of_a_chunk() -> None:
    chunks = cut(paragraph("word " * 40, "Leave"), row("a", "1"), row("b", "2"), max_tokens=55)
    assert all(not c.text.endswith("--- |") for c in chunks)


def test_list_that_is_cut_repeats_what_introduces_it_and_its_parents() -> None:
    items = [item(f"thing number {n}", "Leave", depth=1) for n in range(12)]
    chunks = cut(paragraph("You can claim for:", "Leave"), item("travel", "Leave"), *items, max_tokens=40)
    assert len(chunks) > 1
    assert all(c.text.startswith("You can claim for:\n- travel\n  - thing") for c in chunks)


def test_neighbouring_chunks_of_a_section_share_at_most_the_overlap() -> None:
    sentences = [paragraph(f"Sentence number {n} says something.", "Leave") for n in range(20)]
    chunks = cut(*sentences, max_tokens=40, overlap_tokens=10)
    shared = [set(a.text.split("\n")) & set(b.text.split("\n")) for a, b in pairwise(chunks)]
    assert all(1 <= len(lines) <= 2 for lines in shared)


def test_chunk_with_its_headings_fits_the_embedder(embedder: Embedder) -> None:
    long = " ".join(f"Employees in department {n} may take unpaid leave of up to {n} days." for n in range(200))
    document = Document(
        "a.md", "hash", PolicyMetadata("Leave"), (paragraph(long, "Leave", "A very long heading " * 9),)
    )
    chunks = chunk(document, ChunkSize(embedder.max_tokens - 2, 50), lambda text: embedder.count_tokens(text) - 2)
    assert len(chunks) > 5
    assert max(embedder.count_tokens(c.embedded_text) for c in chunks) <= embedder.max_tokens
    assert all(sentence in " ".join(c.text for c in chunks) for sentence in long.split(". ")[:5])


def test_title_is_embedded_once() -> None:
    (only,) = cut(paragraph("Text.", "Leave", "Carrying over"))
    assert only.embedded_text == "Leave › Carrying over\nText."


def test_ids_differ_and_stay_the_same_between_runs() -> None:
    blocks = [paragraph("same text", "A"), paragraph("same text", "B")]
    first, second = cut(*blocks), cut(*blocks)
    assert first[0].id != first[1].id
    assert [c.id for c in first] == [c.id for c in second]


def test_pieces_are_sentences_items_with_lead_in_and_rows_with_head() -> None:
    text = (
        "Leave is good. You can carry over:\n- five days\n  - by 31 March\n- nothing else\n"
        "| Grade | Days |\n| --- | --- |\n| A | 5 |\nThe end of it all."
    )
    found = [(p.kind, p.text, p.in_context) for p in pieces(text)]
    assert found == [
        (PieceKind.SENTENCE, "Leave is good. You can carry over:", "Leave is good. You can carry over:"),
        (PieceKind.LIST_ITEM, "five days", "Leave is good. You can carry over: five days"),
        (PieceKind.LIST_ITEM, "by 31 March", "Leave is good. You can carry over: five days by 31 March"),
        (PieceKind.LIST_ITEM, "nothing else", "Leave is good. You can carry over: nothing else"),
        (PieceKind.TABLE_ROW, "A | 5", "Grade: A; Days: 5"),
        (PieceKind.SENTENCE, "The end of it all.", "The end of it all."),
    ]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Ring by 9.30 am on day one. Then rest.", ["Ring by 9.30 am on day one.", "Then rest."]),
        ("You get 5.5 days, i.e. not six. Ask Mr. Smith for more.", None),
        ("No. You must always ring your manager first.", ["No. You must always ring your manager first."]),
    ],
)
def test_short_sentences_and_abbreviations_are_not_cut_off(text: str, sentences: list[str] | None) -> None:
    expected = sentences or ["You get 5.5 days, i.e. not six.", "Ask Mr. Smith for more."]
    assert [p.text for p in pieces(text)] == expected
