"""The ledger's tables. Rows are appended and never updated; current state is derived from them.

Enters: nothing. Leaves: tables for `bot/store.py`, `bot/feedback.py`, `bot/cases.py` and `bot/inbox.py`. A change here
needs a migration in `bot/migrations/versions`; a test compares the two.

People and places (channels, messages) appear only as an HMAC. What a reply must reach is sealed under the same key:
without the key the ledger leads to nobody. The inbox alone is emptied: it holds what is under way.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

TABLES = MetaData()
_HASH = String(64)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True, autoincrement=True)


def _at(name: str = "at") -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _answer(*, is_needed: bool = True) -> Column[str]:
    return Column("interaction_id", ForeignKey("interactions.id"), nullable=not is_needed, index=True)


INTERACTIONS = Table(
    "interactions",
    TABLES,
    Column("id", String(64), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("person", _HASH, nullable=False, index=True),
    Column("question", Text, nullable=False),
    Column("history", JSON, nullable=False),
    Column("answer", Text, nullable=False),
    Column("route", String(16), nullable=False),
    Column("category", String(32), nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("probability", Float, nullable=False),
    Column("citations", JSON, nullable=False),
    Column("model", String(200), nullable=False),
    Column("prompt_version", String(64), nullable=False),
    Column("timings", JSON, nullable=False),
    # From here on: what later versions added, with what older rows hold.
    Column("audience", String(16), nullable=False, server_default="all"),
    Column("country", String(2), nullable=False, server_default=""),
    Column("asked", Text, nullable=False, server_default=""),
    Column("passages", JSON, nullable=False, server_default="[]"),
    Column("prompt", JSON, nullable=False, server_default="[]"),
    Column("sampling", JSON, nullable=False, server_default="{}"),
    Column("verified_by", String(64), nullable=False, server_default=""),
)

VOTES = Table(
    "votes",
    TABLES,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("interaction_id", ForeignKey("interactions.id"), nullable=False),
    Column("person", _HASH, nullable=False),
    Column("rating", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("correct_points", Text, nullable=False),
    Column("incorrect_points", Text, nullable=False),
    Column("ideal_response", Text, nullable=False),
    # Where it was given ("web", "slack:button", "slack:reaction:+1"): each source has its own last word.
    Column("source", String(64), nullable=False, server_default="web"),
    Column("happened_at", DateTime(timezone=True), nullable=True),
    Index("votes_by_interaction", "interaction_id", "person"),
)

# What happened to corrections and suggestions; `bot/feedback.py` derives what they are.
CORRECTIONS = Table(
    "corrections",
    TABLES,
    _id(),
    _at(),
    _at("happened_at"),
    Column("correction_id", String(64), nullable=False, index=True),
    Column("step", String(16), nullable=False),
    _answer(),
    Column("person", _HASH, nullable=False, index=True),
    Column("is_hr", Boolean, nullable=False),
    _text("question"),
    _text("text"),
    Column("sources", JSON, nullable=False),
    Column("audience", String(16), nullable=False),
    Column("countries", JSON, nullable=False),
    Column("review_on", Date, nullable=True),
)

# Questions of which HR said that a verified answer does not answer them.
UNLINKS = Table(
    "unlinks",
    TABLES,
    _id(),
    _at(),
    Column("correction_id", String(64), nullable=False, index=True),
    _answer(is_needed=False),
    Column("person", _HASH, nullable=False, index=True),
    _text("question"),
)

# What happened to cases that people brought before HR; `bot/cases.py` derives what they are.
CASES = Table(
    "cases",
    TABLES,
    _id(),
    _at(),
    Column("case_id", String(64), nullable=False, index=True),
    Column("step", String(16), nullable=False),
    _answer(is_needed=False),
    Column("person", _HASH, nullable=False, index=True),
    Column("is_anonymous", Boolean, nullable=False),
    _text("text"),
    _text("sealed"),  # where to reach whoever asked, readable with the key alone
    Column("key", _HASH, nullable=True),  # of what made it happen: the same makes one step
    Index("cases_by_key", "key", unique=True),
)

# Where an answer was said, so that a reaction or a reply to that message finds it.
POSTS = Table(
    "posts",
    TABLES,
    _id(),
    _at(),
    Column("place", _HASH, nullable=False, unique=True),
    Column("thread", _HASH, nullable=False, index=True),
    _answer(),
    _text("sealed"),
)

EVENTS = Table(
    "events",
    TABLES,
    Column("id", String(200), primary_key=True),
    _at(),
)

INBOX = Table(
    "inbox",
    TABLES,
    Column("id", String(200), primary_key=True),
    _at(),
    Column("kind", String(32), nullable=False),
    _text("sealed"),
    _text("notes"),  # sealed: what was done of it already
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("owner", String(64), nullable=False, server_default=""),
    Column("leased_until", DateTime(timezone=True), nullable=True),
)

# What was erased, so that datasets and models made before can be told: whose and which, never what.
ERASURES = Table(
    "erasures",
    TABLES,
    _id(),
    _at(),
    Column("kind", String(16), nullable=False),
    Column("what", _HASH, nullable=False),
    Column("rows", Integer, nullable=False),
)
