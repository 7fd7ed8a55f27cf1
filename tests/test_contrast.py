"""Marks of charts stand out from what is behind them, in light and dark."""

import re
from pathlib import Path

import pytest

TOKENS = Path("static/css/tokens.css").read_text()
MARKS = re.findall(
    r"--((?:[a-z]+-fill)|series|neutral|accent|cat-[1-6]): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", TOKENS
)
SURFACES = dict(re.findall(r"--(bg|bg-raised|bg-sunken): light-dark\(([^)]+)\)", TOKENS))
MIN_CONTRAST = 3  # WCAG 2.2, 1.4.11
MIN_TEXT_CONTRAST = 4.5  # 1.4.3


def luminance(color: str) -> float:
    channels = (int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("name", "light", "dark"), MARKS)
def test_a_mark_stands_out_from_every_surface(name: str, light: str, dark: str) -> None:
    for surface in SURFACES.values():
        on_light, on_dark = surface.split(", ")
        assert contrast(light, on_light) >= MIN_CONTRAST, (name, surface)
        assert contrast(dark, on_dark) >= MIN_CONTRAST, (name, surface)


def test_it_looks_at_every_mark() -> None:
    assert len(MARKS) == 13
    assert len(SURFACES) == 3


@pytest.mark.parametrize(("name", "light", "dark"), [mark for mark in MARKS if mark[0].startswith("cat-")])
def test_the_words_of_a_neutral_label_stand_out_from_its_ground(name: str, light: str, dark: str) -> None:
    css = Path("static/css/marks.css").read_text()
    ((ground, words),) = re.findall(
        r"\.pill\[class\*=\"cat-\"\] \{ background: color-mix\(in srgb, var\(--tone\) (\d+)%, var\(--bg\)\); "
        r"color: color-mix\(in srgb, var\(--tone\) (\d+)%, var\(--text\)\)",
        css,
    )
    texts = re.search(r"--text: light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", TOKENS)
    assert texts
    for tone, surface, text in zip((light, dark), SURFACES["bg"].split(", "), texts.groups(), strict=True):
        assert contrast(mixed(tone, text, int(words)), mixed(tone, surface, int(ground))) >= MIN_TEXT_CONTRAST, name


def mixed(first: str, second: str, percent: int) -> str:
    """The color that color-mix(in srgb) gives."""
    pairs = ((int(first[at : at + 2], 16), int(second[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round((one * percent + other * (100 - percent)) / 100):02x}" for one, other in pairs)
