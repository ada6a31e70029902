// What ottenok does around a model, for transformers.js: texts made comparable, long texts in windows, thresholds.
//
// `ottenok.json` of a bundle says the rules; this module follows them, so that a page or Node answers as Python does.
// Not done here: naming or removing emoji, and HTML entities beyond those of `ENTITIES`.

const UPPER = /\p{Uppercase}/u;
const LOWER = /\p{Lowercase}/u;
// White space as Python's str.split has it.
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACES = new RegExp(`[${SPACE}]+`, "gu");
const WORD = "\\p{L}\\p{N}_";
const PASSES = 8;

// ottenok/text/characters.py
const EMOJI =
  "\\u00a9\\u00ae\\u203c\\u2049\\u2122\\u2139\\u2190-\\u21ff\\u2300-\\u27bf\\u2900-\\u297f\\u2b00-\\u2bff\\u3030\\u303d" +
  "\\u3297\\u3299\\u{1f000}-\\u{1faff}";
const INVISIBLE = new RegExp(
  "[\\x00-\\x08\\x0e-\\x1b\\x7f-\\x84\\x86-\\x9f\\u00ad\\u034f\\u061c\\u17b4\\u17b5\\u180b-\\u180f\\u200b\\u200c\\u200e\\u200f" +
    "\\u202a-\\u202e\\u2060-\\u206f\\ufdd0-\\ufdef\\ufe00-\\ufe0d\\ufeff\\ufff0-\\ufffb\\ufffe\\uffff\\u{e0100}-\\u{e0fff}]",
  "gu",
);
const BLANK = /[\u115f\u1160\u2800\u3164\uffa0]/gu;
const TAGS = /(\u{1f3f4}[\u{e0020}-\u{e007e}]{1,16}\u{e007f})|[\u{e0000}-\u{e007f}]/gu;
const PRESENTATION = new RegExp(`(?<![${EMOJI}])(?<![0-9#*](?=\\ufe0f\\u20e3))[\\ufe0e\\ufe0f]`, "gu");
const JOINER = new RegExp(`(?<![${EMOJI}\\ufe0f])\\u200d|\\u200d(?![${EMOJI}])`, "gu");
const MARKS = /[\u0300-\u036f]+/gu;
const YO = /([ёЁ])[\u0300-\u036f]*/gu;
const WIDE = { letters: /[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]/gu, ascii: /[\uff01-\uff5e]/gu };

// ottenok/text/links.py
const ENTITY = /&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});/g;
const ENTITIES = {
  amp: "&", AMP: "&", lt: "<", LT: "<", gt: ">", GT: ">", quot: '"', QUOT: '"', apos: "'", nbsp: "\u00a0", shy: "\u00ad",
  laquo: "«", raquo: "»", ldquo: "“", rdquo: "”", lsquo: "‘", rsquo: "’", sbquo: "‚", bdquo: "„", mdash: "—", ndash: "–",
  hellip: "…", bull: "•", middot: "·", copy: "©", reg: "®", trade: "™", deg: "°", plusmn: "±", times: "×", euro: "€",
  pound: "£", yen: "¥", cent: "¢", sect: "§", para: "¶", hearts: "♥", rarr: "→", larr: "←", zwj: "\u200d", zwnj: "\u200c",
};
const WINDOWS_1252 =
  "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";
const IN_URL = "0-9A-Za-z\\u0400-\\u04ff_\\/=&#%+~$\\-";
const TAIL = `(?:[${IN_URL}.:?!,;'*@()]*[${IN_URL}])?`;
const URLS = new RegExp(
  `https?:\\/\\/${TAIL}…?` +
    `|(?<![${WORD}.@])www\\.(?=[${IN_URL}])${TAIL}` +
    "|(?<![A-Za-z0-9.@\\-])(?:[A-Za-z0-9\\-]{1,63}\\.){1,4}" +
    `(?:com|ru|net|org|cn|su|ua|by|kz|me|co|ly|be|gl|tv|cc|info|io)\\/${TAIL}`,
  "giu",
);
const ADDRESS = new RegExp(
  "(?<![A-Za-z0-9._%+\\-])[A-Za-z0-9][A-Za-z0-9._%+\\-]{0,63}" +
    "@(?:[A-Za-z0-9\\-]{1,63}\\.){1,4}[A-Za-z]{2,24}(?![A-Za-z0-9_%+\\-])" +
    "|\\[(?:id|club|public)[0-9]{1,12}\\|[^\\[\\]|]{0,100}\\]",
  "gu",
);
const USER = new RegExp(`(?<![${WORD}.@])(?:[@＠][${WORD}\\u0300-\\u036f\\-]+)+`, "gu");

const collapse = (text) => text.replace(SPACES, " ").replace(/^ | $/g, "");

function character(match) {
  const name = match.slice(1, -1);
  if (name[0] !== "#") return ENTITIES[name] ?? match;
  const number = /^#x/i.test(name) ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10);
  if (number >= 0x80 && number < 0xa0) return WINDOWS_1252[number - 0x80];
  if (number === 0 || number > 0x10ffff || (number >= 0xd800 && number < 0xe000)) return "\ufffd";
  return String.fromCodePoint(number);
}

function fold(text, options) {
  text = text.toWellFormed().replace(INVISIBLE, "").replace(BLANK, " ");
  text = text.replace(TAGS, "$1").replace(PRESENTATION, "").replace(JOINER, "");
  if (options.width !== "keep") {
    text = text.replace(WIDE[options.width], (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0));
  }
  text = text.normalize("NFC");
  if (options.marks === "drop") text = text.replace(MARKS, "").normalize("NFC");
  return options.yo === "e" ? text.replace(YO, (_, letter) => (letter === "ё" ? "е" : "Е")) : text;
}

function decode(text, options) {
  for (let pass = 0; pass < PASSES; pass++) {
    text = fold(text, options);
    if (options.entities === "keep") return text;
    const plain = text.replace(/&(?:amp;)+/gi, "&").replace(ENTITY, character);
    if (plain === text) return text;
    text = plain;
  }
  return fold(text.replaceAll("&", "& "), options);
}

function hide(text, options) {
  if (options.urls !== "keep") text = text.replace(URLS, options.urls === "replace" ? " http " : "  ");
  if (options.users === "keep") return text;
  const word = options.users === "replace" ? "@user" : "";
  return text.replace(ADDRESS, ` ${word} `).replace(USER, ` ${word}`);
}

/** Return a text as `ottenok.text.normalise` does; `options` are `text` of `ottenok.json`. */
export function normalise(text, options) {
  if (options.emoji !== "keep") throw new Error(`this model treats emoji (${options.emoji}), which only Python does`);
  text = collapse(decode(text, options));
  for (let pass = 0; pass < PASSES; pass++) {
    const hidden = collapse(hide(text, options));
    if (hidden === text) break;
    text = collapse(fold(hidden, options));
  }
  if (options.capitals !== "lower") return text;
  const letters = [...text];
  const upper = letters.filter((letter) => UPPER.test(letter)).length;
  const all = upper + letters.filter((letter) => LOWER.test(letter)).length;
  return all >= 8 && upper >= 0.8 * all ? collapse(fold(text.toLowerCase(), options)) : text;
}

/** Cut token ids (without special ones) into windows of at most `size`, neighbours sharing `overlap`. */
export function windows(ids, { size, overlap, read = "all" }) {
  if (read === "end") return ids.length ? [ids.slice(-size)] : [];
  const found = [];
  for (let start = 0; start < ids.length && (start === 0 || start + overlap < ids.length); start += size - overlap) {
    found.push(ids.slice(start, start + size));
  }
  return found;
}

const sigmoid = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
const differences = (above) => [1, ...above].map((share, place) => share - (above[place] ?? 0));
const ACTIVATIONS = {
  sigmoid: (logits) => logits.map(sigmoid),
  softmax: (logits) => {
    const powers = logits.map((x) => Math.exp(x - Math.max(...logits)));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  },
  corn: (logits) => {
    let share = 1;
    return differences(logits.map((x) => (share *= sigmoid(x))));
  },
  coral: (logits) => {
    let share = 1;
    return differences(logits.map((x) => (share = Math.min(share, sigmoid(x)))));
  },
};

/** Return the probabilities of one task, single precision; `task` is an entry of `tasks` of `ottenok.json`. */
export function probabilities(logits, { decision }) {
  const activation = ACTIVATIONS[decision.activation];
  if (!activation) throw new Error(`this model's ${decision.activation} is not done here`);
  return activation(Array.from(logits, (x) => x / decision.temperature)).map(Math.fround);
}

/** Return the answer of one task to its probabilities, as `TaskAnswer.to_json` of Python has it. */
export function decide(probs, { scheme, decision }) {
  const { labels, values } = scheme;
  const several = scheme.kind === "multi-label";
  const top = probs.indexOf(Math.max(...probs));
  let best = top;
  if (!several && decision.pick === "median") {
    const above = labels.map((_, rank) => probs.slice(rank).reduceRight((sum, share) => sum + share, 0));
    best = above.slice(1).filter((share) => share > 0.5).length;
  }
  const least = decision.thresholds.length ? decision.thresholds : labels.map(() => (several ? 0.5 : 0));
  const above = probs.map((share, n) => Math.fround(share - Math.fround(least[n])));
  let chosen = labels.filter((_, n) => above[n] >= 0 && (several || n === best));
  if (chosen.length > 1 && chosen.includes(decision.exclusive)) {
    const alone = labels[above.indexOf(Math.max(...above))] === decision.exclusive;
    chosen = chosen.filter((label) => (label === decision.exclusive) === alone);
  }
  if (!chosen.length && decision.empty !== "allow") chosen = [decision.empty === "top" ? labels[top] : decision.empty];
  const shares = Object.fromEntries(labels.map((label, n) => [label, probs[n]]));
  const label = chosen.reduce((first, next) => (first === null || shares[next] > shares[first] ? next : first), null);
  const sum = probs.reduce((a, b) => a + b, 0);
  const weights = sum > 0 ? probs : probs.map(() => 1);
  const polarity = values.length
    ? weights.reduce((a, share, n) => a + share * values[n], 0) / weights.reduce((a, b) => a + b, 0)
    : null;
  return { label, labels: chosen, confidence: label === null ? 0 : shares[label], probabilities: shares, polarity };
}

function weighted(rows, weights) {
  const total = weights.reduce((a, b) => a + b, 0);
  return rows[0].map((_, column) => rows.reduce((sum, row, n) => sum + row[column] * weights[n], 0) / total);
}

/** A classifier of ottenok on transformers.js. */
export class Classifier {
  /** Use `load`. */
  constructor(manifest, tokenizer, model, Tensor) {
    Object.assign(this, { manifest, tokenizer, model, Tensor });
    // What the tokenizer puts around a text, told from a text of one word.
    const [bare, whole] = [false, true].map((add_special_tokens) => this.ids("a", add_special_tokens));
    const before = whole.findIndex((_, n) => bare.every((id, k) => whole[n + k] === id));
    this.before = whole.slice(0, before);
    this.after = whole.slice(before + bare.length);
  }

  /**
   * Load a light bundle (`ottenok export MODEL --light FOLDER`).
   *
   * @param transformers The module `@huggingface/transformers`.
   * @param model Its name, as `pipeline` takes it.
   * @param manifest The object in its `ottenok.json`.
   * @param options More options of `from_pretrained`, such as `device` or `progress_callback`.
   */
  static async load(transformers, model, manifest, options = {}) {
    const tokenizer = await transformers.AutoTokenizer.from_pretrained(model, options);
    const network = await transformers.AutoModelForSequenceClassification.from_pretrained(model, options);
    return new Classifier(manifest, tokenizer, network, transformers.Tensor);
  }

  ids(text, add_special_tokens) {
    return this.tokenizer.encode(text, { add_special_tokens });
  }

  /** Return the logits of one window by the names of the graph's outputs. */
  async run(ids) {
    const tensor = (numbers) => new this.Tensor("int64", BigInt64Array.from(numbers, BigInt), [1, numbers.length]);
    return this.model.forward({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) });
  }

  /** Return the answer to one text, as `Prediction.to_json` of Python has it, but for `unknown`. */
  async classify(text, { max_windows = Infinity } = {}) {
    const { tasks, window, max_length, text: options } = this.manifest;
    const plain = normalise(text, options);
    const size = max_length - this.before.length - this.after.length;
    const all = plain ? windows(this.ids(plain, false), { size, overlap: window.overlap, read: window.read }) : [];
    const read = all.slice(0, max_windows);
    const truncated = read.length < all.length;
    const outputs = [];
    for (const ids of read) outputs.push(await this.run([...this.before, ...ids, ...this.after]));
    const weights = read.map((ids) => ids.length);
    const answers = {};
    for (const task of tasks) {
      const rows = outputs.map((found) => Array.from(found[task.output].data));
      const joined =
        window.combine === "mean-logits"
          ? () => probabilities(weighted(rows, weights), task)
          : () => weighted(rows.map((row) => probabilities(row, task)), weights).map(Math.fround);
      answers[task.name] = rows.length
        ? decide(joined(), task)
        : { label: null, labels: [], confidence: 0, polarity: null,
            probabilities: Object.fromEntries(task.scheme.labels.map((label) => [label, 0])) };
    }
    const first = answers[tasks[0].name];
    const reason = first.label !== null ? null : read.length ? "no label reaches its threshold" : "nothing to read";
    return { ...first, windows: read.length, truncated, reason, tasks: answers };
  }
}
