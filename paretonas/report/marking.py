"""Images with what a network sees in them: boxes with names and scores, or the class."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from PIL import Image, ImageDraw, ImageFont

COLOURS = ("#c0392b", "#2a6fb5", "#3d8b40", "#8e5ea2", "#b5651d", "#00848c")
FONT_SHARE = 0.03
"""Of the longer side of an image."""


def marked(image: Image.Image, seen: Mapping[str, Any]) -> Image.Image:
    """A copy with what was seen.

    Args:
        image: RGB.
        seen: `boxes`, each with `class`, `score` and `box` in pixels; or `class` and `probability`.
    """
    copy = image.copy()
    draw, size = ImageDraw.Draw(copy), max(10, round(FONT_SHARE * max(image.size)))
    font = ImageFont.load_default(size)
    if "boxes" not in seen:
        _tag(draw, (0, 0), f"{seen['class']} {100 * seen['probability']:.0f} %", COLOURS[0], font)
        return copy
    colours = dict(zip(sorted({box["class"] for box in seen["boxes"]}), cycle(COLOURS), strict=False))
    for box in reversed(seen["boxes"]):  # the likeliest on top
        left, top, right, bottom = box["box"]
        draw.rectangle((left, top, right, bottom), outline=colours[box["class"]], width=max(1, size // 8))
        _tag(draw, (left, max(0, top - size)), f"{box['class']} {box['score']:.2f}", colours[box["class"]], font)
    return copy


def _tag(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, colour: str, font: Any) -> None:
    draw.rectangle(draw.textbbox(at, text, font=font), fill=colour)
    draw.text(at, text, fill="white", font=font)
