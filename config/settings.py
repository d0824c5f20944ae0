"""Every setting, with its default, its unit and what it is for.

Enters: a TOML file (`quantahr.toml`) and environment variables `QUANTAHR_<SECTION>__<KEY>`, which win over the file.
Leaves: one frozen `Settings`; each part of the program receives only its own section.
Run: `quantahr doctor` prints what was resolved. Nothing else in the program reads the environment.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from config.errors import ConfigError

ENV_PREFIX = "QUANTAHR_"
# Where what ships with the program lies: a default path means the same whatever folder a command is run in.
_INSTALLED = Path(__file__).resolve().parent.parent
ENV_CONFIG = "QUANTAHR_CONFIG"
# What Slack's own tools call these.
_ALSO_CALLED = {
    "SLACK_BOT_TOKEN": "slack.bot_token",
    "SLACK_APP_TOKEN": "slack.app_token",
    "SLACK_SIGNING_SECRET": "slack.signing_secret",
    "SLACK_API_URL": "slack.api_url",
}
# Read elsewhere by tests and benchmarks, or naming the file itself: not settings.
ENV_NOT_SETTINGS = {ENV_CONFIG, "QUANTAHR_EVAL_DATA"}


class Audience(StrEnum):
    """Who may read a document. HR reads everything, managers what is for managers or all."""

    ALL = "all"
    MANAGERS = "managers"
    HR = "hr"


class Section(BaseModel):
    """A group of settings: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("adapter", "gguf", mode="before", check_fields=False)
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """TOML has no null, and Path("") would be the working folder."""
        return None if value == "" else value

    @field_validator("adapter", "parts_dir", "spec", mode="after", check_fields=False)
    @classmethod
    def _as_installed(cls, path: Path | None) -> Path | None:
        """What is not in the working folder is looked for among what was installed."""
        return _INSTALLED / path if path and not path.exists() and (_INSTALLED / path).exists() else path


class Contact(Section):
    """A human to turn to."""

    name: str = Field("the HR team", description="Who to name, as it reads in a sentence: 'ask the HR team'.")
    email: str = Field("", description="Their e-mail address; empty leaves it out.")
    phone: str = Field("", description="Their telephone number; empty leaves it out.")
    url: str = Field("", description="Their page; empty leaves it out.")


class CrisisLine(Section):
    """A telephone line for people in danger."""

    name: str = Field(description="What the line is called.")
    contact: str = Field(description="How to reach it: a number, or a word and a number to text.")
    country: str = Field("", description="ISO 3166 code of the country it serves; empty for every country.")


class CompanySettings(Section):
    """What the assistant says about the company and its people."""

    name: str = Field("your company", description="The company's name, as the assistant says it.")
    hr: Contact = Field(Contact(), description="Who answers when the policies do not.")
    confidential: Contact = Field(
        Contact(name="the confidential reporting channel"),
        description="Where suspected wrongdoing can be reported without the line manager knowing.",
    )
    crisis_lines: tuple[CrisisLine, ...] = Field(
        (
            CrisisLine(name="Emergency services", contact="112, 999, 911 or your local number"),
            CrisisLine(name="Samaritans", contact="116 123", country="GB"),
            CrisisLine(name="988 Suicide & Crisis Lifeline", contact="988", country="US"),
        ),
        description="Lines to name when somebody may be in danger.",
    )
    suggested_questions: tuple[str, ...] = Field((), description="Questions that the chat offers to begin with.")


class DocumentSettings(Section):
    """Which documents are read."""

    folder: Path = Field(
        Path("samples/handbook"), description="Folder that `serve` and `ingest` read, with its sub-folders."
    )
    max_file_bytes: int = Field(50_000_000, gt=0, description="Larger files are skipped with a reason (bytes).")
    max_unpacked_bytes: int = Field(
        300_000_000, gt=0, description="Archives (docx, xlsx) that unpack to more are skipped (bytes)."
    )
    timeout_s: float = Field(600, gt=0, description="A file that takes longer to read is skipped (seconds).")
    rescan_s: float = Field(
        60, ge=0, description="`serve` looks for changed documents this often (seconds); 0 looks only at the start."
    )


class IndexSettings(Section):
    """How documents are cut and embedded, and where their vectors live."""

    adapter: Path | None = Field(
        Path("models/starter/retriever"),
        description="LoRA adapter for the embedder (a folder that peft saved); '' takes the embedder as it is.",
    )
    url: str = Field("", description="A Chroma server, such as http://chroma:8000; empty keeps Chroma embedded.")
    collection: str = Field("policies", min_length=3, description="Name of the Chroma collection.")
    chunk_size: int = Field(
        256, gt=15, description="Longest chunk in word pieces; more than the embedder's 256 is clipped, and said."
    )
    chunk_overlap: int = Field(50, ge=0, description="Word pieces that neighbouring chunks of one section share.")


class RetrievalSettings(Section):
    """How passages are found."""

    pool: int = Field(
        16, gt=0, le=100, description="Passages whose sentences, items and rows are compared with the question."
    )
    top_k: int = Field(8, gt=0, le=50, description="The best of these are read for evidence.")
    lexical_weight: float = Field(
        0.06, ge=0, le=1, description="Share of the lexical score (BM25) in the fused score; 0 is dense alone."
    )


class ReadingSettings(Section):
    """How evidence is chosen, and when the assistant declines."""

    max_evidence: int = Field(
        4,
        ge=1,
        le=8,
        description="Sentences, items or rows an answer may rest on; conditions that hold only together are added.",
    )
    max_words: int = Field(90, gt=0, description="Further pieces are added to the best only up to this length (words).")
    min_chance_per_word: float = Field(
        0.006,
        ge=0,
        le=1,
        description="A further piece is added when its chance of being the answer, divided by its words, is this high; "
        "lower makes answers longer.",
    )
    min_probability: float = Field(
        0.45, ge=0, le=1, description="Below this probability that the evidence answers, the assistant declines."
    )


class ModelSettings(Section):
    """Which model words the answers where `answering.wording` is "generate"."""

    gguf: Path | None = Field(None, description="A GGUF file; empty uses the embedded SmolLM2-135M-Instruct.")
    context_tokens: int = Field(2048, ge=512, description="Prompt and answer together (tokens).")
    threads: int = Field(0, ge=0, description="Threads for generation; 0 takes one per physical core.")
    batch_tokens: int = Field(512, gt=0, description="Prompt tokens evaluated in one step.")
    max_answer_tokens: int = Field(120, gt=0, description="Longest answer (tokens).")
    temperature: float = Field(0.0, ge=0, le=2, description="0 always takes the likeliest word.")
    queue_limit: int = Field(
        32, gt=0, description="Questions that may wait for the model; for more the policy is quoted."
    )
    deadline_s: float = Field(
        30.0, gt=0, description="A model that takes longer is stopped, and the policy is quoted (seconds)."
    )


class AnsweringSettings(Section):
    """How an answer is worded."""

    wording: Literal["quote", "generate"] = Field(
        "quote",
        description="'quote' gives the evidence as it stands; 'generate' lets the model word it, and quotes where that "
        "fails the check.",
    )
    recognise: bool = Field(
        True,
        description="Give HR's verified answer as it stands to questions that ask the same; false reads it as "
        "evidence, beside the policies.",
    )


class LedgerSettings(Section):
    """Where answers, votes, corrections and cases are kept."""

    url: SecretStr = Field(
        SecretStr(""),
        description="A PostgreSQL database, such as postgresql://user:password@host/quantahr; empty keeps "
        "`ledger.sqlite` in data_dir.",
    )
    key: SecretStr = Field(
        SecretStr(""),
        description="Under this key people become hashes: 64 hexadecimal digits; empty makes one and keeps it in "
        "`ledger.key` in data_dir.",
    )
    keep_days: int = Field(
        0,
        ge=0,
        description="Answers that nobody corrected are erased after so many days, with their votes; 0 keeps all.",
    )


class ServerSettings(Section):
    """The web chat and the HTTP API."""

    host: str = Field("127.0.0.1", description="Address to listen on; another than loopback needs an API token.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    api_token: SecretStr = Field(
        SecretStr(""), description="Callers send it as 'Authorization: Bearer …'; the chat page asks for it."
    )
    trusted_token: SecretStr = Field(
        SecretStr(""), description="For programs that know who asks: callers with it may name any audience."
    )
    audience: Audience = Field(
        Audience.ALL,
        description="What people at the chat page may read; only callers with trusted_token may ask for more.",
    )


class SlackSettings(Section):
    """The bot in Slack; it runs where `bot_token` is set. Channels, groups and people are named by their ids."""

    bot_token: SecretStr = Field(SecretStr(""), description="The bot's token, xoxb-…; also read from SLACK_BOT_TOKEN.")
    app_token: SecretStr = Field(
        SecretStr(""), description="The app-level token for Socket Mode, xapp-…; also read from SLACK_APP_TOKEN."
    )
    signing_secret: SecretStr = Field(
        SecretStr(""), description="Checks events that come over HTTP; also read from SLACK_SIGNING_SECRET."
    )
    mode: Literal["socket", "http"] = Field(
        "socket",
        description="'socket' needs no address that Slack can reach; 'http' takes signed events at /slack/events.",
    )
    api_url: str = Field("https://slack.com/api/", description="Slack's Web API; also read from SLACK_API_URL.")
    hr_group: str = Field("", description="The user group whose people are HR (S…).")
    hr_people: tuple[str, ...] = Field((), description="Further people who are HR (U…).")
    hr_channel: str = Field("", description="Where cases and suggestions go (C… or G…); the bot must be in it.")
    managers_group: str = Field("", description="The user group who may read what is for managers (S…).")
    country: str = Field("", description="ISO 3166 code of the country of everybody in no group of `country_groups`.")
    country_groups: dict[str, str] = Field({}, description="User groups by country: { GB = 'S…', DE = 'S…' }.")
    correction_word: str = Field(
        "Correction:", min_length=2, description="A reply in the thread that begins so is the right answer."
    )
    approval: str = Field(
        "white_check_mark", description="This emoji of HR's on a reply or an answer makes it verified."
    )
    reactions: dict[str, int] = Field(
        {"+1": 5, "thumbsup": 5, "heart": 5, "tada": 5, "white_check_mark": 5, "-1": 1, "thumbsdown": 1, "x": 1},
        description="Which emoji on an answer count as votes, and as which (1 to 5).",
    )
    questions_per_minute: int = Field(10, gt=0, description="More than these of one person are asked to wait.")
    queue_limit: int = Field(50, gt=0, description="Questions under way and waiting; for more the bot says it is busy.")

    @property
    def is_on(self) -> bool:
        """Whether there is a workspace to answer in."""
        return bool(self.bot_token.get_secret_value())


class TrainingSettings(Section):
    """When the model learns from feedback."""

    schedule: str = Field(
        "0 2 * * *",
        description="When to look whether there is enough to learn from, as cron writes it (UTC); empty for never.",
    )
    spec: Path = Field(Path("config/qlora.json"), description="What is trained, see docs/training.md.")
    promotion: Literal["live", "canary", "hand"] = Field(
        "live",
        description="What becomes of a model that passed the gate: it answers all, a share of the people, or waits.",
    )
    canary_share: float = Field(0.1, gt=0, lt=1, description="The share of the people that a canary answers.")
    keep_models: int = Field(5, ge=2, description="Older models beyond these are removed; never one that is needed.")


class Settings(Section):
    """Everything. Built once at the start of a process by `load_settings`."""

    data_dir: Path = Field(Path("var"), description="Index, caches and the ledger live here.")
    parts_dir: Path = Field(
        Path("models/starter"),
        description="Folder of the trained parts: retriever, reader, matcher, triage, followup.",
    )
    company: CompanySettings = CompanySettings()
    documents: DocumentSettings = DocumentSettings()
    index: IndexSettings = IndexSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    reading: ReadingSettings = ReadingSettings()
    model: ModelSettings = ModelSettings()
    answering: AnsweringSettings = AnsweringSettings()
    server: ServerSettings = ServerSettings()
    ledger: LedgerSettings = LedgerSettings()
    slack: SlackSettings = SlackSettings()
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="before")
    @classmethod
    def _retriever_among_the_parts(cls, values: object) -> object:
        """Where `parts_dir` is named and no `index.adapter`, it is the retriever in there: the parts build on it."""
        if not isinstance(values, dict):
            return values
        parts, index = values.get("parts_dir"), values.get("index", {})
        if not isinstance(parts, str | Path) or not isinstance(index, dict) or "adapter" in index:
            return values
        retriever = Path(parts) / "retriever"
        return {**values, "index": {**index, "adapter": retriever}} if retriever.is_dir() else values


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings from `path`, else from `$QUANTAHR_CONFIG`, else from `config/quantahr.toml` if it is there.

    Raises:
        ConfigError: The file is missing or no TOML, a key is unknown (the nearest known one is named), or a value
            does not fit; the message names the file or the environment variable.
    """
    named = path or (Path(os.environ[ENV_CONFIG]) if os.environ.get(ENV_CONFIG) else None)
    file = named or Path("config/quantahr.toml")
    values: dict[str, Any] = {}
    if named or file.exists():
        values = _read_toml(file)
    origin = f"{file}"
    for name, text in _overrides().items():
        _set(values, name, text)
        origin = f"{file} or the environment"
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, origin)) from error


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"There is no configuration file {file}; name an existing one with --config.") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}); name another one with --config.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML ({error}); mend that line.") from error


def _overrides() -> dict[str, str]:
    """Environment variables that are settings, by dotted key: QUANTAHR_SERVER__PORT=1 gives {"server.port": "1"}."""
    found = {dotted: os.environ[name] for name, dotted in _ALSO_CALLED.items() if os.environ.get(name)}
    for name, text in os.environ.items():
        if name.startswith(ENV_PREFIX) and name not in ENV_NOT_SETTINGS:
            found[name.removeprefix(ENV_PREFIX).lower().replace("__", ".")] = text
    return found


def _set(values: dict[str, Any], dotted: str, text: str) -> None:
    *sections, key = dotted.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            variable = ENV_PREFIX + dotted.upper().replace(".", "__")
            raise ConfigError(f"{variable} names no setting; see docs/configuration.md.")
    values[key] = text


def _explain(error: ValidationError, origin: str) -> str:
    """The first problem in one sentence, with the nearest known key where the key is unknown."""
    problem = error.errors()[0]
    keys = [str(part) for part in problem["loc"]]
    dotted = ".".join(keys)
    if problem["type"] == "extra_forbidden":
        known = list(_fields_at(keys[:-1]))
        near = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.0)
        hint = f"did you mean '{near[0]}'?" if near else "remove it."
        return f"Unknown setting '{dotted}' in {origin}; {hint}"
    more = len(error.errors()) - 1
    also = f" ({more} more to mend after it)" if more else ""
    value = "" if _is_secret(keys) else f" (it is {problem['input']!r})"
    return f"Setting '{dotted}' in {origin} does not fit{value}: {problem['msg']}{also}; see docs/configuration.md."


def _is_secret(keys: list[str]) -> bool:
    field = _fields_at(keys[:-1]).get(keys[-1])
    return field is None or field.annotation is SecretStr


def _fields_at(keys: list[str]) -> dict[str, FieldInfo]:
    model: type[BaseModel] = Settings
    for key in keys:
        annotation = model.model_fields[key].annotation if key in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return {}
        model = annotation
    return model.model_fields
