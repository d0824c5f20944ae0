"""What Slack sends, parsed at the edge.

Enters: the JSON of an event, a click, a modal, a command or a shortcut. Leaves: one of the frozen values below, which
know nothing of Slack's envelopes; or `Unusable` with the reason, when it is not for us or not as documented.

Every value has a `key`: the same occurrence has the same key however often and by whichever event Slack delivers it. A
mention in a channel comes as `app_mention` and as `message`; both are one question.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

# Slack's own limit.
MAX_TEXT = 40_000


class Unusable(Exception):
    """A payload that nothing is done about; the message says why, without anybody's text."""


class Malformed(Unusable):
    """A payload that is not as Slack documents it."""


class _Incoming(BaseModel):
    """What all have in common."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str = Field(max_length=200)
    team: str = ""
    user: str
    happened_at: datetime


class Message(_Incoming):
    """Somebody wrote something where the bot can read it."""

    kind: Literal["message"] = "message"
    channel: str
    channel_type: str
    ts: str
    thread_ts: str = ""
    text: str

    @property
    def thread(self) -> str:
        """The message that the thread hangs from: this one, if there is no thread yet."""
        return self.thread_ts or self.ts


class Edit(_Incoming):
    """Somebody changed what they had written; `was` is what it said before."""

    kind: Literal["edit"] = "edit"
    channel: str
    ts: str
    thread_ts: str = ""
    text: str
    was: str = ""


class Deletion(_Incoming):
    """Somebody deleted what they had written, which was `was`."""

    kind: Literal["deletion"] = "deletion"
    channel: str
    ts: str
    thread_ts: str = ""
    was: str = ""


class Reaction(_Incoming):
    """Somebody put an emoji on a message, or took it away. `name` has no skin tone; `author` wrote the message."""

    kind: Literal["reaction"] = "reaction"
    channel: str
    ts: str
    author: str = ""
    name: str
    is_added: bool


class Command(_Incoming):
    """`/hr question`."""

    kind: Literal["command"] = "command"
    channel: str
    text: str
    response_url: str


class Click(_Incoming):
    """A button. `value` is what we put into it; `ts` is the message that it stands in, empty for the home tab."""

    kind: Literal["click"] = "click"
    channel: str = ""
    ts: str = ""
    thread_ts: str = ""
    action: str
    value: str = ""
    trigger: str = ""
    response_url: str = ""


class Submission(_Incoming):
    """A modal that was sent. `private` is what we put into it, `values` what was filled in, by action."""

    kind: Literal["submission"] = "submission"
    callback: str
    private: str = ""
    values: Mapping[str, str] = {}


class Shortcut(_Incoming):
    """A message shortcut."""

    kind: Literal["shortcut"] = "shortcut"
    callback: str
    channel: str
    ts: str
    trigger: str


class Stop(_Incoming):
    """Somebody pressed Stop under an answer that is being written."""

    kind: Literal["stop"] = "stop"
    channel: str
    thread_ts: str


class HomeOpened(_Incoming):
    """Somebody looks at the app. `tab` is "home" or "messages"."""

    kind: Literal["home"] = "home"
    channel: str = ""
    tab: str


Incoming = Annotated[
    Message | Edit | Deletion | Reaction | Command | Click | Submission | Shortcut | Stop | HomeOpened,
    Field(discriminator="kind"),
]
_ANY: TypeAdapter[Incoming] = TypeAdapter(Incoming)


def parse(body: Mapping[str, Any]) -> Incoming:
    """Read one payload.

    Raises:
        Unusable: It is from a bot, of a kind that nothing is done about, or not as Slack documents it.
    """
    try:
        return _ANY.validate_python(_read(body))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise Malformed(f"malformed: {where}: {problem['type']}") from None
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        raise Malformed(f"malformed: {type(error).__name__}") from None


def stored(task: str) -> Incoming:
    """A value back from the JSON that `model_dump_json` gave."""
    return _ANY.validate_json(task)


def _read(body: Mapping[str, Any]) -> dict[str, Any]:
    match body.get("type"):
        case "event_callback":
            return _event(body, body["event"])
        case "block_actions":
            return _click(body)
        case "view_submission":
            return _submission(body)
        case "message_action" | "shortcut":
            return _shortcut(body)
    if "command" in body:
        return {
            "kind": "command",
            "key": f"command:{body['trigger_id']}",
            "team": body.get("team_id") or "",
            "user": body["user_id"],
            "channel": body["channel_id"],
            "text": str(body.get("text") or "")[:MAX_TEXT],
            "response_url": body["response_url"],
            "happened_at": datetime.now(UTC),
        }
    raise Unusable(f"payload of type {str(body.get('type'))[:40]!r}")


def _event(body: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    common = {
        "key": f"event:{body['event_id']}",
        "team": body.get("team_id") or "",
        "user": event.get("user"),
        "happened_at": _time(event.get("event_ts") or event.get("ts") or body["event_time"]),
    }
    match event["type"]:
        case "app_mention" | "message":
            return common | _message(event)
        case "reaction_added" | "reaction_removed":
            item = event["item"]
            if item["type"] != "message":
                raise Unusable("a reaction to something else than a message")
            return common | {
                "kind": "reaction",
                "channel": item["channel"],
                "ts": item["ts"],
                "author": event.get("item_user") or "",
                "name": event["reaction"].split("::")[0],
                "is_added": event["type"] == "reaction_added",
            }
        case "agent_session_stopped":
            return common | {"kind": "stop", "channel": event["channel"], "thread_ts": event["thread_ts"]}
        case "app_home_opened":
            return common | {"kind": "home", "channel": event.get("channel") or "", "tab": event["tab"]}
    raise Unusable(f"event of type {str(event['type'])[:40]!r}")


def _message(event: Mapping[str, Any]) -> dict[str, Any]:
    """A message, an edit or a deletion; each is one occurrence, whichever event tells of it."""
    subtype, channel = event.get("subtype"), event["channel"]
    if subtype in ("message_changed", "message_deleted"):
        before = event["previous_message"]
        after = event["message"] if subtype == "message_changed" else before
        if after.get("bot_id") or before.get("bot_id"):
            raise Unusable("a bot's own message changed")
        is_gone = subtype == "message_deleted" or after.get("subtype") == "tombstone"
        if not is_gone and after.get("text") == before.get("text"):
            raise Unusable("a message changed, but not its text")
        of = {
            "user": before["user"],
            "channel": channel,
            "ts": before["ts"],
            "thread_ts": before.get("thread_ts") or "",
            "was": str(before.get("text") or "")[:MAX_TEXT],
        }
        return of | ({"kind": "deletion"} if is_gone else {"kind": "edit", "text": after["text"][:MAX_TEXT]})
    if subtype not in (None, "thread_broadcast", "file_share", "me_message"):
        raise Unusable(f"message of subtype {str(subtype)[:40]!r}")
    if event.get("bot_id"):
        raise Unusable("a bot's message")
    return {
        "kind": "message",
        "key": f"message:{channel}:{event['ts']}",
        "channel": channel,
        "channel_type": event.get("channel_type") or "channel",
        "ts": event["ts"],
        "thread_ts": event.get("thread_ts") or "",
        "text": event["text"][:MAX_TEXT],
    }


def _click(body: Mapping[str, Any]) -> dict[str, Any]:
    action = body["actions"][0]
    container = body.get("container") or {}
    message = body.get("message") or {}
    return {
        "kind": "click",
        "key": f"click:{body.get('trigger_id') or ''}:{action['action_id']}:{action.get('action_ts') or ''}",
        "team": (body.get("team") or {}).get("id") or "",
        "user": body["user"]["id"],
        "channel": container.get("channel_id") or (body.get("channel") or {}).get("id") or "",
        "ts": container.get("message_ts") or message.get("ts") or "",
        "thread_ts": container.get("thread_ts") or message.get("thread_ts") or "",
        "action": action["action_id"],
        "value": action.get("value") or (action.get("selected_option") or {}).get("value") or "",
        "trigger": body.get("trigger_id") or "",
        "response_url": body.get("response_url") or "",
        "happened_at": _time(action.get("action_ts") or 0),
    }


def _submission(body: Mapping[str, Any]) -> dict[str, Any]:
    view = body["view"]
    return {
        "kind": "submission",
        "key": f"view:{view['id']}:{view.get('hash') or ''}",
        "team": (body.get("team") or {}).get("id") or "",
        "user": body["user"]["id"],
        "callback": view["callback_id"],
        "private": view.get("private_metadata") or "",
        "values": {
            name: _filled_in(field) for fields in view["state"]["values"].values() for name, field in fields.items()
        },
        "happened_at": datetime.now(UTC),
    }


def _filled_in(field: Mapping[str, Any]) -> str:
    chosen = [one["value"] for one in field.get("selected_options") or ()]
    one = (field.get("selected_option") or {}).get("value")
    return str(field.get("value") or one or field.get("selected_date") or ",".join(chosen))[:MAX_TEXT]


def _shortcut(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": "shortcut",
        "key": f"shortcut:{body['trigger_id']}",
        "team": (body.get("team") or {}).get("id") or "",
        "user": body["user"]["id"],
        "callback": body["callback_id"],
        "channel": body["channel"]["id"],
        "ts": body["message"]["ts"],
        "trigger": body["trigger_id"],
        "happened_at": datetime.now(UTC),
    }


def _time(ts: object) -> datetime:
    """Slack's "1700000000.000100", seconds since 1970; what has none happened now."""
    seconds = float(str(ts))
    return datetime.fromtimestamp(seconds, UTC) if seconds else datetime.now(UTC)
