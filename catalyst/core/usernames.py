"""Rules for the names of accounts."""

import re
from unicodedata import category, name

from django.core.exceptions import ValidationError

# Scripts that are written together (Unicode Technical Standard 39, highly restrictive).
_TOGETHER = (
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA"},
    {"LATIN", "CJK", "HANGUL"},
    {"LATIN", "CJK", "BOPOMOFO"},
)
_SAME = {"IDEOGRAPHIC": "CJK"}
_COMMON = {"MODIFIER"}


def check_scripts(username: str) -> None:
    """Raise ValidationError for letters that are not written together, such as a Cyrillic letter in a Latin name.

    Digits and punctuation belong to every script. A name in one script that looks like a name in another one is not
    detected.
    """
    scripts = {_script(letter) for letter in username if category(letter).startswith("L")} - _COMMON
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        mixed = " and ".join(sorted(script.capitalize() for script in scripts))
        raise ValidationError(f"Use letters of one alphabet. This name mixes {mixed}.", code="mixed_scripts")


def _script(letter: str) -> str:
    # The first word of the name of a letter is its script.
    word = re.split(r"[ -]", name(letter, ""))[0]
    return _SAME.get(word, word)
