// The labelling page: one text at a time, answered by keys, with what is learned from the answers beside it.
import { ask, Trouble } from "../served/ask.js";
import { make, signed } from "../served/draw.js";
import { WORDS } from "./words.js";

const $ = (id) => document.getElementById(id);
// By their place on the keyboard, so that they are the same in any layout.
const KEYS = [..."1234567890"].map((key) => [key, `Digit${key}`, `Numpad${key}`]).concat([..."QWERTYIOPASDFGHJKLZXCVBNM"].map((key) => [key, `Key${key}`, ""]));
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]/u;
const SAID = 300; // characters of a text that a screen reader is given unasked
const state = { say: WORDS.en, language: "en", labels: [], several: false, rater: "", shown: null, chosen: new Set(), status: null, busy: false, ended: false, disputes: [] };

function remember(name, value) { try { localStorage.setItem(`ottenok.${name}`, value); } catch { /* a browser that keeps nothing */ } }
function recall(name) { try { return localStorage.getItem(`ottenok.${name}`); } catch { return null; } }
const number = (value) => signed(Number(value));
const joined = (labels) => labels.join(", ") || state.say.none;
const whole = (count) => count.toLocaleString(state.language);

function fault(error) {
  if (!state.ended) $("fault").textContent = error instanceof Trouble ? error.message : state.say.lost;
}

// A text as text: what would turn the writing direction or hide is shown by its number.
function lay(place, { text, characters }) {
  const parts = text.split(new RegExp(`(${HIDDEN.source})`, "gu"));
  const shown = parts.map((part) => (HIDDEN.test(part) ? make("span", { kind: "mark", text: `⟨U+${part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩` }) : part));
  if (characters > Array.from(text).length) shown.push(make("p", { kind: "quiet", text: state.say.longer(whole(characters)) }));
  place.replaceChildren(...shown);
}

function speak(language) {
  state.language = WORDS[language] ? language : "en";
  const say = (state.say = WORDS[state.language]);
  document.documentElement.lang = state.language;
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say[element.dataset.say];
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say[element.dataset.label]);
  $("question").textContent = state.several ? say.questions : say.question;
  $("keylist").replaceChildren(...[state.several ? say.key.toggle : say.key.digits, say.key.skip, say.key.undo, say.key.help].map((text) => make("li", { text })));
  $("language").value = state.language;
  if (state.labels.length) { show(false); tell(); disputes(); }
}

function dress(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  $("theme").value = document.documentElement.dataset.theme ?? "auto";
}

// ---- the text before the rater ----

function show(focus = true) {
  const { say, shown } = state;
  for (const id of ["labels", "skip"]) $(id).hidden = !shown;
  $("confirm").hidden = !shown || !state.several;
  $("how").textContent = shown ? say.how[shown.how] : "";
  $("count").textContent = state.status ? say.count(whole(state.status.answers[state.rater] ?? 0)) : "";
  lay($("text"), shown ?? { text: say.done, characters: 0 });
  $("again").hidden = !shown?.earlier;
  if (shown?.earlier) $("again").textContent = shown.how === "again" && shown.doubt.length + Number(state.several) ? say.again(joined(shown.earlier), joined(shown.doubt)) : say.earlier(joined(shown.earlier));
  press();
  if (focus) $("text").focus();
}

function press() {
  for (const [place, button] of [...$("labels").children].entries()) button.setAttribute("aria-pressed", String(state.chosen.has(state.labels[place])));
}

async function send(path, body, told, focus = true) {
  if (state.busy || state.ended) return;
  state.busy = true;
  try {
    const found = await ask(`api/${path}`, { body: { rater: state.rater, ...body } });
    $("fault").textContent = "";
    Object.assign(state, { shown: found.shown, status: found.status, chosen: new Set(state.several ? found.shown?.earlier ?? [] : []) });
    if (found.disagreements) { state.disputes = found.disagreements; disputes(); }
    show(focus && !found.disagreements);
    tell();
    const next = found.shown ? Array.from(found.shown.text).slice(0, SAID).join("") : state.say.done;
    $("said").textContent = [typeof told === "function" ? told(found) : told, next].filter(Boolean).join(" ");
  } catch (error) { fault(error); } finally { state.busy = false; }
}

function choose(label) {
  if (!state.shown) return;
  if (!state.several) { send("answer", { key: state.shown.key, labels: [label] }, state.say.answered(label)); return; }
  if (!state.chosen.delete(label)) state.chosen.add(label);
  press();
}
const confirm = () => { if (state.shown && state.several) { const labels = state.labels.filter((label) => state.chosen.has(label)); send("answer", { key: state.shown.key, labels }, state.say.answered(joined(labels))); } };
const skip = () => { if (state.shown) send("skip", { key: state.shown.key }, state.say.skipped); };
const undo = () => send("undo", {}, (found) => (found.undone ? state.say.undone : state.say.nothing));
function help(open = $("help").hidden) {
  $("help").hidden = !open;
  $("helper").setAttribute("aria-expanded", String(open));
}

document.addEventListener("keydown", (event) => {
  const inside = event.target.closest?.("input, select, textarea");
  if (event.key === "Escape") { help(false); return; }
  if (inside && inside.type !== "checkbox") return;
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.code === "KeyZ") { event.preventDefault(); undo(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || !$("shortcuts").checked) return;
  const presses = event.target.closest?.("button, a, input") && (event.key === " " || event.key === "Enter");
  if (presses || event.repeat) return;
  let act = null;
  if (event.key === "?") act = () => help();
  else if (event.shiftKey) return;
  else if (event.code === "KeyU" || event.key === "ArrowLeft") act = undo;
  else if (event.key === " " || event.key === "ArrowRight") act = skip;
  else if (event.key === "Enter") act = confirm;
  else {
    const place = KEYS.findIndex(([, code, pad]) => event.code === code || (pad && event.code === pad));
    if (place >= 0 && place < state.labels.length) act = () => choose(state.labels[place]);
  }
  if (act) { event.preventDefault(); act(); }
});

// ---- how far it is ----

function tell() {
  const { say, status } = state;
  if (!status) return;
  $("file").textContent = status.file;
  $("totals").textContent = say.totals(whole(status.labelled), whole(Object.values(status.skipped).reduce((sum, one) => sum + one, 0)), status.pool, status.total);
  $("embedding").textContent = status.fault ? say.fault(status.fault) : say.embedding(status.embedded, status.texts);
  $("embedded").hidden = status.embedded >= status.texts || Boolean(status.fault);
  $("embedded").max = status.texts;
  $("embedded").value = status.embedded;
  const most = Math.max(1, ...Object.values(status.labels));
  $("shares").replaceChildren(...Object.entries(status.labels).flatMap(([label, count]) => {
    const fill = make("span");
    fill.style.width = `${(100 * count) / most}%`;
    return [make("dt", { text: label }), make("dd", { children: [make("div", { kind: "bar", children: [fill] })] }), make("dd", { text: whole(count) })];
  }));
  const last = status.measured.at(-1);
  $("honest").textContent = last?.random ? say.honest(number(last.random.value), number(last.random.low), number(last.random.high)) : "";
  $("honest-why").textContent = last?.random ? say.honestWhy(whole(last.random.texts)) : last ? say.waitFair : say.wait;
  $("crossed").textContent = last ? say.crossed(number(last.all.value), number(last.all.low), number(last.all.high), whole(last.labels)) : "";
  draw(status.measured);
  $("alpha").textContent = status.alpha ? say.alpha(number(status.alpha.value), number(status.alpha.low), number(status.alpha.high)) : status.raters.length > 1 ? "" : say.noAlpha;
  $("alpha-why").textContent = status.raters.length > 1 ? say.alphaWhy(whole(status.both)) : say.second;
  $("open").hidden = !status.disagreements && $("disputes").hidden;
  $("open").textContent = say.disputes(whole(status.disagreements));
  $("raters").replaceChildren(...status.raters.map((name) => make("option", { attributes: { value: name } })));
}

function svg(kind, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function draw(points) {
  $("curve").toggleAttribute("hidden", points.length < 2);
  $("legend").textContent = points.length < 2 ? "" : state.say.legend;
  if (points.length < 2) return;
  const most = points.at(-1).labels;
  const at = (labels, value) => `${(24 + (290 * labels) / most).toFixed(1)},${(130 - 120 * value).toFixed(1)}`;
  const fair = points.filter((point) => point.random);
  const parts = [0, 0.5, 1].flatMap((value) => [
    svg("line", { class: "axis", x1: 24, x2: 314, y1: 130 - 120 * value, y2: 130 - 120 * value }),
    svg("text", { x: 0, y: 134 - 120 * value }, number(value)),
  ]);
  parts.push(svg("text", { x: 314, y: 146, "text-anchor": "end" }, whole(most)));
  if (fair.length > 1) parts.push(svg("polygon", { class: "band", points: [...fair.map((one) => at(one.labels, one.random.low)), ...fair.toReversed().map((one) => at(one.labels, one.random.high))].join(" ") }));
  parts.push(svg("polyline", { class: "all", points: points.map((one) => at(one.labels, one.all.value)).join(" ") }));
  parts.push(svg("polyline", { class: "fair", points: fair.map((one) => at(one.labels, one.random.value)).join(" ") }));
  $("curve").replaceChildren(...parts);
  $("curve").setAttribute("aria-label", fair.length ? state.say.curve(number(fair.at(-1).random.value), whole(fair.at(-1).labels)) : state.say.waitFair);
}

// ---- where raters disagree ----

function disputes() {
  const { say } = state;
  const cards = state.disputes.map((dispute) => {
    const text = make("p", { attributes: { dir: "auto" } });
    lay(text, dispute);
    const card = make("article", { kind: "answer dispute", children: [text] });
    for (const [rater, labels] of dispute.said) card.append(make("p", { kind: "quiet", text: `${rater}: ${joined(labels)}` }));
    // One button for each thing that was said, and one for each other label.
    const said = dispute.said.map(([, labels]) => labels);
    const others = state.several ? [] : state.labels.filter((label) => !said.some((labels) => labels.includes(label))).map((label) => [label]);
    const offered = [...new Map([...said, ...others].map((labels) => [joined(labels), labels])).values()];
    card.append(make("div", { kind: "row", children: offered.map((labels) => {
      const button = make("button", { text: say.settle(joined(labels)) });
      button.addEventListener("click", async () => { await send("settle", { key: dispute.key, labels }, say.settle(joined(labels))); ($("dispute-list").querySelector("button") ?? $("disputed")).focus(); });
      return button;
    }) }));
    return card;
  });
  $("dispute-list").replaceChildren(...(cards.length ? cards : [make("p", { text: say.agreed })]));
}

// ---- settings and beginning ----

async function look() {
  if (document.hidden || state.busy || state.ended) return;
  try {
    const status = await ask("api/status");
    // What was asked before the last answer is older than what that brought.
    if (!state.busy && !state.ended) { state.status = status; tell(); $("fault").textContent = ""; }
  } catch (error) { fault(error); }
}

async function begin() {
  try {
    const facts = await ask("api/begin");
    Object.assign(state, { labels: facts.labels, several: facts.several, rater: facts.rater ?? recall("rater") ?? "A" });
    $("rater").value = state.rater;
    $("labels").replaceChildren(...state.labels.map((label, place) => {
      const button = make("button", { text: label, attributes: { "aria-pressed": "false", dir: "auto" } });
      if (place < KEYS.length) button.append(make("kbd", { text: KEYS[place][0] }));
      button.addEventListener("click", () => choose(label));
      return button;
    }));
    if (!state.several) for (const button of $("labels").children) button.removeAttribute("aria-pressed");
    speak(state.language);
    await send("next", {});
    setInterval(look, 3000);
  } catch (error) { fault(error); }
}

$("confirm").addEventListener("click", confirm);
$("skip").addEventListener("click", skip);
$("undo").addEventListener("click", undo);
$("helper").addEventListener("click", () => help());
$("language").addEventListener("change", () => { remember("language", $("language").value); speak($("language").value); });
$("theme").addEventListener("change", () => { remember("theme", $("theme").value); dress($("theme").value); });
$("rater").addEventListener("change", () => {
  const name = $("rater").value.replace(/[\u0000-\u001f+]/gu, "").trim();
  if (name && name !== state.rater) { state.rater = name; remember("rater", name); send("next", {}, "", false); }
  $("rater").value = state.rater;
});
$("rater").addEventListener("keydown", (event) => { if (event.key === "Enter") $("text").focus(); });
$("open").addEventListener("click", async () => {
  const opens = $("disputes").hidden;
  $("disputes").hidden = !opens;
  $("open").setAttribute("aria-expanded", String(opens));
  if (!opens) return;
  try { state.disputes = await ask("api/disagreements"); disputes(); $("disputed").focus(); } catch (error) { fault(error); }
});
$("stop").addEventListener("click", async () => {
  try { await ask("api/stop", { body: {} }); } catch (error) { fault(error); return; }
  state.ended = true;
  $("ask").hidden = true;
  $("fault").textContent = state.say.ended;
});

dress(recall("theme"));
speak(recall("language") ?? navigator.language.slice(0, 2));
begin();
