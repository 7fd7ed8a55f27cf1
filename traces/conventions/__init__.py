"""Conventions of senders: attribute names, message dialects."""
