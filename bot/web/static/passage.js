// The sheet that shows where an answer stands: the passage, with the quoted piece highlighted.

import { byId, closable, el, icon, readableDate } from "./dom.js";
import { prose } from "./prose.js";

const sheet = byId("passage");
closable(sheet);

/** Open the sheet on the citation at `index` of `citations`. Focus goes back to where it was when it closes. */
export function showPassage(citations, index, kind = "Source") {
  const citation = citations[index];
  const body = byId("passage-body");
  byId("passage-count").textContent = `${kind} ${index + 1} of ${citations.length}`;
  byId("passage-title").textContent = citation.title || citation.file;
  const text = el("div", { class: "prose" }, ...prose(citation.text, { quote: citation.quote }));
  const isMarked = text.querySelector("mark, .marked") !== null;
  body.replaceChildren(
    ...[expiredWarning(citation), facts(citation), isMarked ? null : quoted(citation), text, link(citation)].filter(Boolean),
  );
  sheet.showModal();
  byId("passage-title").focus({ preventScroll: true });
  body.scrollTop = 0;
  body.querySelector("mark, .marked")?.scrollIntoView({ block: "nearest" });
}

/** "Annual leave policy › Carrying over": the document and the last step of the heading path. */
export function placeOf(citation) {
  const title = citation.title || citation.file;
  const last = citation.heading.split(" › ").at(-1);
  return last && last !== title ? [title, last] : [title];
}

function expiredWarning(citation) {
  if (!citation.is_expired) return null;
  return el(
    "p",
    { class: "alert" },
    icon("warn"),
    el("span", {}, "This policy has expired and may no longer hold. Check with HR before you rely on it."),
  );
}

function facts(citation) {
  const rows = [
    ["Section", citation.heading],
    ["Page", citation.page ? String(citation.page) : ""],
    ["In force since", citation.effective ? readableDate(citation.effective) : ""],
    ["File", citation.file],
  ];
  const shown = rows.filter(([, value]) => value);
  return el("dl", { class: "facts" }, ...shown.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function quoted(citation) {
  return citation.quote ? el("blockquote", {}, ...prose(citation.quote)) : null;
}

function link(citation) {
  if (!/^https?:\/\//i.test(citation.url)) return null; // a document's metadata may say anything
  return el(
    "a",
    { class: "open-document", href: citation.url, target: "_blank", rel: "noopener noreferrer" },
    "Open the document",
    icon("out"),
    el("span", { class: "unseen" }, " (in a new tab)"),
  );
}
