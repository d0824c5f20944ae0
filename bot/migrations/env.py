"""What Alembic runs: the changes that are missing, on the connection that `bot/store.py` gives it."""

from __future__ import annotations

from alembic import context

from bot.schema import TABLES

context.configure(connection=context.config.attributes["connection"], target_metadata=TABLES)
# The transaction is the caller's: a ledger is brought up to date whole or not at all.
context.run_migrations()
