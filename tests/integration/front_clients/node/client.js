// The Vercel AI SDK against a front: FRONT_URL. Ends with 1 and a message where something is not as it should be.
import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, embedMany, generateText, streamText, tool } from "ai";
import { z } from "zod";

const base = `${process.env.FRONT_URL}/v1`;
const openai = createOpenAI({ baseURL: base, apiKey: "none" });
const anthropic = createAnthropic({ baseURL: base, apiKey: "none" });
const look = tool({ description: "Look at a place.", inputSchema: z.object({ place: z.string().optional() }) });

for (const [name, model] of [
  ["chat", openai.chat("small")],
  ["responses", openai.responses("small")],
  ["messages", anthropic("small")],
]) {
  const whole = await generateText({ model, prompt: `hello ${name}`, maxOutputTokens: 200, maxRetries: 0 });
  assert.ok(whole.text, name);
  assert.ok(whole.usage.outputTokens > 0, name);

  const stream = streamText({ model, prompt: `stream ${name}`, maxOutputTokens: 200, maxRetries: 0 });
  let text = "";
  for await (const part of stream.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") text += part.text;
  }
  assert.ok(text, name);
  assert.equal(await stream.finishReason, "stop", name);

  const used = await generateText({
    model,
    prompt: `look ${name}`,
    tools: { look },
    toolChoice: "required",
    maxOutputTokens: 200,
    maxRetries: 0,
  });
  assert.equal(used.toolCalls[0]?.toolName, "look", name);
}

const { embeddings } = await embedMany({ model: openai.embedding("small"), values: ["a", "b"], maxRetries: 0 });
assert.equal(embeddings.length, 2);

for (const model of [openai.chat("small"), anthropic("small")]) {
  const late = { "x-headrace-timeout": "nonsense" };
  await assert.rejects(
    generateText({ model, prompt: "?", headers: late, maxRetries: 0 }),
    (error) => APICallError.isInstance(error) && error.statusCode === 400 && !error.isRetryable && /seconds/.test(error.message),
  );
}
