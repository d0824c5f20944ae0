"""Read the text inside one HTML element as runs that know whether they are bold.

Enters: an element without blocks in it. Leaves: `Run`s, and from them plain text, lines, or the number that Word
prints.

A link keeps its label, and its address where the label says nothing ("here"); a picture speaks through its
alternative text where that is a sentence; a check box is ☒ or ☐; the mark of a footnote goes, and its id is handed
back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from lxml.html import HtmlElement

MARKER_OPEN, MARKER_CLOSE = "\ue000", "\ue001"
MARKER = re.compile(rf"^\s*{MARKER_OPEN}(.*?){MARKER_CLOSE}\s*")
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
LISTS = ("ul", "ol", "menu")
BLOCKS = frozenset((*HEADINGS, *LISTS)) | frozenset(
    [
        "p",
        "div",
        "section",
        "article",
        "main",
        "header",
        "footer",
        "aside",
        "nav",
        "figure",
        "body",
        "figcaption",
        "blockquote",
        "pre",
        "table",
        "dl",
        "dt",
        "dd",
        "li",
        "details",
        "summary",
        "fieldset",
        "hr",
        "address",
    ]
)
SKIPPED = frozenset(
    {"script", "style", "template", "noscript", "svg", "iframe", "select", "textarea", "object", "head"}
)
BOLD_TAGS = frozenset({"strong", "b", "th"})
SPACE = re.compile(r"[\s\u200b\ufeff]+")
SAYS_NOTHING = {"", "here", "click here", "link", "this link", "this page", "this", "read more", "more", "see here"}


@dataclass(frozen=True)
class Run:
    """A run of text; a line break is a piece of its own, "\\n"."""

    text: str
    is_bold: bool


def runs(element: HtmlElement, notes: Collection[str], cited: list[str], is_bold: bool = False) -> Iterator[Run]:
    """The text inside an element; the ids of `notes` that it cites are added to `cited`."""
    tag = element.tag
    if not isinstance(tag, str) or tag in SKIPPED:
        return
    if tag == "br":
        yield Run("\n", is_bold)
    elif tag == "img":
        yield Run(_speaking(element.get("alt", "")), is_bold)
    elif tag == "input":
        if element.get("type") == "checkbox":
            yield Run("☒ " if element.get("checked") is not None else "☐ ", is_bold)
    elif tag == "a" and element.get("href", "#")[1:] in notes:
        cited.append(element.get("href", "")[1:])
    else:
        is_bold = is_bold or tag in BOLD_TAGS
        yield Run(element.text or "", is_bold)
        for child in element:
            yield from runs(child, notes, cited, is_bold)
            yield Run(child.tail or "", is_bold)
        if tag == "a":
            yield Run(_address(element), is_bold)
        elif tag in BLOCKS:
            yield Run(" ", is_bold)


def holds_block(element: HtmlElement) -> bool:
    return any(isinstance(e.tag, str) and e.tag in BLOCKS for e in element.iterdescendants())


def lines_of(pieces: list[Run]) -> list[list[Run]]:
    lines: list[list[Run]] = [[]]
    for piece in pieces:
        if piece.text == "\n":
            lines.append([])
        else:
            lines[-1].append(piece)
    return lines


def plain_text(pieces: Iterable[Run]) -> str:
    return SPACE.sub(" ", "".join(piece.text for piece in pieces)).strip()


def is_all_bold(pieces: list[Run]) -> bool:
    """Whether every letter of a run is bold."""
    lettered = [piece for piece in pieces if any(c.isalnum() for c in MARKER.sub("", piece.text))]
    return bool(lettered) and all(piece.is_bold for piece in lettered)


def take_marker(text: str) -> tuple[str, str]:
    found = MARKER.match(text)
    return (found.group(1), text[found.end() :]) if found else ("", text)


def _speaking(alt: str) -> str:
    """An image's alternative text where it is a sentence; file names, "logo" and Word's own guesses are noise."""
    words = alt.split()
    return f" {alt} " if len(words) >= 5 and "automatically generated" not in alt.casefold() else ""


def _address(link: HtmlElement) -> str:
    """The address of a link whose label says nothing ("here"), in brackets after it."""
    href = link.get("href", "").strip()
    label = SPACE.sub(" ", link.text_content()).strip().casefold().strip(".:»>")
    if label not in SAYS_NOTHING or not href.startswith(("http://", "https://", "mailto:", "tel:")):
        return ""
    if link.find(".//img") is not None:
        return ""
    return f" ({href.removeprefix('mailto:').removeprefix('tel:')})"


def in_letters(number: int, style: str) -> str:
    """A number as lists print it: style "1", "a", "A", "i" or "I"."""
    if number < 1 or style not in ("a", "A", "i", "I"):
        return str(number)
    if style in "aA":
        text = ""
        while number:
            number, rest = divmod(number - 1, 26)
            text = chr(97 + rest) + text
    else:
        text = ""
        for value, sign in zip(
            (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
            ("m", "cm", "d", "cd", "c", "xc", "l", "xl", "x", "ix", "v", "iv", "i"),
            strict=True,
        ):
            text += sign * min(number // value, 50)
            number %= value
    return text.upper() if style in "AI" else text
