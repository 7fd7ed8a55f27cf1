// Vercel's AI SDK 7, with its own spans.

// guide
import { OpenTelemetry } from "@ai-sdk/otel";
import { openai } from "@ai-sdk/openai";
import { trace } from "@opentelemetry/api";
import { NodeSDK } from "@opentelemetry/sdk-node";
import { generateText, isStepCount, registerTelemetry, tool } from "ai";
import { z } from "zod";

const sdk = new NodeSDK();
sdk.start();
registerTelemetry(new OpenTelemetry());

const findOrder = tool({
  inputSchema: z.object({ order_id: z.string() }),
  execute: async () => "It arrives on Tuesday.",
});
const identity = { "session.id": "chat-42", "user.id": "user-7" };
await trace.getTracer("shop").startActiveSpan("answer", { attributes: identity }, async (span) => {
  await generateText({
    model: openai.chat("gpt-4o-mini"),
    instructions: "You help customers of a shop.",
    prompt: "Where is order 1234?",
    tools: { find_order: findOrder },
    stopWhen: isStepCount(3),
    telemetry: { functionId: "support" },
  });
  span.end();
});
await sdk.shutdown();
// end
