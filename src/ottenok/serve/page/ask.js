// Asking the server: with the key, again when it is busy, and with errors that a person can read.
let key = "";
export const setKey = (value) => { key = value; };

export class Trouble extends Error {
  constructor(message, status) { super(message); this.status = status; }
}

const pause = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, seconds * 1000);
  signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});

// GET, or POST of JSON or bytes. `busy` hears of every time that the server asks to come again.
export async function ask(path, { body, bytes, signal, busy } = {}) {
  for (let tries = 0; ; tries += 1) {
    const headers = key ? { authorization: `Bearer ${key}` } : {};
    if (body !== undefined) headers["content-type"] = "application/json";
    if (bytes !== undefined) headers["content-type"] = "application/octet-stream";
    const sent = body === undefined ? bytes : JSON.stringify(body);
    const answer = await fetch(path, { method: sent === undefined ? "GET" : "POST", headers, body: sent, signal, cache: "no-store" });
    if (answer.ok) return answer.json();
    if ((answer.status === 429 || answer.status === 503) && tries < 20) {
      busy?.();
      await pause(Number(answer.headers.get("retry-after")) || 1, signal);
      continue;
    }
    let message = `${answer.status} ${answer.statusText}`;
    try {
      const told = await answer.json();
      message = told.error?.message ?? told.error ?? told.detail ?? message;
    } catch { /* no JSON: the status says it */ }
    throw new Trouble(String(message), answer.status);
  }
}
