// How do urgent requests overtake the others? Each class has a topic of its own.
//
//   npm ci && node priorities.js
import { open } from "./headrace.js";

const client = await open();
const ask = async (priority) => {
  const messages = [{ role: "user", content: `A question of class ${priority}` }];
  const answer = await client.ask({ model: "small", messages, max_tokens: 16 }, { priority });
  console.log(`${priority}: ${answer.status}, waited ${Math.round(answer.timing.queue_ms)} ms in the queue`);
};
try {
  await Promise.all(["high", "normal", "low"].map(ask));
} finally {
  await client.close();
}
