"""How severe a finding is."""

from halo.choices import Severity

# Of all runs: those that fail because of it, or what it wastes of all time, tokens or dollars.
CRITICAL_FAILED, HIGH_FAILED, MEDIUM_FAILED = 0.10, 0.03, 0.01
HIGH_WASTED, MEDIUM_WASTED = 0.15, 0.05
# A run that goes on after an error counts as this much of one that fails.
RECOVERED_WEIGHT = 0.3


def severity_of(failed: float = 0.0, wasted: float = 0.0) -> Severity:
    """Of two shares from 0 to 1: of runs that fail, where recovered ones count less, and of what is wasted."""
    if failed > CRITICAL_FAILED:
        return Severity.CRITICAL
    if failed > HIGH_FAILED or wasted > HIGH_WASTED:
        return Severity.HIGH
    if failed > MEDIUM_FAILED or wasted > MEDIUM_WASTED:
        return Severity.MEDIUM
    return Severity.LOW
