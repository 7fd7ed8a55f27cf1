"""Keeps secrets out of logs."""

import logging
import re

_TOKEN_IN_PATH = re.compile(r"(/(?:login|invitations|mails/confirm|mails/stop)/)[^/\s]+")


class HideTokens(logging.Filter):
    """Hide the tokens of login links, invitations and links in mails in logged paths."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        hidden = _TOKEN_IN_PATH.sub(r"\1…", text)
        if hidden != text:
            record.msg, record.args = hidden, None
        return True
