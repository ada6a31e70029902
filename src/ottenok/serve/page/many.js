// Many texts: a file that the server's readers turn into rows, or pasted lines; a table, charts and downloads.
import { bars, make, percent, signed } from "./draw.js";

const AT_ONCE = 256; // texts of a request
const SHOWN = 200; // rows of the table

const quoted = (value) => {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

export function many({ $, state, ask, fault, title }) {
  // table: what was read of a file; work: the rows that were classified.
  let table = null;
  let work = null;
  let running = null;

  const model = () => state.models.find((one) => one.id === $("model").value) ?? state.models[0];

  function models() {
    $("model").replaceChildren(...state.models.map((one) => make("option", { text: one.title, attributes: { value: one.id } })));
    $("model-label").hidden = state.models.length < 2;
  }

  async function take(file) {
    if (!file) return;
    $("trouble").textContent = "";
    $("state").textContent = state.say.reading;
    try {
      table = await ask(`v1/table?name=${encodeURIComponent(file.name)}`, { bytes: file });
      table.name = file.name;
      $("column").replaceChildren(...table.columns.map((name, at) => make("option", { text: name, attributes: { value: at } })));
      $("column").value = table.text_column ?? 0;
      $("column-label").hidden = table.columns.length < 2;
      $("state").textContent = "";
      $("lines").value = "";
      told();
      $("go").focus();
    } catch (error) {
      table = null;
      $("state").textContent = "";
      fault(error, $("trouble"));
    }
  }

  function told() {
    const say = state.say;
    $("notes").textContent = table
      ? [say.read(table.rows.length, table.name), table.rejected ? say.rejected(table.rejected) : "", table.cut ? say.cut(table.rows.length) : "", ...table.notes].filter(Boolean).join(" ")
      : "";
  }

  async function go() {
    const say = state.say;
    $("trouble").textContent = "";
    if (!model()) return;
    const pasted = $("lines").value.split(/\r?\n/).filter((line) => line.trim());
    if (pasted.length) { table = null; told(); $("column-label").hidden = true; }
    const at = Number($("column").value);
    const texts = table ? table.rows.map((row) => row[at]) : pasted;
    if (!texts.length) { $("state").textContent = table ? say.nocolumn : say.none; return; }
    work = { model: model(), columns: table ? table.columns : [say.text], rows: table ? table.rows : texts.map((text) => [text]), at: table ? at : 0, texts, answers: new Array(texts.length).fill(null), started: performance.now() };
    const { signal } = (running = new AbortController());
    $("go").disabled = true;
    $("stop").hidden = $("going").hidden = false;
    $("state").textContent = "";
    let done = 0;
    let next = 0;
    const busy = () => { $("rate").textContent = state.say.busy; };
    // Two requests are under way at once, so that the server always has one to go on with.
    const worker = async () => {
      while (next < texts.length && !signal.aborted) {
        const from = next;
        next = Math.min(texts.length, from + AT_ONCE);
        const part = texts.slice(from, next).map((text) => text ?? "");
        const { results } = await ask("v1/analyze", { body: { inputs: part, model: work.model.id }, signal, busy });
        results.forEach((answer, k) => { work.answers[from + k] = answer; });
        done += part.length;
        const seconds = (performance.now() - work.started) / 1000;
        $("done").value = done / texts.length;
        $("rate").textContent = state.say.rate(done, texts.length, Math.round(done / seconds), Math.ceil(((texts.length - done) * seconds) / done));
      }
    };
    try {
      await Promise.all([worker(), worker()]);
      work.seconds = (performance.now() - work.started) / 1000;
    } catch (error) {
      running.abort();
      fault(error, $("trouble"));
    }
    $("go").disabled = false;
    $("stop").hidden = $("going").hidden = true;
    show();
  }

  // Names of the answer's columns, as `ottenok classify` has them.
  function columns() {
    const found = [];
    work.model.tasks.forEach((task, k) => {
      const prefix = k ? `${task.name}:` : "";
      const of = (answer) => answer.tasks?.[task.name] ?? answer;
      found.push([`${prefix}label`, (answer) => (task.multi_label ? of(answer).labels.join("; ") : of(answer).label)]);
      found.push([`${prefix}confidence`, (answer) => (of(answer).label === null ? null : of(answer).confidence.toFixed(4))]);
      if (task.polarity) found.push([`${prefix}polarity`, (answer) => of(answer).polarity?.toFixed(4)]);
    });
    return found;
  }

  function show() {
    if (!work) return;
    const say = state.say;
    const got = work.answers.filter(Boolean);
    $("state").textContent = work.seconds === undefined ? say.stopped(got.length) : say.finished(got.length, work.seconds.toFixed(1));
    const head = make("tr", { children: [make("th", { text: say.text, attributes: { scope: "col" } })] });
    for (const task of work.model.tasks) head.append(make("th", { text: task.name, attributes: { scope: "col" } }));
    head.append(make("th", { text: say.confidence, attributes: { scope: "col" } }));
    const rows = [];
    for (let k = 0; k < work.texts.length && rows.length < SHOWN; k += 1) {
      const answer = work.answers[k];
      if (!answer) continue;
      const row = make("tr", { children: [make("td", { text: (work.texts[k] ?? "").slice(0, 400), kind: "t", attributes: { dir: "auto" } })] });
      for (const task of work.model.tasks) {
        const own = answer.tasks?.[task.name] ?? answer;
        row.append(make("td", { text: own.labels.map((label) => title(task, label)).join(", ") || say.why[own.reason] || answer.reason || say.missing }));
      }
      row.append(make("td", { text: answer.label === null ? "" : percent(answer.confidence), kind: "n" }));
      rows.push(row);
    }
    $("table").replaceChildren(make("table", { children: [make("thead", { children: [head] }), make("tbody", { children: rows })] }));
    $("table").hidden = $("downloads").hidden = !got.length;
    $("more").textContent = got.length > rows.length ? say.shown(rows.length, got.length) : "";
    $("charts").replaceChildren(...(got.length ? work.model.tasks.map((task) => chart(task, got)) : []));
  }

  function chart(task, answers) {
    const say = state.say;
    const counts = new Map([...task.labels, null].map((label) => [label, 0]));
    let sum = 0;
    let with_ = 0;
    for (const answer of answers) {
      const own = answer.tasks?.[task.name] ?? answer;
      if (!own.labels.length) counts.set(null, counts.get(null) + 1);
      for (const label of own.labels) counts.set(label, counts.get(label) + 1);
      if (own.polarity !== null && own.label !== null) { sum += own.polarity; with_ += 1; }
    }
    const rows = [...counts].filter(([label, count]) => label !== null || count).map(([label, count]) => ({
      label: label === null ? say.missing : title(task, label), share: count / answers.length, value: label === null ? undefined : task.polarity?.[label],
      shown: `${count}`,
    }));
    const box = make("article", { kind: "answer", children: [make("h2", { text: say.shares(task.name) }), bars(rows)] });
    if (with_) box.append(make("p", { text: say.mean(signed(sum / with_)), kind: "quiet" }));
    return box;
  }

  function download(name, type, parts) {
    const link = make("a", { attributes: { download: name, href: URL.createObjectURL(new Blob(parts, { type })) } });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  $("csv").addEventListener("click", () => {
    const extra = columns();
    const lines = [[...work.columns, ...extra.map(([name]) => name)]];
    work.rows.forEach((row, k) => {
      const answer = work.answers[k];
      if (answer) lines.push([...row, ...extra.map(([, value]) => value(answer))]);
    });
    // The mark at the start tells spreadsheets that this is UTF-8.
    download("labelled.csv", "text/csv", ["\ufeff", lines.map((line) => line.map(quoted).join(",")).join("\r\n"), "\r\n"]);
  });
  $("json").addEventListener("click", () => {
    const lines = [];
    work.texts.forEach((text, k) => { if (work.answers[k]) lines.push(`${JSON.stringify({ text, ...work.answers[k] })}\n`); });
    download("labelled.jsonl", "application/x-ndjson", lines);
  });
  $("go").addEventListener("click", go);
  $("stop").addEventListener("click", () => running?.abort());
  $("file").addEventListener("change", () => take($("file").files[0]));
  $("lines").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) go(); });
  const drop = $("drop");
  // A file that is dropped beside the field must not take the browser away from the page.
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { drop.classList.remove("over"); take(event.dataTransfer.files[0]); });

  return { models, spoken: () => { told(); if (work && !$("go").disabled) show(); } };
}
