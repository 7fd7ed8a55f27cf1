"""Kinds of channels: how a message becomes what a service takes, and what its answer means.

Pure of models: a kind gets settings, secrets and a notice. `kinds.KINDS` has all of them.
"""
