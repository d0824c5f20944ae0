// "Talk to HR": whom to turn to. The page itself sends nothing.

import { byId, closable, el } from "./dom.js";

const dialog = byId("hr");
closable(dialog);
let contact = { name: "the HR team", email: "", phone: "", url: "" };

export function setContact(hr) {
  contact = hr;
}

/** Open the dialog. `question` is put into a draft e-mail, which the person may change before sending. */
export function talkToHr(question = "") {
  byId("hr-lead").textContent = question
    ? `You can reach ${contact.name} directly. The e-mail begins with your question, as a draft you can change.`
    : `You can reach ${contact.name} directly.`;
  const ways = [
    contact.email && ["E-mail", contact.email, mailto(question)],
    contact.phone && ["Phone", contact.phone, telephone(contact.phone)],
    /^https?:\/\//i.test(contact.url) && ["Page", contact.url, contact.url],
  ].filter(Boolean);
  const way = ([name, value, href]) => el("li", {}, el(href ? "a" : "div", { href }, el("span", {}, name), value));
  const items = ways.map(way);
  byId("hr-ways").replaceChildren(...items);
  byId("hr-ways").hidden = items.length === 0;
  dialog.showModal();
}

/** A link to call, when the text is one number; "Leeds 0113 …, Bonn 0228 …" is only shown. */
function telephone(text) {
  return /^\+?[\d\s()./-]{5,20}$/.test(text) ? `tel:${text.replace(/[^+\d]/g, "")}` : null;
}

function mailto(question) {
  const subject = encodeURIComponent("A question about our policies");
  const body = question ? `&body=${encodeURIComponent(`Hello,\n\nI would like to ask:\n\n${question}\n\nThank you`)}` : "";
  return `mailto:${contact.email}?subject=${subject}${body}`;
}
