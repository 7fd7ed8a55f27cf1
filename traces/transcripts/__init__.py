"""From stored spans to what people and judges read: conversations, transcripts, the waterfall."""
