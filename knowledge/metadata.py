"""What is known about a policy besides its text.

Enters: the sidecar `NAME.meta.yaml`, the document's own front matter, its properties (docx, pdf, html), the
`_meta.yaml` of its folders, and its first heading. Leaves: one `PolicyMetadata`. For each key the first of these that
has it wins, in this order; of two `_meta.yaml` the nearer one.

Metadata decides who may read a policy, so what cannot be understood is refused, never guessed: an unknown key, a key
given twice, a wrong value or an unreadable file raises `MetadataError`, and the document stays out of the index. Only
front matter may hold other keys (site generators put theirs there), but none that is nearly one of ours.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path

import yaml

from config.errors import MetadataError
from config.settings import Audience

FOLDER_NAMES = ("_meta.yaml", "_meta.yml")
SIDECAR_ENDS = (".meta.yaml", ".meta.yml")
MAX_METADATA_BYTES = 65_536
NEAR = 0.8
# Names that people give our keys, too far from them for a likeness of letters to tell.
ALSO_CALLED = {
    "country": "countries", "region": "countries", "effective_date": "effective", "effective_from": "effective",
    "valid_from": "effective", "review": "review_by", "review_date": "review_by", "next_review": "review_by",
    "visibility": "audience", "access": "audience", "confidentiality": "audience",
}  # fmt: skip
COUNTRIES = frozenset(  # ISO 3166-1 alpha-2
    re.findall(
        r"[A-Z]{2}",
        "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY "
        "BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK "
        "FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR "
        "IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK "
        "ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
        "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF "
        "TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW ",
    )
)
# A document's author is mostly whoever typed it; only a name that reads like a team says who owns the policy.
TEAM = re.compile(
    r"\b(?:HR|human resources|people|team|department|dept|office|payroll|legal|compliance|finance|benefits|operations"
    r"|personnel|safety|security|IT)\b",
    re.IGNORECASE,
)
EMPTY_TITLE = re.compile(
    r"^(?:microsoft word\b.*|(?:untitled|document|dokument|word document|powerpoint presentation|title|template|blank)"
    r"[\s\d]*|.*\.(?:docx?|pdf|html?|md|txt|xlsx?|indd|pages))$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class PolicyMetadata:
    """What is known about a policy besides its text. Empty `countries` means every country (ISO 3166 alpha-2)."""

    title: str
    url: str = ""
    owner: str = ""
    audience: Audience = Audience.ALL
    countries: tuple[str, ...] = ()
    effective: date | None = None
    review_by: date | None = None


KEYS = tuple(f.name for f in fields(PolicyMetadata))


@dataclass(frozen=True)
class Properties:
    """What a document says of itself. `keys` holds metadata keys as text; `front_matter` is raw YAML, "" if none."""

    title: str = ""
    author: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    front_matter: str = ""


@dataclass(frozen=True)
class _Known:
    """Keys that one source gives, checked: None where it does not give them."""

    title: str | None = None
    url: str | None = None
    owner: str | None = None
    audience: Audience | None = None
    countries: tuple[str, ...] | None = None
    effective: date | None = None
    review_by: date | None = None


def metadata(path: Path, folder: Path, properties: Properties, first_heading: str) -> PolicyMetadata:
    """Everything known about the document at `path`, which lies in `folder`.

    Raises:
        MetadataError: A source is malformed, or has an unknown key or a wrong value; the message names file and key.
    """
    sources = [_read(file, folder) for file in sidecars(path)]
    sources.append(_front_matter(properties.front_matter))
    sources.append(_own(properties, first_heading))
    sources.extend(_read(file, folder) for file in folder_files(path, folder))

    def first(key: str) -> object:
        return next((v for v in (getattr(source, key) for source in sources) if v is not None), None)

    title, url, owner, audience = first("title"), first("url"), first("owner"), first("audience")
    countries, effective, review_by = first("countries"), first("effective"), first("review_by")
    found = PolicyMetadata(
        title=title if isinstance(title, str) else first_heading or _from_name(path),
        url=url if isinstance(url, str) else "",
        owner=owner if isinstance(owner, str) else "",
        audience=audience if isinstance(audience, Audience) else Audience.ALL,
        countries=countries if isinstance(countries, tuple) else (),
        effective=effective if isinstance(effective, date) else None,
        review_by=review_by if isinstance(review_by, date) else None,
    )
    if found.effective and found.review_by and found.review_by < found.effective:
        raise MetadataError(
            f"The metadata says review_by {found.review_by}, which lies before effective {found.effective}; "
            "correct one of the dates."
        )
    return found


def sidecars(path: Path) -> list[Path]:
    """The sidecars of a document that exist, the nearer first: `leave.docx.meta.yaml`, then `leave.meta.yaml`."""
    stems = dict.fromkeys((path.name, path.stem))
    return [file for stem in stems for end in SIDECAR_ENDS if (file := path.with_name(stem + end)).is_file()]


def folder_files(path: Path, folder: Path) -> list[Path]:
    """The folder-wide files that apply to a document, the nearer first."""
    found: list[Path] = []
    for parent in path.parents:
        found.extend(parent / name for name in FOLDER_NAMES if (parent / name).is_file())
        if parent == folder:
            break
    return found


def is_metadata_file(name: str) -> bool:
    """Whether a file of this name describes documents instead of being one."""
    return name in FOLDER_NAMES or name.endswith(SIDECAR_ENDS)


def check_audience(text: str, where: str) -> Audience:
    """The audience that a text names.

    Raises:
        MetadataError: It names none.
    """
    try:
        return Audience(text.strip().casefold())
    except ValueError as error:
        raise MetadataError(f"{where}: audience {text!r} is unknown; write all, managers or hr.") from error


def check_countries(text: str, where: str) -> tuple[str, ...]:
    """ISO codes from "GB, IE", sorted as given.

    Raises:
        MetadataError: One of them is no ISO 3166 alpha-2 code.
    """
    codes = tuple(dict.fromkeys(code.upper() for code in re.split(r"[\s,;/]+", text.strip()) if code))
    for code in codes:
        if code not in COUNTRIES:
            hint = (
                "the code of the United Kingdom is GB" if code == "UK" else "write ISO codes of two letters, such as GB"
            )
            raise MetadataError(f"{where}: country {code!r} is unknown; {hint}.")
    return codes


# -------------------------------------------------------------------------------------------------------- sources


def _read(file: Path, folder: Path) -> _Known:
    """One YAML file of ours."""
    where = file.name
    if not file.resolve().is_relative_to(folder.resolve()):
        raise MetadataError(f"{where} is a link that leaves the folder; put the file itself there.")
    try:
        if file.stat().st_size > MAX_METADATA_BYTES:
            raise MetadataError(f"{where} is larger than {MAX_METADATA_BYTES} bytes; it should hold a few keys only.")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError(f"{where} cannot be read; save it as UTF-8 text and check its permissions.") from error
    pairs = _pairs(text, where)
    if not pairs:
        raise MetadataError(f"{where} is empty; write keys such as 'audience: all' into it, or remove it.")
    for key, _ in pairs:
        if key not in KEYS:
            near = ALSO_CALLED.get(key) or difflib.get_close_matches(key, KEYS, n=1, cutoff=0.0)[0]
            raise MetadataError(f"{where}: unknown key {key!r}; did you mean '{near}'?")
    return _known(pairs, where)


def _front_matter(text: str) -> _Known:
    """Front matter may hold keys of other programs, but none that is nearly one of ours."""
    pairs = _pairs(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE), "Front matter")  # generators forgive trailing tabs
    for key, _ in pairs:
        near = ALSO_CALLED.get(key.casefold()) or next(
            iter(difflib.get_close_matches(key.casefold().replace("-", "_"), KEYS, n=1, cutoff=NEAR)), ""
        )
        if key not in KEYS and near:
            raise MetadataError(f"Front matter: unknown key {key!r}; did you mean '{near}'?")
    # a site generator's `url: /leave/` is no address that a citation could link to
    ours = [(key, value) for key, value in pairs if key in KEYS and not (key == "url" and "://" not in str(value))]
    return _known(ours, "Front matter")


def _own(properties: Properties, first_heading: str) -> _Known:
    """Properties are filled in by programs: a title or author counts only where it says something."""
    title = re.sub(r"\s+", " ", properties.title).strip()
    if EMPTY_TITLE.match(title):
        title = ""
    parts = re.split(r"\s[|–—·»:-]+\s", title.casefold())
    if len(parts) > 1 and first_heading.casefold() in parts:
        title = first_heading  # "Leave policy | Contoso intranet"
    author = properties.author.strip()
    known = _known(list(properties.keys.items()), "The document's properties")
    owner = known.owner or (author if TEAM.search(author) else None)
    return _Known(
        known.title or title or None,
        known.url,
        owner,
        known.audience,
        known.countries,
        known.effective,
        known.review_by,
    )


def _from_name(path: Path) -> str:
    words = re.sub(r"[\s_-]+", " ", path.stem).strip() or path.name
    return words[0].upper() + words[1:]


# ---------------------------------------------------------------------------------------------- reading the values


def _pairs(text: str, where: str) -> list[tuple[str, str | list[str]]]:
    """The keys and values of a YAML mapping, all as text: so `NO` stays Norway, and no date is guessed."""
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        line = f" in line {mark.line + 1}" if mark else ""
        raise MetadataError(f"{where} is not valid YAML{line}; mend it.") from error
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode):
        raise MetadataError(f"{where} holds no 'key: value' lines; write one key per line.")
    pairs: list[tuple[str, str | list[str]]] = []
    for name, value in node.value:
        key = str(name.value) if isinstance(name, yaml.ScalarNode) else ""
        if key in KEYS and key in (known for known, _ in pairs):
            raise MetadataError(f"{where}: {key!r} is given twice; keep one of them.")
        if isinstance(value, yaml.ScalarNode):
            pairs.append((key, str(value.value)))
        elif isinstance(value, yaml.SequenceNode) and all(isinstance(v, yaml.ScalarNode) for v in value.value):
            pairs.append((key, [str(v.value) for v in value.value]))
        elif key in KEYS:
            raise MetadataError(f"{where}: {key!r} must be one value or a plain list; it is nested.")
        else:
            pairs.append((key, ""))
    return pairs


def _known(pairs: list[tuple[str, str | list[str]]] | list[tuple[str, str]], where: str) -> _Known:
    given: dict[str, str] = {}
    for key, value in pairs:
        if isinstance(value, list) and key != "countries":
            raise MetadataError(f"{where}: {key!r} takes one value; it is a list.")
        text = ", ".join(value) if isinstance(value, list) else value.strip()
        if value == []:  # `countries: []` says "every country", over what a folder further up says
            given[key] = ""
        elif text.casefold() in ("", "null", "~") and key in ("audience", "countries"):
            raise MetadataError(f"{where}: {key!r} has no value; give one, or remove the line.")
        if text:
            given[key] = text
    return _Known(
        title=given.get("title"),
        url=_url(given["url"], where) if "url" in given else None,
        owner=given.get("owner"),
        audience=check_audience(given["audience"], where) if "audience" in given else None,
        countries=check_countries(given["countries"], where) if "countries" in given else None,
        effective=_date(given["effective"], "effective", where) if "effective" in given else None,
        review_by=_date(given["review_by"], "review_by", where) if "review_by" in given else None,
    )


def _url(text: str, where: str) -> str:
    # it becomes a link in a chat page, so nothing that a browser would run
    if re.match(r"https?://[^\s<>\"']+$", text):
        return text
    raise MetadataError(f"{where}: url {text!r} is no web address; begin it with https://.")


def _date(text: str, key: str, where: str) -> date:
    try:
        return date.fromisoformat(re.split(r"[T ]", text)[0])
    except ValueError as error:
        raise MetadataError(f"{where}: {key} {text!r} is no date; write it as 2026-01-31.") from error


def known_country(code: str | None) -> str | None:
    """An ISO 3166 code in capitals; None and "" mean not known. Raises `ValueError` for what is no country's code."""
    if not code:
        return None
    if code.upper() not in COUNTRIES:
        raise ValueError(f"{code!r} is no country's code; write two letters, such as GB or DE.")
    return code.upper()
