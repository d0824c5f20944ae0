"""Who somebody is to the assistant: of HR, a manager, in which country.

Enters: a person's id. Leaves: what Slack's user groups and the settings say of them. Groups are looked up every five
minutes; when Slack cannot say, what it said last counts, and before that nobody is in a group.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.answer import Asker
from config.settings import Audience, SlackSettings

_log = logging.getLogger(__name__)
_FRESH_S = 300.0


class People:
    """Roles by user group, remembered."""

    def __init__(self, client: AsyncWebClient, settings: SlackSettings) -> None:
        self._client = client
        self._settings = settings
        self._members: dict[str, tuple[float, frozenset[str]]] = {}
        self._names: dict[str, str] = {}
        self._lock = asyncio.Lock()

    async def is_hr(self, user: str) -> bool:
        """Whether this person may correct answers and see what awaits HR."""
        return user in self._settings.hr_people or user in await self._in(self._settings.hr_group)

    async def asker(self, user: str, *, is_private: bool) -> Asker:
        """As whom the person asks. Where others read along, only what is for everybody is used."""
        country = self._settings.country
        for code, group in self._settings.country_groups.items():
            if user in await self._in(group):
                country = code
        audience = Audience.ALL
        if is_private and await self.is_hr(user):
            audience = Audience.HR
        elif is_private and user in await self._in(self._settings.managers_group):
            audience = Audience.MANAGERS
        return Asker(audience, country.upper() or None)

    async def names(self, users: Sequence[str]) -> dict[str, str]:
        """What people are called; whoever Slack does not tell about is left out."""
        for user in users:
            if user not in self._names:
                try:
                    found = (await self._client.users_info(user=user))["user"]
                    self._names[user] = str(found.get("real_name") or found["name"])
                except (SlackClientError, KeyError, OSError, TimeoutError) as error:
                    _log.warning("a name cannot be read: %s", type(error).__name__)
        return {user: self._names[user] for user in users if user in self._names}

    async def _in(self, group: str) -> frozenset[str]:
        """Who is in a user group; nobody where none is named."""
        if not group:
            return frozenset()
        async with self._lock:
            looked_up, members = self._members.get(group, (float("-inf"), frozenset()))
            if time.monotonic() - looked_up > _FRESH_S:
                try:
                    found = await self._client.usergroups_users_list(usergroup=group)
                    members = frozenset(found.get("users") or ())
                except (SlackClientError, OSError, TimeoutError) as error:
                    _log.warning("the user group %s cannot be read: %s", group, type(error).__name__)
                self._members[group] = (time.monotonic(), members)
        return members
