// The conversation: what was asked, what comes back, and what the page is waiting for.

import { ask, getInfo, getReady } from "./api.js";
import { byId, el } from "./dom.js";
import { setContact, talkToHr } from "./hr.js";
import { pendingAnswer, ROUTES } from "./message.js";

const HISTORY_TURNS = 10; // the server takes 20; older turns do not help to understand the next question
const HISTORY_CHARS = 4000;
const POLL_MS = 1000;

const thread = byId("thread");
const scroller = byId("scroller");
const question = byId("question");
const send = byId("send");
const stop = byId("stop");

let history = []; // of this page only: gone when the tab is closed
let lastQuestion = "";
let running = null; // AbortController of the answer on its way
let isReady = false;
let polling = 0; // the timer of the next look at /readyz
let loaded = ""; // what the page shows already, as JSON
let conversation = 0; // counts up, so that an answer to an abandoned one is dropped

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submit(question.value);
});
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit(question.value);
});
question.addEventListener("input", fit);
stop.addEventListener("click", () => running?.abort());
byId("new").addEventListener("click", startAfresh);
byId("theme").addEventListener("click", switchTheme);
byId("hr-open").addEventListener("click", () => talkToHr(lastQuestion));
byId("notice-retry").addEventListener("click", comeUp);
byId("country").addEventListener("change", (event) => remember("quantahr-country", event.target.value));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
window.addEventListener("online", comeUp);
window.addEventListener("offline", () => notice("You are offline. Questions can be sent once you are back.", "problem"));

showTheme();
fit();
comeUp();

async function submit(text) {
  const asked = text.trim();
  if (!asked || running) return;
  if (!isReady) {
    announce(byId("notice-text").textContent);
    return;
  }
  const mine = conversation;
  lastQuestion = asked;
  if (question.value.trim() === asked) question.value = ""; // a suggestion or a retry leaves a draft alone
  fit();
  byId("welcome").hidden = true;
  thread.hidden = false;
  const asking = el("li", { class: "turn user" }, el("span", { class: "unseen" }, "You asked: "), asked);
  const reply = pendingAnswer();
  thread.append(asking, reply.element);
  scroller.scrollTop = scroller.scrollHeight;
  announce("Looking through the policies.");
  setRunning(new AbortController());
  try {
    const on = {
      status: (status) => reply.status(status),
      text: (delta) => keepingEnd(() => reply.text(delta)),
    };
    const answer = await ask(requestBody(asked), on, running.signal);
    if (mine !== conversation) return;
    keepingEnd(() => reply.finish(answer, asked));
    remembered(asked, answer);
    announce(spoken(answer));
  } catch (error) {
    if (mine !== conversation) return;
    if (error.name === "AbortError") {
      keepingEnd(() => reply.stop());
      announce("Stopped.");
    } else {
      const again = () => {
        asking.remove();
        reply.element.remove();
        submit(asked);
      };
      keepingEnd(() => reply.fail(error, again));
      announce(error.message);
      if (error.status === 0 || error.status === 503) comeUp();
    }
  } finally {
    if (mine === conversation) setRunning(null);
  }
}

function requestBody(asked) {
  const country = byId("country").value;
  return { question: asked, history: history.slice(-HISTORY_TURNS), ...(country && { country }) };
}

function remembered(asked, answer) {
  if (answer.route === "sensitive") {
    lastQuestion = ""; // what was confided is neither sent along with the next question nor put into an e-mail
    return;
  }
  history.push(
    { role: "user", text: asked.slice(0, HISTORY_CHARS) },
    { role: "bot", text: answer.answer.slice(0, HISTORY_CHARS) },
  );
}

function spoken(answer) {
  const label = ROUTES[answer.route]?.label ?? "Answer";
  const count = answer.citations.length;
  const [one, many] = answer.abstained ? ["near policy", "near policies"] : ["source", "sources"];
  return `${label}. ${answer.answer}${count ? ` ${count} ${count === 1 ? one : many}.` : ""}`;
}

function setRunning(controller) {
  const hadFocus = [send, stop].includes(document.activeElement);
  running = controller;
  stop.hidden = !controller;
  send.hidden = Boolean(controller);
  if (hadFocus && controller) stop.focus();
  else if (hadFocus) focusQuestion();
  fit();
}

function focusQuestion() {
  // On a phone that would bring up the keyboard over the answer.
  if (!matchMedia("(pointer: coarse)").matches) question.focus();
}

function startAfresh() {
  conversation += 1;
  running?.abort();
  setRunning(null);
  history = [];
  lastQuestion = "";
  thread.replaceChildren();
  thread.hidden = true;
  byId("welcome").hidden = false;
  announce("New conversation.");
  focusQuestion();
}

// Coming up: the page is there before the assistant is.

async function comeUp() {
  clearTimeout(polling);
  try {
    const ready = await getReady();
    if (!ready.ready) {
      isReady = false;
      fit();
      if (ready.has_failed) notice(ready.reason, "problem");
      else {
        notice("Getting ready: loading the model and the policies. You can already type.", "waiting");
        polling = setTimeout(comeUp, POLL_MS);
      }
      await loadInfo();
      return;
    }
    await loadInfo();
    isReady = true;
    notice("");
  } catch (error) {
    isReady = false;
    notice(error.message, "problem");
  }
  fit();
}

async function loadInfo() {
  const info = await getInfo();
  if (loaded === JSON.stringify(info)) return;
  loaded = JSON.stringify(info);
  const company = info.company === "your company" ? "HR assistant" : info.company;
  document.title = company === "HR assistant" ? company : `HR assistant – ${company}`;
  byId("company").textContent = company;
  document.querySelector(".brand .role").hidden = company === "HR assistant";
  byId("initial").textContent = [...company][0].toUpperCase();
  byId("privacy").textContent = info.needs_token ? ": stays on your company’s server" : ": nothing leaves this machine";
  setContact(info.hr);
  showSuggestions(info.suggested_questions);
  showCountries(info.countries);
}

function showSuggestions(suggestions) {
  const item = (text) => el("li", {}, el("button", { type: "button", onclick: () => suggest(text) }, text));
  byId("suggestions").replaceChildren(...suggestions.map(item));
  byId("suggestions-box").hidden = suggestions.length === 0;
}

function suggest(text) {
  focusQuestion();
  if (isReady) submit(text);
  else {
    question.value = text;
    fit();
  }
}

function showCountries(codes) {
  const select = byId("country");
  const names = new Intl.DisplayNames(undefined, { type: "region" });
  const chosen = select.value || recall("quantahr-country");
  const options = codes.map((code) => el("option", { value: code }, names.of(code)));
  select.replaceChildren(el("option", { value: "" }, "Not set"), ...options);
  select.value = codes.includes(chosen) ? chosen : "";
  byId("country-box").hidden = codes.length === 0;
}

// Small things

/** Show a line over the question box: "waiting" with a spinner, "problem" with a button, or none. */
function notice(text, kind = "") {
  byId("notice-text").textContent = text;
  byId("notice").hidden = !text;
  byId("notice").classList.toggle("is-problem", kind === "problem");
  byId("notice-retry").hidden = kind !== "problem";
}

function announce(text) {
  byId("announcer").textContent = text;
}

/** Run something that makes the thread longer, and stay at its end if that is where the reader was. */
function keepingEnd(change) {
  const isAtEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
  change();
  if (isAtEnd) requestAnimationFrame(() => { scroller.scrollTop = scroller.scrollHeight; });
}

function fit() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
  send.setAttribute("aria-disabled", String(!question.value.trim() || !isReady));
}

function switchTheme() {
  const next = document.documentElement.dataset.shown === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  remember("quantahr-theme", next);
  showTheme();
}

function showTheme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.dataset.shown = root.dataset.theme ?? system;
  const label = `Switch to ${root.dataset.shown === "dark" ? "light" : "dark"} mode`;
  byId("theme").setAttribute("aria-label", label);
  byId("theme").title = label;
}

function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is blocked or full: it holds for this page then.
  }
}

function recall(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}
