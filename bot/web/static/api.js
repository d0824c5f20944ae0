// Talks to the server: JSON calls, the stream of an answer, and the access token where one is needed.

const TOKEN_KEY = "quantahr-token";

/** A refusal by the server, in words for whoever asked. `status` is 0 when the server cannot be reached. */
export class ServerError extends Error {
  constructor(message, { status = 0, incident = "" } = {}) {
    super(message);
    this.status = status;
    this.incident = incident;
  }
}

export const getInfo = () => json("/api/info");

/** Whether questions can be answered: {ready, has_failed, reason}. */
export async function getReady() {
  const response = await reach("/readyz");
  return response.json();
}

export const sendVote = (vote) => json("/api/feedback", post(vote));

/**
 * Ask, and follow the answer. Calls `on.status({state, position})` and `on.text(delta)` as they come, and returns the
 * answer. Throws a ServerError, or an AbortError when `signal` fires.
 */
export async function ask(body, on, signal) {
  const response = await authorized("/api/ask", { ...post(body, "text/event-stream"), signal });
  if (!response.ok) throw await refusal(response);
  for await (const { name, data } of events(response.body)) {
    if (name === "status") on.status(data);
    else if (name === "text") on.text(data.delta);
    else if (name === "answer") return data;
    else if (name === "error") throw new ServerError(data.message, { status: 500, incident: data.incident_id });
  }
  throw new ServerError("The connection broke before the answer was whole.");
}

function post(body, accept = "application/json") {
  const headers = { "Content-Type": "application/json", Accept: accept };
  return { method: "POST", headers, body: JSON.stringify(body) };
}

async function json(path, init) {
  const response = await authorized(path, init);
  if (!response.ok) throw await refusal(response);
  return response.json();
}

async function authorized(path, init = {}) {
  let problem = "";
  for (;;) {
    const token = sessionStorage.getItem(TOKEN_KEY);
    const headers = { ...init.headers, ...(token && { Authorization: `Bearer ${token}` }) };
    const response = await reach(path, { ...init, headers });
    if (response.status !== 401) return response;
    if (token) problem = (await refusal(response)).message;
    sessionStorage.removeItem(TOKEN_KEY);
    sessionStorage.setItem(TOKEN_KEY, await askForToken(problem));
  }
}

async function reach(path, init) {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The assistant cannot be reached. Check your connection, then try again.");
  }
}

async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  const message = body.message ?? "Something went wrong here. Please try again.";
  return new ServerError(message, { status: response.status, incident: body.incident_id ?? "" });
}

let asking = null; // two calls refused at once ask once

function askForToken(problem) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token");
    const form = document.getElementById("token-form");
    const input = document.getElementById("token-input");
    document.getElementById("token-error").textContent = problem;
    input.value = "";
    dialog.addEventListener("cancel", (event) => event.preventDefault()); // without it there is nothing to see
    form.onsubmit = (event) => {
      event.preventDefault();
      asking = null;
      dialog.close();
      resolve(input.value.trim());
    };
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
  return asking;
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      buffer += value;
      const blocks = buffer.split("\n\n");
      buffer = blocks.pop();
      for (const block of blocks) {
        const event = parseEvent(block);
        if (event) yield event;
      }
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The connection broke before the answer was whole.");
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parseEvent(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  return data.length ? { name, data: JSON.parse(data.join("\n")) } : null; // none: a comment that keeps the line open
}
