"""Runs from the request to the report: asked for, claimed, worked on, stored."""
