// Mastra, with its exporter for OpenTelemetry.

// guide
import { openai } from "@ai-sdk/openai";
import { Agent } from "@mastra/core/agent";
import { Mastra } from "@mastra/core/mastra";
import { createTool } from "@mastra/core/tools";
import { Observability } from "@mastra/observability";
import { OtelExporter } from "@mastra/otel-exporter";
import { z } from "zod";

const findOrder = createTool({
  id: "find_order",
  description: "Find an order.",
  inputSchema: z.object({ order_id: z.string() }),
  execute: async () => "It arrives on Tuesday.",
});
const support = new Agent({
  id: "support",
  name: "support",
  instructions: "You help customers of a shop.",
  model: openai.chat("gpt-4o-mini"),
  tools: { find_order: findOrder },
});
const catalyst = {
  endpoint: `${process.env.CATALYST}/v1/traces`,
  headers: { Authorization: `Bearer ${process.env.KEY}` },
  protocol: "http/protobuf",
};
const exporter = new OtelExporter({ provider: { custom: catalyst } });
const mastra = new Mastra({
  agents: { support },
  observability: new Observability({ configs: { otel: { serviceName: "shop", exporters: [exporter] } } }),
});
await mastra.getAgent("support").generate("Where is order 1234?", {
  tracingOptions: { metadata: { sessionId: "chat-42", userId: "user-7" } },
});
await mastra.shutdown();
// end
