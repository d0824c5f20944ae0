"""Turn a Word document into HTML.

Enters: the bytes of a docx. Leaves: HTML for `structure`, and what the document says of itself.

mammoth does the conversion; it drops running headers and footers, deleted text and comments, and keeps nested lists,
merged cells, text boxes and footnotes. What it leaves out is added to the XML before it reads it:
  - printed numbers ("4.2", "(a)") of headings, clauses and list items, also where a list is taken up again;
  - paragraphs set apart by bold or large type, which many authors use for headings (class `emphatic-<half points>`);
  - the head row that a table's style shows, cells skipped at the start of a row, and hidden text, which goes. Tables
    of contents go too: they repeat the headings.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, field

import mammoth  # type: ignore[import-untyped]
from lxml import etree

from knowledge.archive import open_archive, read_part
from knowledge.metadata import Properties
from knowledge.runs import MARKER_CLOSE, MARKER_OPEN, in_letters

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
MAIN_PART = re.compile(rb'Target="/?([^"]+)"')
DEFAULT_SIZE = 20  # half points, where a document states none
EMPHATIC = "QuantaEmphatic"
LETTER_FORMATS = {"lowerLetter": "a", "upperLetter": "A", "lowerRoman": "i", "upperRoman": "I", "decimal": "1"}
STYLE_MAP = "\n".join(
    (
        "p[style-name='Title'] => h1.title:fresh",
        "p.Title => h1.title:fresh",
        "p[style-name='Subtitle'] => p:fresh",
        # Word's own indented list styles are lists of one level each, which only their names tell apart
        *(
            f"p[style-name='List {kind} {level}'] => {'ul|ol > li > ' * (level - 1)}{tag} > li:fresh"
            for kind, tag in (("Bullet", "ul"), ("Number", "ol"))
            for level in (2, 3)
        ),
        *(f"p[style-name='{name} {level}'] => h6:fresh" for name in ("Heading", "heading") for level in (7, 8, 9)),
    )
)


@dataclass
class _Style:
    """What a paragraph style says; None where it says nothing."""

    name: str = ""
    based_on: str = ""
    is_bold: bool | None = None
    size: int | None = None
    number: tuple[str, int] | None = None  # (numId, level)
    heads_first_row: bool = False


@dataclass
class _Level:
    """One level of a numbering: its format, its text ("%1.%2") and where it starts."""

    format: str = "decimal"
    text: str = ""
    start: int = 1


@dataclass
class _Numbering:
    """The document's numberings, and where each of them stands while paragraphs go by."""

    levels: dict[str, dict[int, _Level]] = field(default_factory=dict)  # by abstract numbering
    abstract_of: dict[str, str] = field(default_factory=dict)  # numId: abstract numbering
    restarts: dict[str, dict[int, int]] = field(default_factory=dict)  # numId: level: number to begin again with
    counters: dict[str, dict[int, int]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def next_label(self, number: str, level: int) -> str:
        """The label that Word prints before the next paragraph of this numbering; "" for bullets."""
        abstract = self.abstract_of.get(number, "")
        levels = self.levels.get(abstract, {})
        if level not in levels:
            return ""
        counter = self.counters.setdefault(abstract, {})
        if number not in self.seen:
            self.seen.add(number)
            for restarted, start in self.restarts.get(number, {}).items():
                counter[restarted] = start - 1
        counter[level] = counter.get(level, levels[level].start - 1) + 1
        for deeper in [other for other in counter if other > level]:
            del counter[deeper]
        if levels[level].format in ("bullet", "none"):
            return ""

        def value(found: re.Match[str]) -> str:
            place = int(found.group(1)) - 1
            shown = levels.get(place, _Level())
            return in_letters(counter.get(place, shown.start), LETTER_FORMATS.get(shown.format, "1"))

        return re.sub(r"%(\d)", value, levels[level].text).strip()


def convert_docx(data: bytes, max_unpacked_bytes: int) -> tuple[str, Properties]:
    """The document as HTML, and its properties.

    Raises:
        DocumentError: It is encrypted, damaged, or unpacks to too much.
    """
    with open_archive(data, max_unpacked_bytes) as archive:
        sizes, prepared = _prepare(archive)
        properties = _properties(archive)
    style_map = "\n".join([STYLE_MAP, *(f"p.{EMPHATIC}{size} => p.emphatic-{size}:fresh" for size in sorted(sizes))])
    converted = mammoth.convert_to_html(
        io.BytesIO(prepared), style_map=style_map, include_embedded_style_map=False, convert_image=lambda _: []
    )
    return str(converted.value), properties


def _prepare(archive: zipfile.ZipFile) -> tuple[set[int], bytes]:
    """The archive without pictures and with what mammoth would leave out; and the sizes of emphatic paragraphs."""
    main = _main_part(archive)
    styles = _styles(read_part(archive, "word/styles.xml"))
    numbering = _numbering(read_part(archive, "word/numbering.xml"), styles)
    root = _parse(read_part(archive, main))
    sizes: set[int] = set()
    if root is not None:
        _drop_hidden(root, styles)
        _mark_tables(root, styles)
        _label(root, styles, numbering)
        sizes = _mark_emphatic(root, styles)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as copy:
        for part in archive.infolist():
            if part.filename == main and root is not None:
                copy.writestr(part.filename, etree.tostring(root, xml_declaration=True, encoding="UTF-8"))
            elif part.filename.endswith((".xml", ".rels")):
                copy.writestr(part.filename, read_part(archive, part.filename))
    return sizes, out.getvalue()


def _main_part(archive: zipfile.ZipFile) -> str:
    """Usually word/document.xml; some programs name it otherwise."""
    for line in re.findall(rb"<Relationship [^>]*>", read_part(archive, "_rels/.rels")):
        target = MAIN_PART.search(line)
        if target and b'/officeDocument"' in line:
            return target.group(1).decode()
    return "word/document.xml"


def _parse(xml: bytes) -> etree._Element | None:
    if not xml:
        return None
    return etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))


def _properties(archive: zipfile.ZipFile) -> Properties:
    root = _parse(read_part(archive, "docProps/core.xml"))
    if root is None:
        return Properties()
    dc = "{http://purl.org/dc/elements/1.1/}"
    return Properties(title=root.findtext(f"{dc}title") or "", author=root.findtext(f"{dc}creator") or "")


# ------------------------------------------------------------------------------------------- styles and numberings


def _w(name: str) -> str:
    return f"{{{W}}}{name}"


def _value(element: etree._Element | None, path: str, attribute: str = "val") -> str | None:
    """The attribute of the element at `path` ("pPr/numPr/numId"), None where there is none."""
    found = element.find("/".join(_w(step) for step in path.split("/"))) if element is not None else None
    return found.get(_w(attribute)) if found is not None else None


def _is_on(properties: etree._Element | None, name: str) -> bool | None:
    """A switch such as <w:b/> in run properties: None where it is not mentioned."""
    found = properties.find(_w(name)) if properties is not None else None
    return None if found is None else found.get(_w("val"), "1") not in ("0", "false", "off", "none")


def _whole(text: str | None) -> int | None:
    return int(float(text)) if text and re.fullmatch(r"-?\d+(\.\d+)?", text) else None


def _styles(xml: bytes) -> dict[str, _Style]:
    """Every style by its id; "" is the default paragraph style."""
    root = _parse(xml)
    found: dict[str, _Style] = {"": _Style(size=DEFAULT_SIZE)}
    if root is None:
        return found
    found[""].size = _whole(_value(root, "docDefaults/rPrDefault/rPr/sz")) or DEFAULT_SIZE
    for element in root.iter(_w("style")):
        style = _Style(
            name=(_value(element, "name") or "").casefold(),
            based_on=_value(element, "basedOn") or "",
            is_bold=_is_on(element.find(_w("rPr")), "b"),
            size=_whole(_value(element, "rPr/sz")),
        )
        number = _value(element, "pPr/numPr/numId")
        if number:
            style.number = (number, _whole(_value(element, "pPr/numPr/ilvl")) or 0)
        style.heads_first_row = any(c.get(_w("type")) == "firstRow" for c in element.iter(_w("tblStylePr")))
        found[element.get(_w("styleId"), "")] = style
        if element.get(_w("default")) == "1" and element.get(_w("type")) == "paragraph":
            found[""] = _Style(style.name, "", style.is_bold, style.size or found[""].size, style.number)
    return found


def _chain(styles: dict[str, _Style], style_id: str) -> list[_Style]:
    """The style and those it is based on, the default paragraph style last."""
    chain: list[_Style] = []
    while style_id in styles and style_id and styles[style_id] not in chain and len(chain) < 20:
        chain.append(styles[style_id])
        style_id = styles[style_id].based_on
    return [*chain, styles[""]]


def _numbering(xml: bytes, styles: dict[str, _Style]) -> _Numbering:
    numbering = _Numbering()
    root = _parse(xml)
    if root is None:
        return numbering
    links: dict[str, str] = {}
    for abstract in root.iter(_w("abstractNum")):
        key = abstract.get(_w("abstractNumId"), "")
        levels = numbering.levels.setdefault(key, {})
        for level in abstract.iter(_w("lvl")):
            place = _whole(level.get(_w("ilvl"))) or 0
            levels[place] = _level(level)
            linked = _value(level, "pStyle")
            if linked in styles and styles[linked].number:
                styles[linked].number = (styles[linked].number[0], place)  # type: ignore[index]
        if link := _value(abstract, "numStyleLink"):
            links[key] = link
    for number in root.iter(_w("num")):
        key = number.get(_w("numId"), "")
        numbering.abstract_of[key] = _value(number, "abstractNumId") or ""
        for override in number.iter(_w("lvlOverride")):
            start = _whole(_value(override, "startOverride"))
            if start is not None:
                numbering.restarts.setdefault(key, {})[_whole(override.get(_w("ilvl"))) or 0] = start
    for key, link in links.items():  # a numbering that only refers to a list style
        target = styles[link].number if link in styles else None
        if target and target[0] in numbering.abstract_of:
            numbering.levels[key] = numbering.levels.get(numbering.abstract_of[target[0]], {})
    return numbering


def _level(element: etree._Element) -> _Level:
    start = _whole(_value(element, "start"))
    return _Level(
        _value(element, "numFmt") or "decimal", _value(element, "lvlText") or "", 1 if start is None else start
    )


# ------------------------------------------------------------------------------------------------ marking the XML


def _drop_hidden(root: etree._Element, styles: dict[str, _Style]) -> None:
    for run in list(root.iter(_w("r"))):
        if _is_on(run.find(_w("rPr")), "vanish"):
            _remove(run)
    for positioned in root.iter(_w("ptab")):  # a tab to the margin, which mammoth does not know
        positioned.tag = _w("tab")
    for gallery in list(root.iter(_w("docPartGallery"))):
        if gallery.get(_w("val")) == "Table of Contents":
            sdt = next(gallery.iterancestors(_w("sdt")), None)
            if sdt is not None:
                _remove(sdt)
    for paragraph in list(root.iter(_w("p"))):
        name = styles.get(_value(paragraph, "pPr/pStyle") or "", styles[""]).name
        if re.fullmatch(r"toc \d|table of figures", name):
            _remove(paragraph)


def _remove(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _mark_tables(root: etree._Element, styles: dict[str, _Style]) -> None:
    """Say in the XML what Word only shows: the first row as head, and that a row starts some columns late."""
    for table in root.iter(_w("tbl")):
        rows = table.findall(_w("tr"))
        style = styles.get(_value(table, "tblPr/tblStyle") or "", styles[""])
        look = table.find(f"{_w('tblPr')}/{_w('tblLook')}")
        shown = look is not None and (
            look.get(_w("firstRow")) == "1" or bool(int(look.get(_w("val")) or "0", 16) & 0x20)
        )
        if len(rows) > 1 and style.heads_first_row and shown:
            properties = rows[0].find(_w("trPr"))
            if properties is None:
                properties = etree.Element(_w("trPr"))
                rows[0].insert(0, properties)
            if properties.find(_w("tblHeader")) is None:
                etree.SubElement(properties, _w("tblHeader"))
        for row in rows:
            for _ in range(min(_whole(_value(row, "trPr/gridBefore")) or 0, 50)):
                cell = etree.Element(_w("tc"))
                etree.SubElement(cell, _w("p"))
                first = row.find(_w("tc"))
                row.insert(row.index(first) if first is not None else len(row), cell)


def _label(root: etree._Element, styles: dict[str, _Style], numbering: _Numbering) -> None:
    """Write each printed number into its paragraph, between the two marks that `structure` knows."""
    for paragraph in root.iter(_w("p")):
        number = _number_of(paragraph, styles)
        # the same text box stands twice in the XML, as drawing and as fallback; only the fallback is read
        if number is None or next(paragraph.iterancestors("{*}Choice"), None) is not None:
            continue
        label = numbering.next_label(*number)
        if label and "".join(str(t) for t in paragraph.itertext()).strip():
            run = etree.Element(_w("r"))
            etree.SubElement(run, _w("t")).text = f"{MARKER_OPEN}{label}{MARKER_CLOSE}"
            paragraph.insert(1 if paragraph.find(_w("pPr")) is not None else 0, run)


def _number_of(paragraph: etree._Element, styles: dict[str, _Style]) -> tuple[str, int] | None:
    own, level = _value(paragraph, "pPr/numPr/numId"), _whole(_value(paragraph, "pPr/numPr/ilvl"))
    styled = next(
        (s.number for s in _chain(styles, _value(paragraph, "pPr/pStyle") or "") if s.number is not None), None
    )
    if own == "0" or (own is None and styled is None):
        return None
    if own is not None:
        return own, level if level is not None else (styled[1] if styled else 0)
    return (styled[0], styled[1] if level is None else level) if styled and styled[0] != "0" else None


def _mark_emphatic(root: etree._Element, styles: dict[str, _Style]) -> set[int]:
    """Give paragraphs that are bold or larger than most text a style of ours; returns the sizes that occur."""
    looks = [(p, *_look(p, styles)) for p in root.iter(_w("p")) if next(p.iterancestors(_w("tbl")), None) is None]
    counts: dict[int, int] = {}
    for _, letters, size, _ in looks:
        counts[size] = counts.get(size, 0) + letters
    body = max(counts, key=lambda size: counts[size], default=DEFAULT_SIZE)
    bold = sum(letters for _, letters, _, is_bold in looks if is_bold)
    if bold * 2 > sum(counts.values()):  # where everything is bold, bold says nothing
        looks = [(p, letters, size, False) for p, letters, size, _ in looks]
    sizes: set[int] = set()
    for position, (paragraph, letters, size, is_bold) in enumerate(looks):
        style_id = _value(paragraph, "pPr/pStyle") or ""
        is_heading = any(re.match(r"heading|title", s.name) for s in _chain(styles, style_id)[:-1])
        if not letters or is_heading or not (is_bold or size * 10 >= body * 12):
            continue
        number = _number_of(paragraph, styles)
        neighbours = [looks[other][0] for other in (position - 1, position + 1) if 0 <= other < len(looks)]
        if number is not None and any(_number_of(other, styles) == number for other in neighbours):
            continue  # bold items of a list are a list
        _restyle(paragraph, f"{EMPHATIC}{size}")
        sizes.add(size)
    return sizes


def _look(paragraph: etree._Element, styles: dict[str, _Style]) -> tuple[int, int, bool]:
    """Letters, largest size and whether all of it is bold."""
    chain = _chain(styles, _value(paragraph, "pPr/pStyle") or "")
    base_size = next((s.size for s in chain if s.size), DEFAULT_SIZE)
    base_bold = next((s.is_bold for s in chain if s.is_bold is not None), False)
    letters, size, is_bold = 0, 0, True
    for run in paragraph.iter(_w("r")):
        text = "".join(t.text or "" for t in run.iter(_w("t"))).strip()
        if not text or text.startswith(MARKER_OPEN):
            continue
        character = styles.get(_value(run, "rPr/rStyle") or "-", _Style())
        bold = _is_on(run.find(_w("rPr")), "b")
        bold = bold if bold is not None else character.is_bold if character.is_bold is not None else base_bold
        letters += len(text)
        size = max(size, _whole(_value(run, "rPr/sz")) or character.size or base_size)
        is_bold = is_bold and bool(bold)
    return letters, size or base_size, is_bold and letters > 0


def _restyle(paragraph: etree._Element, style: str) -> None:
    properties = paragraph.find(_w("pPr"))
    if properties is None:
        properties = etree.Element(_w("pPr"))
        paragraph.insert(0, properties)
    named = properties.find(_w("pStyle"))
    if named is None:
        named = etree.Element(_w("pStyle"))
        properties.insert(0, named)
    named.set(_w("val"), style)
