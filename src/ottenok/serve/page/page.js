// The page: one text as it is typed, or many from a file, answered by every model of this server.
import { ask, setKey, Trouble } from "./ask.js";
import { bars, dial, make, percent, words } from "./draw.js";
import { many } from "./many.js";
import { EXAMPLES, WORDS } from "./words.js";

const $ = (id) => document.getElementById(id);
const EXPLAINED = 2000; // characters up to which words are weighed
const state = { say: WORDS.en, language: "en", models: [], asked: null, shown: null };

// Titles of labels come with the models, in the three languages.
export function title(task, label) {
  const at = task.labels.indexOf(label);
  return task.titles?.[state.language]?.[at] ?? task.titles?.en?.[at] ?? label;
}

function remember(name, value) {
  try { localStorage.setItem(`ottenok.${name}`, value); } catch { /* a browser that keeps nothing */ }
}
function recall(name) {
  try { return localStorage.getItem(`ottenok.${name}`); } catch { return null; }
}

function speak(language) {
  state.language = WORDS[language] ? language : "en";
  state.say = WORDS[state.language];
  document.documentElement.lang = state.language;
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = state.say[element.dataset.say];
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", state.say[element.dataset.label]);
  $("language").value = state.language;
  if (state.shown) show(state.shown);
  bulk.spoken();
}

function dress(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  $("theme").value = document.documentElement.dataset.theme ?? "auto";
}

function fault(error, place = $("fault")) {
  if (error?.name === "AbortError") return;
  if (error instanceof Trouble && error.status === 401) $("key").hidden = false;
  place.textContent = error instanceof Trouble ? error.message : state.say.lost;
}

// ---- one text ----

let timer = 0;
function soon() {
  clearTimeout(timer);
  for (const card of $("answers").children) card.classList.add("old");
  timer = setTimeout(analyze, 350);
}

async function analyze() {
  clearTimeout(timer);
  const text = $("text").value;
  state.asked?.abort();
  history.replaceState(null, "", text.trim() ? `#text=${encodeURIComponent(text).slice(0, 30000)}` : location.pathname + location.search);
  $("linked").textContent = "";
  if (!text.trim()) {
    state.shown = null;
    $("answers").replaceChildren();
    $("fault").textContent = "";
    return;
  }
  const { signal } = (state.asked = new AbortController());
  const busy = () => { $("fault").textContent = state.say.busy; };
  try {
    const found = await Promise.all(
      state.models.map(async (model) => ({ model, text, answer: (await ask("v1/analyze", { body: { inputs: text, model: model.id }, signal, busy })).results[0] })),
    );
    if (signal.aborted) return;
    $("fault").textContent = "";
    show(found);
  } catch (error) { if (!signal.aborted) fault(error); }
}

function verdict(task, answer) {
  const labels = answer.labels.map((label) => title(task, label)).join(", ");
  const why = state.say.why[answer.reason];
  return labels || (why ? `${state.say.nothing}: ${why}` : state.say.nothing);
}

function facts(answer) {
  const say = state.say;
  const found = [];
  if (answer.language) {
    let name = answer.language;
    try { name = new Intl.DisplayNames([state.language], { type: "language" }).of(answer.language) ?? name; } catch { /* no language code */ }
    found.push(`${say.language_}: ${name}`);
  }
  if (answer.windows > 1) found.push(say.windows(answer.windows));
  if (answer.truncated) found.push(say.truncated);
  if (answer.unknown > 0.05) found.push(say.unknown(percent(answer.unknown)));
  if (answer.reason && !state.say.why[answer.reason]) found.push(answer.reason);
  return found.join(" · ");
}

function show(found) {
  state.shown = found;
  $("answers").replaceChildren(...found.map(card));
  $("said").textContent = found.map(({ model, answer }) => `${model.title}: ${verdict(model.tasks[0], answer)}`).join("; ");
}

function card({ model, text, answer }) {
  const say = state.say;
  const box = make("article", { kind: "answer" });
  const first = model.tasks[0];
  box.append(make("h2", { text: model.title }), make("p", { text: verdict(first, answer), kind: "verdict" }));
  if (answer.polarity !== null) box.append(dial(answer.polarity, say.polarity));
  const answers = answer.tasks ?? { [first.name]: answer };
  for (const task of model.tasks) {
    const own = answers[task.name];
    if (!own) continue;
    if (model.tasks.length > 1) box.append(make("h3", { text: `${task.name}: ${verdict(task, own)}` }));
    box.append(bars(task.labels.map((label) => ({
      label: title(task, label), share: own.probabilities[label], chosen: own.labels.includes(label), value: task.polarity?.[label],
      threshold: task.multi_label ? task.thresholds?.[label] : undefined,
    }))));
    if (task.multi_label && Object.keys(task.thresholds ?? {}).length) box.append(make("p", { text: say.thresholds, kind: "quiet" }));
  }
  const told = facts(answer);
  if (told) box.append(make("p", { text: told, kind: "quiet" }));
  if (answer.windows && Array.from(text).length <= EXPLAINED) box.append(reasons(model, text, answer));
  return box;
}

function reasons(model, text, answer) {
  const say = state.say;
  const box = make("div");
  const choice = make("select", { attributes: { "aria-label": say.other } });
  for (const task of model.tasks)
    for (const label of task.labels) choice.append(make("option", { text: `${task.name}: ${title(task, label)}`, attributes: { value: JSON.stringify([task.name, label]) } }));
  choice.value = JSON.stringify([model.tasks[0].name, answer.label ?? model.tasks[0].labels[0]]);
  const button = make("button", { text: say.explain });
  const place = make("div", { attributes: { "aria-live": "polite" } });
  const explain = async () => {
    const [task, label] = JSON.parse(choice.value);
    place.replaceChildren(make("p", { text: say.explaining, kind: "quiet" }));
    try {
      const found = await ask("v1/explain", { body: { inputs: text, model: model.id, task, label } });
      const named = title(model.tasks.find((one) => one.name === task), label);
      place.replaceChildren(make("h3", { text: say.why(named) }), words(found), make("p", { text: say.whyNot, kind: "quiet" }));
    } catch (error) {
      place.replaceChildren();
      fault(error, $("fault"));
    }
  };
  button.addEventListener("click", explain);
  choice.addEventListener("change", explain);
  box.append(make("p", { kind: "row", children: [button, choice] }), place);
  return box;
}

// ---- tabs, settings, links ----

function open(name) {
  for (const tab of $("tabs").children) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
}

function fromLink() {
  const text = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B")).get("text");
  if (text === null || text === $("text").value) return;
  open("one");
  $("text").value = text;
  analyze();
}

const bulk = many({ $, state, ask, fault, title });

$("text").addEventListener("input", soon);
$("text").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) analyze(); });
$("tabs").addEventListener("click", (event) => { if (event.target.id) open(event.target.id.slice(4)); });
$("tabs").addEventListener("keydown", (event) => {
  const tabs = [...$("tabs").children];
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const to = event.key === "Home" ? 0 : event.key === "End" ? tabs.length - 1 : step && (tabs.indexOf(event.target) + step + tabs.length) % tabs.length;
  if (to === undefined || Number.isNaN(to)) return;
  event.preventDefault();
  open(tabs[to].id.slice(4));
  tabs[to].focus();
});
$("language").addEventListener("change", () => { remember("language", $("language").value); speak($("language").value); });
$("theme").addEventListener("change", () => { remember("theme", $("theme").value); dress($("theme").value); });
$("key").addEventListener("submit", (event) => { event.preventDefault(); setKey($("key-value").value.trim()); $("key").hidden = true; $("fault").textContent = ""; begin(); });
$("link").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    $("linked").textContent = state.say.linked;
  } catch { $("linked").textContent = state.say.linkedHere; }
});
window.addEventListener("hashchange", fromLink);
for (const example of EXAMPLES) {
  const button = make("button", { text: example, attributes: { type: "button", lang: /[а-яё]/i.test(example) ? "ru" : "zh" } });
  button.addEventListener("click", () => { $("text").value = example; analyze(); });
  $("examples").append(button);
}

async function begin() {
  try {
    state.models = (await ask("v1/models")).data;
    bulk.models();
    fromLink();
    if ($("text").value.trim()) analyze();
  } catch (error) { fault(error); }
}

dress(recall("theme"));
speak(recall("language") ?? navigator.language.slice(0, 2));
begin();
