// Asks a server as users' programs do: with Hugging Face's and OpenAI's own clients. Reads {url, text}; prints what they say.
import { readFileSync } from "node:fs";
import { InferenceClient } from "@huggingface/inference";
import OpenAI from "openai";

const { url, text } = JSON.parse(readFileSync(0, "utf8"));
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "key-of-the-tests", maxRetries: 0 });

const found = {
  root: await new InferenceClient("hf_key-of-the-tests").textClassification({ endpointUrl: url, inputs: text }),
  model: await new InferenceClient("hf_key-of-the-tests").textClassification({
    endpointUrl: `${url}/models/default:emotions-7`,
    inputs: text,
    parameters: { top_k: 2 },
  }),
  moderation: await openai.moderations.create({ input: [text] }),
  models: (await openai.models.list()).data.map((model) => model.id),
};
try {
  await openai.moderations.create({ input: text, model: "nothing" });
} catch (error) {
  found.refused = { status: error.status, name: error.constructor.name };
}
console.log(JSON.stringify(found));
