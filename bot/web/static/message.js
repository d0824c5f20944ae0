// One answer in the thread: while it is on its way, when it is there, and when it did not come.

import { sendVote } from "./api.js";
import { el, icon } from "./dom.js";
import { talkToHr } from "./hr.js";
import { placeOf, showPassage } from "./passage.js";
import { prose } from "./prose.js";

export const ROUTES = {
  quoted: { label: "Quoted from policy", icon: "quote" },
  generated: { label: "Worded from policy", icon: "pen" },
  verified: { label: "Verified by HR", icon: "check" },
  unknown: { label: "No policy found", icon: "search" },
  sensitive: { label: "Better with a person", icon: "heart" },
};
const REFUSED = { label: "Not something I can help with", icon: "lock" };
const REFUSED_CATEGORIES = ["confidential_data", "injection"];
const UP = 5;
const DOWN = 1;

/** The place in the thread where an answer will stand: {element, status, text, finish, fail, stop}. */
export function pendingAnswer() {
  const element = el("li", { class: "turn bot" });
  const speaker = el("h2", { class: "unseen" }, "Answer");
  const note = el("span", {}, "Looking through the policies…");
  const busy = el("p", { class: "busy" }, el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i")), note);
  const body = el("div", { class: "prose" });
  element.append(speaker, busy);
  let streamed = "";
  let isDrawn = true;

  const draw = () => {
    isDrawn = true;
    if (element.classList.contains("is-streaming")) body.replaceChildren(...prose(streamed));
  };
  const settle = (...content) => {
    element.classList.remove("is-streaming");
    element.replaceChildren(speaker, ...content.filter(Boolean));
  };

  return {
    element,
    status({ state, position }) {
      const ahead = position === 1 ? "1 question is" : `${position} questions are`;
      note.textContent = state === "queued" ? `${ahead} before yours…` : "Looking through the policies…";
    },
    text(delta) {
      if (!streamed) {
        element.classList.add("is-streaming");
        element.replaceChildren(speaker, body);
      }
      streamed += delta;
      if (isDrawn) requestAnimationFrame(draw); // once a frame, however fast the words come
      isDrawn = false;
    },
    finish(answer, question) {
      settle(badge(answer), answerText(answer), sources(answer), helps(answer, question), actions(answer, question));
    },
    fail(error, onRetry) {
      const label = el("p", { class: "badge failed" }, icon("warn"), "No answer this time");
      const retry = el("button", { type: "button", class: "primary", onclick: onRetry }, "Try again");
      const hr = el("button", { type: "button", class: "quiet", onclick: () => talkToHr() }, "Talk to HR");
      settle(label, el("div", { class: "prose" }, el("p", {}, error.message)), el("div", { class: "helps" }, retry, hr));
    },
    stop() {
      const note = el("p", { class: "stopped" }, "You stopped this answer, so it may be incomplete.");
      settle(streamed ? el("div", { class: "prose" }, ...prose(streamed)) : null, note);
    },
  };
}

function badge(answer) {
  const route = REFUSED_CATEGORIES.includes(answer.category) ? REFUSED : (ROUTES[answer.route] ?? ROUTES.generated);
  return el("p", { class: `badge ${answer.route}` }, icon(route.icon), route.label);
}

function answerText(answer) {
  const known = answer.abstained ? 0 : answer.citations.length;
  const addText = (parent, text) => {
    for (const part of text.split(/(\[\d+\])/)) {
      const number = /^\[(\d+)\]$/.exec(part)?.[1];
      if (number && number >= 1 && number <= known) parent.append(reference(answer.citations, number - 1));
      else parent.append(part);
    }
  };
  return el("div", { class: "prose" }, ...prose(answer.answer, { addText }));
}

function reference(citations, index) {
  const label = `Source ${index + 1}: ${placeOf(citations[index]).join(", ")}`;
  const onclick = () => showPassage(citations, index);
  return el("button", { type: "button", class: "cite", "aria-label": label, onclick }, String(index + 1));
}

function sources(answer) {
  if (!answer.citations.length) return null;
  const isNearest = answer.abstained;
  const chips = answer.citations.map((citation, index) => {
    const [title, section] = placeOf(citation);
    const where = el("span", { class: "where" }, title, section ? el("span", { class: "step" }, ` › ${section}`) : null);
    const number = el("span", { class: "number", "aria-hidden": "true" }, String(index + 1));
    const expired = citation.is_expired ? el("span", { class: "expired" }, "Expired") : null;
    const onclick = () => showPassage(answer.citations, index, isNearest ? "Policy" : "Source");
    return el("li", {}, el("button", { type: "button", class: "chip", "aria-haspopup": "dialog", onclick }, number, where, expired));
  });
  const heading = isNearest ? "The nearest policies" : answer.citations.length > 1 ? "Sources" : "Source";
  return el("div", { class: "sources" }, el("h3", {}, heading), el("ul", { class: "chips" }, ...chips));
}

function helps(answer, question) {
  if (!answer.abstained && answer.route !== "sensitive") return null;
  // What was confided here is not put into an e-mail unasked.
  const draft = answer.route === "sensitive" ? "" : question;
  const open = el("button", { type: "button", class: "primary", onclick: () => talkToHr(draft) }, "Talk to HR");
  return el("div", { class: "helps" }, open);
}

function actions(answer, question) {
  if (answer.route === "sensitive") return null;
  const note = el("span", { class: "act-note", role: "status" });
  const reasonPlace = el("div");
  const thumbs = [thumb("up", "Helpful", UP), thumb("down", "Not helpful", DOWN)];
  let rating = 0;

  function thumb(name, label, value) {
    const onclick = () => vote(rating === value ? 0 : value);
    return el("button", { type: "button", class: "act", "aria-label": label, title: label, "aria-pressed": "false", "data-rating": value, onclick }, icon(name));
  }

  function show(value) {
    rating = value;
    for (const button of thumbs) button.setAttribute("aria-pressed", String(Number(button.dataset.rating) === value));
  }

  async function vote(value, reason = "") {
    const before = rating;
    show(value);
    reasonPlace.replaceChildren();
    try {
      await sendVote({ interaction_id: answer.id, rating: value, reason });
    } catch (error) {
      show(before);
      note.textContent = error.message;
      return;
    }
    note.textContent = value === 0 ? "Taken back." : "Thank you.";
    if (value === DOWN && !reason) {
      reasonPlace.replaceChildren(reasonForm(vote, () => thumbs[1].focus()));
      reasonPlace.scrollIntoView({ block: "nearest" });
    }
    if (reason) thumbs[1].focus();
  }

  const copyButton = el("button", { type: "button", class: "act", "aria-label": "Copy the answer", title: "Copy the answer" }, icon("copy"));
  copyButton.addEventListener("click", async () => {
    note.textContent = (await copy(asText(answer))) ? "Copied." : "Copying did not work; select the text instead.";
  });
  const hr = answer.abstained
    ? null
    : el("button", { type: "button", class: "act", onclick: () => talkToHr(question) }, icon("person"), "Talk to HR");
  return el("div", {}, el("div", { class: "actions" }, ...thumbs, copyButton, hr, note), reasonPlace);
}

function reasonForm(vote, onSkip) {
  const id = `reason-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  const input = el("textarea", { id, rows: "2", maxlength: "2000" });
  const form = el(
    "form",
    { class: "reason" },
    el("label", { for: id }, "What was wrong with it? (optional)"),
    input,
    el(
      "div",
      { class: "row" },
      el("button", { type: "submit", class: "primary" }, "Send"),
      el("button", { type: "button", class: "quiet", onclick: () => { form.remove(); onSkip(); } }, "Skip"),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) vote(DOWN, input.value.trim());
    else { form.remove(); onSkip(); }
  });
  return form;
}

function asText(answer) {
  const places = answer.citations.map((citation, index) => `[${index + 1}] ${placeOf(citation).join(" › ")}`);
  return [answer.answer, "", ...places].join("\n").trim();
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  // Over plain HTTP from another machine browsers have no clipboard interface.
  const area = el("textarea", { class: "unseen", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}
