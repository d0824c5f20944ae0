"""Where answers were said, so that a reaction to a message, or a reply under it, finds the answer.

Enters: the place of a message and of its thread, as the channel names them ("slack:T1:C1:1700.1"), and the answer that
was said there. Leaves: the answer of a place; the last answer of a thread; where an answer stands. Places are kept as
hashes, and sealed so that the message can be changed later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, select

from bot.schema import POSTS
from bot.store import Store, insert_once


@dataclass(frozen=True)
class Post:
    """An answer and the message in which it was said; `sealed` is what the channel keeps about that message."""

    interaction_id: str
    sealed: str


class Posts:
    """The messages that the bot wrote. Blocking, about a millisecond a call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, connection: Connection, place: str, thread: str, interaction_id: str, address: str) -> None:
        """Remember what was said where, in the transaction that records it. Saying it again there changes nothing.

        `place` and `thread` name the message and its thread; `address` is what the channel needs to change it.
        """
        row = {
            "at": datetime.now(UTC),
            "place": self._store.hash(place),
            "thread": self._store.hash(thread),
            "interaction_id": interaction_id,
            "sealed": self._store.seal(address),
        }
        connection.execute(insert_once(connection, POSTS).values(row).on_conflict_do_nothing())

    def at(self, place: str) -> Post | None:
        """What was said in a message; None where it is none of ours."""
        return self._first(POSTS.c.place == self._store.hash(place))

    def last_in(self, thread: str) -> Post | None:
        """The last answer of a thread; None where the bot has said none."""
        return self._first(POSTS.c.thread == self._store.hash(thread))

    def all_in(self, thread: str) -> list[Post]:
        """All answers of a thread, in the order in which they were recorded."""
        query = select(POSTS.c.interaction_id, POSTS.c.sealed).where(POSTS.c.thread == self._store.hash(thread))
        with self._store.reading() as connection:
            rows = connection.execute(query.order_by(POSTS.c.id)).all()
        return [Post(row.interaction_id, self._store.unseal(row.sealed)) for row in rows]

    def of(self, interaction_id: str) -> Post | None:
        """Where an answer was said last; None where it was said in no message, or another channel's."""
        return self._first(POSTS.c.interaction_id == interaction_id)

    def _first(self, condition: ColumnElement[bool]) -> Post | None:
        query = select(POSTS.c.interaction_id, POSTS.c.sealed).where(condition).order_by(POSTS.c.id.desc()).limit(1)
        with self._store.reading() as connection:
            row = connection.execute(query).one_or_none()
        return Post(row.interaction_id, self._store.unseal(row.sealed)) if row else None
