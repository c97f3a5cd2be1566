// How do I ask a question and await its answer?
//
//   npm ci && node ask.js "What is a headrace?"
import { open } from "./headrace.js";

const content = process.argv.slice(2).join(" ") || "What is a headrace?";
const client = await open();
try {
  const answer = await client.ask({ model: "small", messages: [{ role: "user", content }], max_tokens: 64 });
  if (answer.status !== "ok") throw new Error(`${answer.status}: ${answer.error.type}: ${answer.error.message}`);
  console.log(answer.payload.choices[0].message.content);
} finally {
  await client.close();
}
