"""Real SDKs and frameworks that send spans: what they sent, and what a person who uses them expects to read."""
