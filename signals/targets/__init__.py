"""From settled traffic to queued labels."""
