// An agent run with one model call, as a user of the JavaScript SDK writes it.
import OpenAI from "openai";
import { agentSpan, setup } from "@inference/tracing";

const tracing = await setup({ modules: { openai: OpenAI } });
const client = new OpenAI({ maxRetries: 0 });
const identity = { agentId: "sdk-javascript", agentName: "JavaScript", sessionId: "sdk-js-1" };
await agentSpan(tracing.tracer, identity, async () => {
  await client.chat.completions.create({ model: "gpt-4o", messages: [{ role: "user", content: "Hello" }] });
});
await tracing.shutdown();
