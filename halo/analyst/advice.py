"""What to do about a failure, by the words of its type and message."""

import re

_TIME = "Give the call a longer time limit, or retry it once after a pause, and tell the model what to do without it."
_RATE = "Retry with growing pauses, and spread the load or ask the provider for a higher limit."
_ACCESS = "Check the key and the permissions of the service account, and when they expire."
_LENGTH = "Shorten what is sent: cut results of tools, or summarize the history before the limit of the model."
_FORMAT = (
    "Validate what the model returns, and send the error back to it once. Ask for the format by a schema if you can."
)
_SERVICE = "Retry after a pause, and check the service behind it. If it is often down, fall back to another one."
_ARGUMENT = "Check the arguments before the call, and return an error that tells the model which values are valid."
_CODE = "Fix the code: the cited spans have the arguments that it fails with. Add a test with them."
_ANY = "Open the cited spans, and handle this failure where it begins: retry it, or tell the model what to do instead."

# The first that fits.
_BY_WORDS = tuple(
    (re.compile(words, re.IGNORECASE), advice)
    for words, advice in (
        (r"time[ds]?[ _-]?out|deadline", _TIME),
        (r"rate.?limit|\b429\b|too many requests|quota", _RATE),
        (r"\b40[13]\b|authent|authoriz|permission|forbidden|denied|api.?key|token expired", _ACCESS),
        (r"context.?length|maximum context|too many tokens|too long", _LENGTH),
        (r"json|pars(?:e|ing)|decod|schema|validation|unexpected token", _FORMAT),
        (r"connect|refused|reset|unreachable|\bdns\b|\bssl|broken pipe|\b50[0234]\b|unavailable|overloaded", _SERVICE),
        (r"typeerror|attributeerror|valueerror|indexerror|nameerror|assert|zerodivision", _CODE),
        (r"not.?found|\b404\b|no such|does not exist|unknown|invalid|missing|keyerror|not available", _ARGUMENT),
    )
)


def advice(failure: str) -> str:
    """A suggestion for a failure with this type and message."""
    return next((advice for words, advice in _BY_WORDS if words.search(failure)), _ANY)
