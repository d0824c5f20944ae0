"""Evidence as people read it."""

from __future__ import annotations

from dataclasses import replace

from bot.quote import quote
from knowledge.chunk import Chunk
from knowledge.load import PolicyMetadata
from knowledge.read import Evidence, PieceKind
from knowledge.retrieve import Passage


def passage(text: str, countries: tuple[str, ...] = (), identity: str = "a") -> Passage:
    return Passage(Chunk(identity, "a.md", 0, ("A",), text, None, PolicyMetadata("A", countries=countries)), 1.0)


LIST = passage("You can claim:\n- taxis\n- trains\n- hotels")
TABLE = passage("| Grade | Days |\n| --- | --- |\n| A | 5 |\n| B | 6 |")


def item(text: str) -> Evidence:
    return Evidence(LIST, PieceKind.LIST_ITEM, text, "You can claim:")


def test_one_item_follows_its_lead_in() -> None:
    assert quote([item("taxis")], None) == "You can claim: taxis."


def test_items_of_one_list_share_their_lead_in_in_the_order_of_the_document() -> None:
    assert quote([item("trains"), item("taxis")], None) == "You can claim:\n- taxis\n- trains"


def row(text: str) -> Evidence:
    return Evidence(TABLE, PieceKind.TABLE_ROW, text, head=("Grade", "Days"))


def test_row_is_said_with_its_column_heads() -> None:
    assert quote([row("A | 5")], None) == "A — Days: 5."


def test_rows_are_listed() -> None:
    assert quote([row("A | 5"), row("B | 6")], None) == "- A — Days: 5\n- B — Days: 6"


def test_long_lead_in_is_left_to_the_citation() -> None:
    long = Evidence(LIST, PieceKind.LIST_ITEM, "taxis", "word " * 40)
    assert quote([long], None) == "taxis."


def test_long_lead_in_that_denies_or_restricts_is_said() -> None:
    for decides in ("We do not pay for", "We'll pay only if you asked before for", "We won’t ever pay for"):
        long = Evidence(LIST, PieceKind.LIST_ITEM, "taxis", f"{decides} {'word ' * 40}".strip() + ":")
        assert quote([long], None).startswith(decides)


def test_country_is_named_only_when_the_askers_is_not_known() -> None:
    german = Evidence(passage("Leave is 30 days.", ("DE",)), PieceKind.SENTENCE, "Leave is 30 days.")
    british = Evidence(passage("Leave is 25 days.", ("GB",), "b"), PieceKind.SENTENCE, "Leave is 25 days.")
    assert quote([german, british], None) == "DE: Leave is 30 days.\nGB: Leave is 25 days."
    assert quote([german], "DE") == "Leave is 30 days."


def test_sections_stand_on_lines_of_their_own() -> None:
    pay, leave = passage("Pay is monthly. Pay is fair."), passage("Leave is 25 days.", identity="b")
    leave = replace(leave, chunk=replace(leave.chunk, heading_path=("B",)))
    said = [Evidence(pay, PieceKind.SENTENCE, "Pay is fair."), Evidence(leave, PieceKind.SENTENCE, "Leave is 25 days.")]
    said.append(Evidence(pay, PieceKind.SENTENCE, "Pay is monthly."))
    assert quote(said, None) == "Pay is monthly. Pay is fair.\nLeave is 25 days."
