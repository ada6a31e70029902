// Bars, the dial and words: elements made one by one, so that a text is never read as markup.
const SVG = "http://www.w3.org/2000/svg";

export function make(name, { text, kind, attributes, children } = {}) {
  const found = document.createElement(name);
  if (text !== undefined) found.textContent = text;
  if (kind) found.className = kind;
  for (const [key, value] of Object.entries(attributes ?? {})) found.setAttribute(key, value);
  found.append(...(children ?? []));
  return found;
}

// A polarity as people write it: a real minus, and no minus before nothing.
export const signed = (value) => value.toFixed(2).replace(/^-(?=0\.00$)/, "").replace("-", "−");

export const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;

const tone = (value) => (value === undefined || value === null ? "" : value < -0.2 ? "bad" : value > 0.2 ? "good" : "mid");

// rows: [{label, share, chosen, threshold, value}], value being a label's place between -1 and 1.
export function bars(rows) {
  const list = make("dl", { kind: "bars" });
  for (const row of rows) {
    const bar = make("dd", { kind: "bar", attributes: { "aria-hidden": "true" } });
    const fill = make("span", { kind: tone(row.value) });
    fill.style.width = `${Math.max(0, Math.min(100, 100 * row.share))}%`;
    bar.append(fill);
    if (row.threshold !== undefined) {
      const mark = make("i");
      mark.style.left = `${100 * row.threshold}%`;
      bar.append(mark);
    }
    list.append(make("dt", { text: row.chosen ? `${row.label} ✓` : row.label, kind: row.chosen ? "chosen" : "" }), bar, make("dd", { text: row.shown ?? percent(row.share) }));
  }
  return list;
}

function shape(name, attributes, text) {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  if (text !== undefined) found.textContent = text;
  return found;
}

export function dial(polarity, title) {
  const point = (value, radius) => {
    const angle = Math.PI * (1 - (value + 1) / 2);
    return [80 + radius * Math.cos(angle), 82 - radius * Math.sin(angle)].map((number) => number.toFixed(1)).join(" ");
  };
  const arc = (from, to, kind) => shape("path", { class: kind, d: `M ${point(from, 66)} A 66 66 0 0 1 ${point(to, 66)}` });
  const shown = signed(polarity);
  const svg = shape("svg", { class: "dial", viewBox: "0 0 160 104", role: "img", "aria-label": `${title}: ${shown}` });
  const [x, y] = point(Math.max(-1, Math.min(1, polarity)), 52).split(" ");
  svg.append(
    arc(-1, -0.34, "n"), arc(-0.33, 0.33, "z"), arc(0.34, 1, "p"),
    shape("line", { x1: 80, y1: 82, x2: x, y2: y }), shape("circle", { cx: 80, cy: 82, r: 4 }),
    shape("text", { x: 8, y: 98 }, "−1"), shape("text", { x: 80, y: 101, "text-anchor": "middle", "font-weight": "bold" }, shown), shape("text", { x: 152, y: 98, "text-anchor": "end" }, "+1"),
  );
  return svg;
}

// Python counts characters as code points; the page must cut the text by them too.
export function words(explanation) {
  const letters = Array.from(explanation.text);
  const most = Math.max(1e-9, ...explanation.words.map((word) => Math.abs(word.share)));
  const box = make("p", { kind: "words", attributes: { dir: "auto" } });
  let at = 0;
  for (const word of explanation.words) {
    if (word.start > at) box.append(letters.slice(at, word.start).join(""));
    const weight = Math.abs(word.share) / most;
    const kind = weight < 0.08 ? "" : `${word.share > 0 ? "up" : "down"}${weight > 0.5 ? " strong" : ""}`;
    const share = `${word.share > 0 ? "+" : "−"}${Math.abs(word.share).toFixed(2)}`;
    const mark = make("mark", { text: letters.slice(word.start, word.end).join(""), kind, attributes: { title: share } });
    if (kind) mark.style.borderBottomWidth = `${Math.round(1 + 3 * weight)}px`;
    box.append(mark);
    at = word.end;
  }
  box.append(letters.slice(at).join(""));
  return box;
}
