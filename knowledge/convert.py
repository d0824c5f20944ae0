"""Turn Markdown, HTML and plain text into the HTML that `structure` reads.

Enters: the bytes of a file. Leaves: HTML, and what the document says of itself. Word, PDF and tables have files of
their own (`convert_docx`, `convert_pdf`, `convert_table`).

Left out: comments, navigation, page headers and footers of HTML, the tags of site generators (Jekyll, Hugo, GitBook)
but for the text that they print. Nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from lxml import html as lxml_html
from lxml.html import HtmlElement
from markdown_it import MarkdownIt
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

from config.errors import DocumentError
from knowledge.metadata import ALSO_CALLED, KEYS, Properties
from knowledge.outline import reads_like_heading

MAX_TEXT_BYTES = 10_000_000  # a million words; the parsers need some hundred times that in memory

FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
OPEN_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?:[ \t#].*\n|\n)*(?:" + "|".join((*KEYS, *ALSO_CALLED)) + r")[ \t]*:")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1[`~]*[ \t]*$", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->|\{%-?\s*comment\s*-?%\}.*?\{%-?\s*endcomment\s*-?%\}", re.DOTALL)
TAG = r"\{%-?(?:[^%]|%(?!\}))*%\}|\{\{[<%](?:[^<>%]|[%<>](?!\}\}))*[>%]\}\}"
TAG_IN_LINK = re.compile(rf"\]\(\s*(?:{TAG})[^)\n]*\)")
TAG_LINE = re.compile(rf"^[ \t]*(?:{TAG})[ \t]*$", re.MULTILINE)
TAG_INLINE = re.compile(TAG)
QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
KRAMDOWN = re.compile(r"\{:[^}\n]*\}|(?<=[^\s{])[ \t]*\{#[\w-]+\}[ \t]*$", re.MULTILINE)
DIRECTIVE = re.compile(r"^[ \t]*:::+[ \t]*(?:\{?[\w-]*\}?)[ \t]*(.*)$", re.MULTILINE)
ADMONITION = re.compile(
    r"^(?:!!!|\?\?\?\+?)[ \t]+\w+[ \t]*(?:\"([^\"]*)\")?[ \t]*\n((?:(?: {4}|\t).*\n?|[ \t]*\n)*)", re.MULTILINE
)
# CommonMark takes what follows a line of HTML as HTML too, until a blank line; writers do not expect that.
HTML_LINE = re.compile(
    r"^(</?(?:div|section|article|aside|center|details|summary)\b[^>\n]*>[ \t]*)\n(?![ \t]*<|[ \t]*\n)", re.MULTILINE
)
LINK_WITH_SPACES = re.compile(r"\]\((?!<)([^()<>\n\"]*[^()<>\n\"\s] [^()<>\n\"]*)\)")

BULLET = re.compile(r"^(\s*)([-*+•◦▪–·]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)])\s+(?=\S)")
NUMBERED_HEADING = re.compile(
    r"^(?:(?:section|article|part|chapter)\s+)?(\d{1,2}(?:\.\d{1,2})*)[.):]?\s+\S", re.IGNORECASE
)
UNDERLINE = re.compile(r"^\s*(={3,}|-{3,}|~{3,}|\*{3,})\s*$")


def convert_markdown(data: bytes) -> tuple[str, Properties]:
    """Markdown (CommonMark, GitHub tables and task lists, footnotes, definition lists) as HTML."""
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
    found = FRONT_MATTER.match(text)
    front_matter = found.group(1) if found else ""
    if found:
        text = text[found.end() :]
    elif OPEN_FRONT_MATTER.match(text):
        raise DocumentError("The front matter is not closed; end it with a line of three hyphens.")
    return markdown_to_html(text), Properties(front_matter=front_matter)


def markdown_to_html(text: str) -> str:
    """Render Markdown, without front matter, to HTML."""
    return str(_markdown().render(_outside_fences(text, _plain_markdown)))


def convert_html(data: bytes) -> tuple[str, Properties]:
    """The main part of a web page, and its title and meta elements."""
    _check_size(data)
    parser = lxml_html.HTMLParser(encoding=_charset(data), remove_comments=True, remove_pis=True)
    root: HtmlElement = lxml_html.document_fromstring(data if data.strip() else b"<p></p>", parser=parser)
    properties = _html_properties(root)
    main = [e for e in root.iter("main") if _has_text(e)] or [e for e in root.iter() if e.get("role") == "main"]
    article = [e for e in root.iter("article") if _has_text(e)]
    body = main[0] if len(main) == 1 else article[0] if len(article) == 1 else root.find("body")
    if body is None:
        return "", properties
    _drop_furniture(body)
    return str(lxml_html.tostring(body, encoding="unicode")), properties


def convert_text(data: bytes) -> tuple[str, Properties]:
    """Plain text as HTML: underlined, all-capital and numbered headings, lists, and paragraphs of wrapped lines."""
    lines = decode(data).expandtabs(4).replace("\f", "\n").splitlines()
    out: list[str] = []
    run: list[str] = []
    for position, line in enumerate(lines):
        if UNDERLINE.match(line):
            if len(run) == 1 and reads_like_heading(run[0].strip()):
                level = 1 if "=" in line else 2
                out.append(f"<h{level}>{escape(run.pop().strip())}</h{level}>")
            continue
        starts_item = bool(BULLET.match(line))
        is_underlined = position + 1 < len(lines) and bool(UNDERLINE.match(lines[position + 1]))
        if run and (not line.strip() or starts_item or is_underlined):
            out.append(_text_block(run, not any(out)))
            run = []
        if line.strip():
            run.append(line)
    if run:
        out.append(_text_block(run, not any(out)))
    return "\n".join(out), Properties()


def decode(data: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 with its mark, else Windows' Western encoding.

    Raises:
        DocumentError: It is too large, or no text.
    """
    _check_size(data)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise DocumentError("The file is damaged UTF-16 text; save it as UTF-8.") from error
    if b"\0" in data:
        raise DocumentError("The file holds binary data, not text; check its ending.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


# ------------------------------------------------------------------------------------------------------- Markdown


def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return parser.use(footnote_plugin).use(deflist_plugin).use(tasklists_plugin)


def _outside_fences(text: str, change: Callable[[str], str]) -> str:
    """Apply a change to the text outside of fenced code."""
    parts: list[str] = []
    end = 0
    for fence in FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence.group(0)]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def _plain_markdown(text: str) -> str:
    """Resolve what site generators add to Markdown."""
    text = COMMENT.sub("", text)
    text = TAG_IN_LINK.sub(lambda m: f"](<{_first_quoted(m.group(0))}>)", text)
    text = TAG_LINE.sub(lambda m: _said(m.group(0), least_words=4), text)
    text = TAG_INLINE.sub(lambda m: _said(m.group(0), least_words=1), text)
    text = KRAMDOWN.sub("", text)
    text = DIRECTIVE.sub(lambda m: f"\n{m.group(1)}\n", text)
    text = ADMONITION.sub(_unfold, text)
    text = LINK_WITH_SPACES.sub(r"](<\1>)", text)
    return HTML_LINE.sub(r"\1\n\n", text)


def _first_quoted(tag: str) -> str:
    found = QUOTED.search(tag)
    return (found.group(1) or found.group(2) or "") if found else ""


def _said(tag: str, least_words: int) -> str:
    """What a tag prints, as far as one can tell: its last quoted argument that is no path."""
    texts = [a or b for a, b in QUOTED.findall(tag)]
    texts = [t for t in texts if t and "/" not in t.split()[0] and not re.search(r"\.\w{2,4}$", t)]
    return texts[-1] if texts and len(texts[-1].split()) >= least_words else ""


def _unfold(found: re.Match[str]) -> str:
    inner = re.sub(r"^(?: {4}|\t)", "", found.group(2), flags=re.MULTILINE)
    title = f"**{found.group(1)}**\n\n" if found.group(1) else ""
    return f"\n{title}{inner}\n"


# ----------------------------------------------------------------------------------------------------------- HTML


def _html_properties(root: HtmlElement) -> Properties:
    keys: dict[str, str] = {}
    author = ""
    for meta in root.iter("meta"):
        name, content = (meta.get("name") or "").strip().casefold(), (meta.get("content") or "").strip()
        if name in KEYS and name != "title" and content:
            keys[name] = content
        elif name == "author":
            author = content
    for link in root.iter("link"):
        if link.get("rel") == "canonical" and re.match(r"https?://\S+$", link.get("href", "")):
            keys.setdefault("url", link.get("href", ""))
    return Properties(title=root.findtext(".//title") or "", author=author, keys=keys)


def _drop_furniture(body: HtmlElement) -> None:
    """Remove navigation, page heads and feet, and the marks that link to a heading."""
    furniture = list(body.iter("nav", "footer", "header"))
    furniture += [e for e in body.iter() if e.get("role") in ("navigation", "banner", "contentinfo", "search")]
    for element in furniture:
        # the head of an article often holds its title
        if element is not body and element.getparent() is not None and element.find(".//h1") is None:
            _drop(element)
    for anchor in [a for a in body.iter("a") if re.search(r"headerlink|anchor", a.get("class", ""))]:
        if not any(c.isalnum() for c in "".join(str(text) for text in anchor.itertext())):
            _drop(anchor)


def _drop(element: HtmlElement) -> None:
    element.drop_tree()


def _has_text(element: HtmlElement) -> bool:
    return bool(element.text_content().strip())


def _charset(data: bytes) -> str:
    """The encoding that an HTML file states, or UTF-8 where it is valid, or Windows' Western one."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        stated = re.search(rb"charset=[\"']?([\w-]+)", data[:2048])
        name = stated.group(1).decode() if stated else "cp1252"
        return "cp1252" if name.casefold() in ("utf-8", "utf8", "iso-8859-1", "latin1") else name


def _check_size(data: bytes) -> None:
    if len(data) > MAX_TEXT_BYTES:
        raise DocumentError(
            f"The file holds {len(data) / 1e6:,.0f} MB of text, more than {MAX_TEXT_BYTES / 1e6:,.0f} MB; split it."
        )


# ----------------------------------------------------------------------------------------------------- plain text


def _text_block(lines: list[str], is_first: bool) -> str:
    text = " ".join(line.strip() for line in lines)
    single = len(lines) == 1 and reads_like_heading(text)
    found = BULLET.match(lines[0])
    numbered = NUMBERED_HEADING.match(text)
    if single and is_first and not found:
        return f"<h1>{escape(text)}</h1>"
    if single and numbered and not lines[0].startswith(" "):
        return f'<p class="emphatic-{30 - numbered.group(1).count(".")}">{escape(text)}</p>'
    if single and not found and text.isupper() and sum(c.isalpha() for c in text) >= 4:
        return f'<p class="emphatic-40">{escape(text)}</p>'
    if found:
        marker = "-" if found.group(2) in "-*+•◦▪–·" else found.group(2)
        inner = text[len(found.group(0).lstrip()) :]
        depth = min(len(found.group(1)) // 2, 6)
        return f'<p class="item" data-depth="{depth}" data-marker="{escape(marker)}">{escape(inner)}</p>'
    return f"<p>{escape(text)}</p>"
