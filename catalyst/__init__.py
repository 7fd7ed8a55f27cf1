"""The site: settings, wiring, and the small library that everything may use."""

__version__ = "0.1.0"
