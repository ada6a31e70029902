// The page: loads the model once, and answers in tables.
import * as transformers from "./vendor/transformers.min.js";
import { Classifier } from "./ottenok.mjs";

const [form, box, status, answer] = ["form", "textarea", "#status", "#answer"].map((name) => document.querySelector(name));
const { env } = transformers;
env.allowRemoteModels = false;
env.allowLocalModels = true;
env.useBrowserCache = false; // offline.js keeps everything
env.localModelPath = new URL("./", location.href).pathname;
env.backends.onnx.wasm.wasmPaths = new URL("vendor/", location.href).href;

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function table(name, task) {
  const rows = Object.entries(task.probabilities).map(([label, share]) => {
    const meter = element("meter");
    meter.value = share;
    const row = element("tr", element("th", label), element("td", meter), element("td", share.toFixed(3)));
    row.className = task.labels.includes(label) ? "chosen" : "";
    return row;
  });
  return element("section", element("h2", `${name}: ${task.labels.join(", ") || "none"}`), element("table", ...rows));
}

async function start() {
  const manifest = await (await fetch("model/ottenok.json")).json();
  const classifier = await Classifier.load(transformers, "model", manifest, { device: "wasm" });
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const found = await classifier.classify(box.value);
      answer.replaceChildren(...Object.entries(found.tasks).map(([name, task]) => table(name, task)));
      status.textContent = found.reason ?? `Read in ${found.windows} ${found.windows === 1 ? "piece" : "pieces"}.`;
    } finally {
      button.disabled = false;
    }
  });
  button.disabled = false;
  status.textContent = "Ready.";
}

// Keeps what was loaded, so that the page opens without a network too.
const kept = navigator.serviceWorker?.register("offline.js").then(() => navigator.serviceWorker.ready);
await kept?.catch(() => null);
start().catch((error) => {
  status.textContent = `The model can't be loaded: ${error.message}`;
});
