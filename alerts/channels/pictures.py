"""The small chart of a message as a picture."""

from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

from catalyst.notifications import Curve

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

# Pixels. Mails show it at half of that, so that it is sharp on dense screens.
WIDTH, HEIGHT, MARGIN = 1040, 160, 8
LINE, DASH = 4, 12
PAPER, INK, LIMIT = "#ffffff", "#1565c0", "#c62828"


type Place = tuple[float, float]


def draw(curve: Curve) -> bytes:
    """A PNG of the curve, with gaps where it is unknown and a dashed line at the threshold."""
    # Most processes never draw, and it takes some megabytes.
    from PIL import Image, ImageDraw  # noqa: PLC0415

    picture = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    pen = ImageDraw.Draw(picture)
    known = [value for value in (*curve.points, curve.threshold, 0.0) if value is not None]
    heights = _heights(min(known), max(known))
    step = (WIDTH - 2 * MARGIN) / max(len(curve.points) - 1, 1)
    places = [None if value is None else (MARGIN + at * step, heights(value)) for at, value in enumerate(curve.points)]
    _draw_line(pen, places)
    if curve.threshold is not None:
        _draw_limit(pen, heights(curve.threshold))
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _heights(low: float, high: float) -> Callable[[float], float]:
    """From values to pixels from the top."""
    spread = (high - low) or 1.0
    return lambda value: HEIGHT - MARGIN - (value - low) / spread * (HEIGHT - 2 * MARGIN)


def _draw_line(pen: "ImageDraw", places: Sequence[Place | None]) -> None:
    for place in filter(None, places):
        pen.circle(place, LINE / 2, fill=INK)
    for first, second in pairwise(places):
        if first and second:
            pen.line([first, second], fill=INK, width=LINE)


def _draw_limit(pen: "ImageDraw", y: float) -> None:
    for x in range(MARGIN, WIDTH - MARGIN, 2 * DASH):
        pen.line([(x, y), (x + DASH, y)], fill=LIMIT, width=LINE // 2)
