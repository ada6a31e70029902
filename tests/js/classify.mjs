// Standard input: {root, model, texts, long}. Standard output: what the stock pipeline and the module of rules answer.
import { readFileSync } from "node:fs";
import * as transformers from "@huggingface/transformers";
import { Classifier, decide, normalise, probabilities, windows } from "../../examples/browser/ottenok.mjs";

const given = JSON.parse(readFileSync(0, "utf-8"));
const { env, pipeline } = transformers;
env.allowRemoteModels = false;
env.localModelPath = given.root;
const options = { session_options: given.session };
const stock = await pipeline("text-classification", given.model, options);
const manifest = JSON.parse(readFileSync(`${given.root}/${given.model}/ottenok.json`, "utf-8"));
const ours = await Classifier.load(transformers, given.model, manifest, options);
const answers = [];
for (const text of given.long) answers.push(await ours.classify(text));
console.log(
  JSON.stringify({
    pipeline: await stock(given.texts, { top_k: null }),
    answers,
    normalised: given.odd.map(([text, rules]) => normalise(text, rules)),
    windows: given.cuts.map(([count, rules]) => windows([...Array(count).keys()], rules)),
    decisions: given.decisions.map(([logits, task]) => decide(probabilities(logits, task), task)),
  }),
);
