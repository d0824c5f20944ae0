"""Tasks remember what was done of them and whose they are; a step of a case is taken once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; of tasks under way only where their answer stands is lost, which is then looked for."""
    op.execute("UPDATE inbox SET placeholder = ''")
    op.alter_column("inbox", "placeholder", new_column_name="notes")
    op.add_column("inbox", sa.Column("owner", sa.String(64), nullable=False, server_default=""))
    op.add_column("inbox", sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("cases", sa.Column("key", sa.String(64), nullable=True))
    op.create_index("cases_by_key", "cases", ["key"], unique=True)
