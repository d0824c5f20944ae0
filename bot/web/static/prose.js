// Shows policy text: paragraphs, "- " lists, indented two spaces a level, and "| a | b |" rows after their head row.

import { el } from "./dom.js";

/**
 * Elements for a text. `quote` is highlighted wherever its lines occur; `addText(parent, text)` may replace how plain
 * text is put in. Example: "Bring:\n- a form" gives a <p> and a <ul>.
 */
export function prose(text, { quote = "", addText = (parent, plain) => parent.append(plain) } = {}) {
  const pieces = quoteLines(quote);
  const write = (parent, plain) => addMarked(parent, plain, pieces, addText);
  const lines = text.split("\n").filter((line) => line.trim());
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    const isKind = [isItem, isRow].find((test) => test(lines[at]));
    let end = at + 1;
    while (isKind && end < lines.length && isKind(lines[end])) end += 1;
    const group = lines.slice(at, end);
    if (isKind === isItem) blocks.push(list(group, write));
    else if (isKind === isRow) blocks.push(table(group, write, pieces));
    else {
      const paragraph = el("p");
      write(paragraph, group[0].trim());
      blocks.push(paragraph);
    }
    at = end;
  }
  return blocks;
}

const isItem = (line) => /^\s*[-*•] /.test(line);
const isRow = (line) => /^\s*\|.*\|\s*$/.test(line);
const isRule = (line) => /^[\s|:-]+$/.test(line);
const squeeze = (text) => text.replace(/\s+/g, " ").trim();

function quoteLines(quote) {
  const bare = (line) => squeeze(line.replace(/^\s*[-*•] /, "").replace(/^\s*\||\|\s*$/g, ""));
  return quote.split("\n").map(bare).filter(Boolean);
}

function list(lines, write) {
  const top = el("ul");
  const levels = [{ indent: -1, list: top }];
  let last = null;
  for (const line of lines) {
    const indent = line.search(/\S/);
    while (levels.length > 1 && indent < levels.at(-1).indent) levels.pop();
    if (indent > levels.at(-1).indent) {
      const inner = last ? el("ul") : top;
      if (last) last.append(inner);
      levels.push({ indent, list: inner });
    }
    last = el("li");
    write(last, line.trim().slice(2));
    levels.at(-1).list.append(last);
  }
  return top;
}

function table(lines, write, pieces) {
  const rows = lines.filter((line) => !isRule(line)).map(cells);
  const [head, ...body] = rows;
  const cell = (tag, attributes) => (text) => {
    const element = el(tag, attributes);
    write(element, text);
    return element;
  };
  const bodyRow = (row) => {
    const line = squeeze(row.join(" | "));
    const isMarked = pieces.some((piece) => piece === line || (piece.includes(" | ") && line.includes(piece)));
    return el("tr", { class: isMarked ? "marked" : null }, ...row.map(cell("td")));
  };
  return el(
    "div",
    { class: "table", tabindex: "0", role: "region", "aria-label": "Table" },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, ...head.map(cell("th", { scope: "col" })))),
      el("tbody", {}, ...body.map(bodyRow)),
    ),
  );
}

function cells(line) {
  return line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
}

function addMarked(parent, text, pieces, addText) {
  const found = pieces.map((piece) => span(text, piece)).find(Boolean);
  if (!found) {
    addText(parent, text);
    return;
  }
  const [start, end] = found;
  if (start > 0) addMarked(parent, text.slice(0, start), pieces, addText);
  parent.append(el("mark", {}, text.slice(start, end)));
  if (end < text.length) addMarked(parent, text.slice(end), pieces, addText);
}

/** Where a piece lies in a text, white space aside; a long block that lies wholly in the piece counts, too. */
function span(text, piece) {
  if (piece.length < 4) return null;
  const pattern = piece.split(" ").map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\s+");
  const match = new RegExp(pattern).exec(text);
  if (match) return [match.index, match.index + match[0].length];
  const whole = squeeze(text);
  return whole.length >= 20 && piece.includes(whole) ? [0, text.length] : null;
}
