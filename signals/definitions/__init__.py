"""What a version evaluates: choices, definition, diff, built-in templates, judge view. Imports no model."""
