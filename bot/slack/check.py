"""Whether Slack lets the bot do what it has to: for `quantahr doctor`.

Enters: the settings. Leaves: a sentence for each thing that is missing, with what to do.
"""

from __future__ import annotations

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.slack.manifest import SCOPES
from config.settings import SlackSettings

_TIMEOUT_S = 10


def missing(slack: SlackSettings) -> list[str]:
    """What is missing; empty when all is well."""
    client = WebClient(slack.bot_token.get_secret_value(), base_url=slack.api_url, timeout=_TIMEOUT_S)
    try:
        known = client.auth_test()
        problems = _scopes(str(known.headers.get("x-oauth-scopes") or ""))
        if slack.mode == "socket":
            problems += _socket(slack)
        for name, group in (("hr_group", slack.hr_group), ("managers_group", slack.managers_group)):
            problems += _group(client, name, group)
        return problems + _channel(client, slack.hr_channel)
    except SlackApiError as error:
        return [f"Slack refuses slack.bot_token ({error.response['error']}); set the one on the app's page."]
    except (SlackClientError, OSError) as error:
        return [f"{slack.api_url} cannot be reached ({type(error).__name__}); check the network and slack.api_url."]


def _scopes(granted: str) -> list[str]:
    """Slack names what a token may do in a header of every answer."""
    lacking = sorted(set(SCOPES) - set(granted.split(","))) if granted else []
    if not lacking:
        return []
    return [f"the app lacks {', '.join(lacking)}; paste 'quantahr slack manifest' again and reinstall the app."]


def _socket(slack: SlackSettings) -> list[str]:
    client = WebClient(base_url=slack.api_url, timeout=_TIMEOUT_S)
    try:
        client.apps_connections_open(app_token=slack.app_token.get_secret_value())
    except SlackApiError as error:
        return [f"Slack refuses slack.app_token ({error.response['error']}); it needs the scope connections:write."]
    return []


def _group(client: WebClient, name: str, group: str) -> list[str]:
    if not group:
        return []
    try:
        client.usergroups_users_list(usergroup=group)
    except SlackApiError as error:
        return [f"slack.{name} {group} cannot be read ({error.response['error']}); name a user group by its id."]
    return []


def _channel(client: WebClient, channel: str) -> list[str]:
    if not channel:
        return []
    try:
        client.conversations_replies(channel=channel, ts="1.0", limit=1)
    except SlackApiError as error:
        if error.response["error"] != "thread_not_found":
            return [f"slack.hr_channel {channel}: {error.response['error']}; name it by its id and invite the bot."]
    return []
