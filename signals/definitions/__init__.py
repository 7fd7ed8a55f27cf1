"""What a version asks: choices, definition, diff, built-in templates, what the judge sees. Knows no table."""
