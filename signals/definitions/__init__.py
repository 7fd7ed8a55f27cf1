"""The definition of a version: choices, diff, built-in templates, judge view. Imports no model."""
