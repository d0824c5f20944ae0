"""`quantahr slack manifest`: what to paste when the app is made, and what `quantahr doctor` holds it against."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bot.slack.actions import SHORTCUT
from config.settings import Settings, load_settings

SCOPES = [
    "app_mentions:read",
    "assistant:write",
    "channels:history",
    "chat:write",
    "commands",
    "groups:history",
    "im:history",
    "im:read",
    "im:write",
    "mpim:history",
    "reactions:read",
    "reactions:write",
    "usergroups:read",
    "users:read",
]
EVENTS = [
    "agent_session_stopped",
    "app_context_changed",
    "app_home_opened",
    "app_mention",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "reaction_removed",
]


@click.group("slack")
def command() -> None:
    """Set up the bot in Slack."""


@command.command("manifest")
@click.option("--url", default="", help="Where Slack reaches this server, such as https://hr.example.com (HTTP mode).")
@click.pass_obj
def manifest_command(config: Path | None, url: str) -> None:
    """Print the app's manifest, to be pasted at https://api.slack.com/apps under "From a manifest"."""
    settings = load_settings(config)
    if settings.slack.mode == "http" and not url.startswith("https://"):
        raise click.UsageError("In HTTP mode Slack needs an address: --url https://hr.example.com")
    click.echo(json.dumps(manifest(settings, url.rstrip("/")), indent=2))


def manifest(settings: Settings, url: str = "") -> dict[str, object]:
    """The manifest for these settings, as Slack documents it."""
    is_socket = settings.slack.mode == "socket"
    events = {} if is_socket else {"request_url": f"{url}/slack/events"}
    hook = {} if is_socket else {"url": f"{url}/slack/events"}
    prompts = [{"title": text[:75], "message": text} for text in settings.company.suggested_questions[:4]]
    return {
        "display_information": {
            "name": "QuantaHR",
            "description": "Answers from our own HR policies, with their sources",
            "background_color": "#1f4e46",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "agent_view": {
                "agent_description": f"Answers questions about the policies of {settings.company.name}",
                "suggested_prompts": prompts,
            },
            "bot_user": {"display_name": "QuantaHR", "always_online": True},
            "slash_commands": [
                {
                    "command": "/hr",
                    "description": "Ask about our policies; only you see the answer",
                    "usage_hint": "how many days can I carry over?",
                    "should_escape": False,
                    **hook,
                }
            ],
            "shortcuts": [
                {
                    "name": "Correct this answer",
                    "type": "message",
                    "callback_id": SHORTCUT,
                    "description": "For HR: give the right answer",
                }
            ],
        },
        "oauth_config": {"scopes": {"bot": SCOPES}},
        "settings": {
            "event_subscriptions": {**events, "bot_events": EVENTS},
            "interactivity": {"is_enabled": True, **({} if is_socket else {"request_url": f"{url}/slack/events"})},
            "org_deploy_enabled": False,
            "socket_mode_enabled": is_socket,
            "token_rotation_enabled": False,
        },
    }
