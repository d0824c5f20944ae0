"""What goes over the wire: request bodies as they must be, answers and events as they are sent.

Enters: JSON, refused when a field is unknown, missing or too long. Leaves: the product's own types, and JSON of them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bot.answer import Asker, Question, Turn
from config.settings import Audience, Settings

CHANNEL = "web"
MAX_QUESTION_CHARS = 2_000
MAX_TURNS = 20
MAX_TURN_CHARS = 4_000
MAX_NOTE_CHARS = 4_000
# Twenty full turns in a script of three bytes a letter, with room for the JSON around them.
MAX_BODY_BYTES = 400_000

Note = Annotated[str, StringConstraints(max_length=MAX_NOTE_CHARS, strip_whitespace=True)]


class Body(BaseModel):
    """A request body: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TurnBody(Body):
    """An earlier message of the thread."""

    role: Literal["user", "bot"]
    text: str = Field(max_length=MAX_TURN_CHARS)


class AskBody(Body):
    """A question. `history` holds the thread's earlier turns, oldest first."""

    question: Annotated[str, StringConstraints(min_length=1, max_length=MAX_QUESTION_CHARS, strip_whitespace=True)]
    country: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2}$", to_upper=True)] | None = Field(
        None, description="ISO 3166 code, such as GB; leave out if not known."
    )
    audience: Audience | None = Field(None, description="Asking for more than the server gives needs its token.")
    history: tuple[TurnBody, ...] = Field((), max_length=MAX_TURNS)

    def to_question(self, audience: Audience) -> Question:
        """The question as the assistant takes it, asked by somebody who may read what is for `audience`."""
        return Question(
            text=self.question,
            asker=Asker(audience=audience, country=self.country),
            channel=CHANNEL,
            history=tuple(Turn(turn.role, turn.text) for turn in self.history),
        )


class FeedbackBody(Body):
    """A vote on an answer: 1 (wrong) to 5 (right); 0 takes it back."""

    interaction_id: str = Field(min_length=1, max_length=64)
    rating: int = Field(ge=0, le=5, strict=True)
    reason: Note = ""
    correct_points: Note = ""
    incorrect_points: Note = ""
    ideal_response: Note = ""


class FeedbackReply(BaseModel):
    """The vote as it now stands."""

    interaction_id: str
    rating: int


class ContactBody(BaseModel):
    """A human to turn to; what is not known is empty."""

    name: str
    email: str
    phone: str
    url: str


class InfoBody(BaseModel):
    """What the chat page shows before the first question."""

    company: str
    hr: ContactBody
    suggested_questions: list[str]
    countries: list[str]
    needs_token: bool
    ready: bool

    @classmethod
    def of(cls, settings: Settings, *, countries: tuple[str, ...], needs_token: bool, ready: bool) -> Self:
        """What the settings say to everybody."""
        hr = settings.company.hr
        return cls(
            company=settings.company.name,
            hr=ContactBody(name=hr.name, email=hr.email, phone=hr.phone, url=hr.url),
            suggested_questions=list(settings.company.suggested_questions),
            countries=list(countries),
            needs_token=needs_token,
            ready=ready,
        )


class ReadyBody(BaseModel):
    """Whether questions can be answered; if not, `reason` says why, and `has_failed` that waiting will not help.

    `slack` is empty where no bot is set up, "connected", or why it is not.
    """

    ready: bool
    has_failed: bool = False
    reason: str = ""
    model: str = ""
    documents: int = 0
    chunks: int = 0
    slack: str = ""


class ErrorBody(BaseModel):
    """What went wrong, in words for whoever asked. `incident_id` is what to quote to those who run the server."""

    message: str
    incident_id: str = ""


class StatusEvent(BaseModel):
    """What is happening while there is no text yet; `position` counts the questions that come first."""

    state: Literal["queued", "reading"]
    position: int


class TextEvent(BaseModel):
    """The next piece of the answer's text."""

    delta: str


def explain_invalid(error: RequestValidationError) -> str:
    """The first problem of a request body in one sentence, without what was sent.

    Example: `Field 'rating' does not fit: Input should be less than or equal to 5.`
    """
    problem = error.errors()[0]
    kind = str(problem["type"])
    field = ".".join(str(part) for part in problem["loc"] if part != "body")
    if kind == "json_invalid":
        return "The body is not valid JSON; send a JSON object."
    if not field:
        return "Send a JSON object, with the header 'Content-Type: application/json'."
    if kind == "extra_forbidden":
        return f"Field '{field}' is not known; remove it."
    if kind == "missing":
        return f"Field '{field}' is missing; add it."
    return f"Field '{field}' does not fit: {problem['msg']}."
