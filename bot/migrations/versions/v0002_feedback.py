"""Corrections, cases, posts, the inbox; and what answers and votes have to say since then."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True, autoincrement=True)


def _at(name: str = "at") -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default="")


def _answer(*, is_needed: bool = True) -> sa.Column[str]:
    return sa.Column("interaction_id", sa.String(64), sa.ForeignKey("interactions.id"), nullable=not is_needed)


def _index(table: str, *columns: str) -> None:
    for column in columns:
        op.create_index(f"ix_{table}_{column}", table, [column])


def upgrade() -> None:
    """Add columns with what older rows hold, and the new tables."""
    op.add_column("interactions", sa.Column("audience", sa.String(16), nullable=False, server_default="all"))
    op.add_column("interactions", sa.Column("country", sa.String(2), nullable=False, server_default=""))
    op.add_column("interactions", sa.Column("asked", sa.Text, nullable=False, server_default=""))
    op.add_column("interactions", sa.Column("passages", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("interactions", sa.Column("prompt", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("interactions", sa.Column("sampling", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("interactions", sa.Column("verified_by", sa.String(64), nullable=False, server_default=""))
    op.add_column("votes", sa.Column("source", sa.String(64), nullable=False, server_default="web"))
    op.add_column("votes", sa.Column("happened_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "corrections",
        _id(),
        _at(),
        _at("happened_at"),
        sa.Column("correction_id", sa.String(64), nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        _answer(),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("is_hr", sa.Boolean, nullable=False),
        _text("question"),
        _text("text"),
        sa.Column("sources", sa.JSON, nullable=False),
        sa.Column("audience", sa.String(16), nullable=False),
        sa.Column("countries", sa.JSON, nullable=False),
        sa.Column("review_on", sa.Date, nullable=True),
    )
    _index("corrections", "correction_id", "interaction_id", "person")
    op.create_table(
        "unlinks",
        _id(),
        _at(),
        sa.Column("correction_id", sa.String(64), nullable=False),
        _answer(is_needed=False),
        sa.Column("person", sa.String(64), nullable=False),
        _text("question"),
    )
    _index("unlinks", "correction_id", "interaction_id", "person")
    op.create_table(
        "cases",
        _id(),
        _at(),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        _answer(is_needed=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("is_anonymous", sa.Boolean, nullable=False),
        _text("text"),
        _text("sealed"),
    )
    _index("cases", "case_id", "interaction_id", "person")
    op.create_table(
        "posts",
        _id(),
        _at(),
        sa.Column("place", sa.String(64), nullable=False, unique=True),
        sa.Column("thread", sa.String(64), nullable=False),
        _answer(),
        _text("sealed"),
    )
    _index("posts", "thread", "interaction_id")
    op.create_table("events", sa.Column("id", sa.String(200), primary_key=True), _at())
    op.create_table(
        "inbox",
        sa.Column("id", sa.String(200), primary_key=True),
        _at(),
        sa.Column("kind", sa.String(32), nullable=False),
        _text("sealed"),
        _text("placeholder"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_table(
        "erasures",
        _id(),
        _at(),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
    )
