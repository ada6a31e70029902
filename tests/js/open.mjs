// Standard input: {root, folders: [[folder, options]], text}. Standard output: for each the probabilities, or the error.
import { readFileSync } from "node:fs";
import { env, pipeline } from "@huggingface/transformers";

const given = JSON.parse(readFileSync(0, "utf-8"));
env.allowRemoteModels = false;
env.localModelPath = given.root;
console.warn = () => {};
const found = [];
for (const [folder, options] of given.folders) {
  try {
    const classify = await pipeline("text-classification", folder, { ...options, session_options: given.session });
    const rows = await classify(given.texts, { top_k: null });
    found.push(rows.map((row) => Object.fromEntries(row.map(({ label, score }) => [label, score]))));
  } catch (error) {
    found.push(error.message);
  }
}
console.log(JSON.stringify(found));
