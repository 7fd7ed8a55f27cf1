"""The chart of a message as a picture."""

from io import BytesIO

from PIL import Image, ImageColor

from alerts.channels import pictures
from catalyst.notifications import Curve


def drawn(curve: Curve) -> Image.Image:
    with Image.open(BytesIO(pictures.draw(curve))) as picture:
        return picture.convert("RGB")


def columns(picture: Image.Image, color: str) -> set[int]:
    """The columns that have a pixel of this color."""
    wanted = ImageColor.getrgb(color)
    width, height = picture.size
    return {x for x in range(width) for y in range(height) if picture.getpixel((x, y)) == wanted}


def test_it_draws_the_values_with_their_gaps() -> None:
    picture = drawn(Curve(title="Share", points=(0.1, 0.2, None, None, None, 0.3)))
    inked = columns(picture, pictures.INK)
    width = pictures.WIDTH
    assert width * 0.1 in inked or round(width * 0.1) in inked
    assert not inked & set(range(round(width * 0.3), round(width * 0.9)))
    assert max(inked) > width * 0.95
    assert not columns(picture, pictures.LIMIT)


def test_it_draws_the_threshold_across() -> None:
    picture = drawn(Curve(title="Share", points=(0.1, 0.2), threshold=0.5))
    limit = columns(picture, pictures.LIMIT)
    assert min(limit) < 20
    assert max(limit) > pictures.WIDTH - 40


def test_it_draws_nothing_known() -> None:
    picture = drawn(Curve(title="Share", points=(None, None)))
    assert not columns(picture, pictures.INK)


def test_it_draws_falls_below_zero() -> None:
    assert columns(drawn(Curve(title="Change", points=(-50.0, 0.0, 120.0), threshold=-20.0)), pictures.INK)
