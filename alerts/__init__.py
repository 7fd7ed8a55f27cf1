"""Alerts on labels and on agents' numbers, and the channels that deliver them."""
