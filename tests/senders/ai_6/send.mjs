// Vercel's AI SDK 5 and 6, with their own spans.

// guide
import { openai } from "@ai-sdk/openai";
import { NodeSDK } from "@opentelemetry/sdk-node";
import { generateText, stepCountIs, tool } from "ai";
import { z } from "zod";

const sdk = new NodeSDK();
sdk.start();

const findOrder = tool({
  inputSchema: z.object({ order_id: z.string() }),
  execute: async () => "It arrives on Tuesday.",
});
await generateText({
  model: openai.chat("gpt-4o-mini"),
  system: "You help customers of a shop.",
  prompt: "Where is order 1234?",
  tools: { find_order: findOrder },
  stopWhen: stepCountIs(3),
  experimental_telemetry: {
    isEnabled: true,
    functionId: "support",
    metadata: { sessionId: "chat-42", userId: "user-7" },
  },
});
await sdk.shutdown();
// end
