"""Schedules from the definition to the report: written, fired when they are due, told of when there is news."""
