"""An app that adds one entry of each kind to the registry, and edits no file of another app."""
