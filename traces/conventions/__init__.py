"""How senders say things in attributes: names, dialects, messages. Pure."""
