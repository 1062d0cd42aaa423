"""The picture of the README shows what the demo prints, and loads nothing."""

import inspect
import re
import xml.etree.ElementTree as ET

from hermesguard.demo.story import Story
from tools.docs import picture

NAMESPACE = "{http://www.w3.org/2000/svg}"


def text_of(svg: str) -> list[str]:
    """The lines of a picture, from top to bottom."""
    lines: dict[float, str] = {}
    for element in ET.fromstring(svg).iter(f"{NAMESPACE}text"):
        if element.get("clip-path"):
            height = float(element.attrib["y"])
            lines[height] = lines.get(height, "") + (element.text or "")
    return [lines[height].replace("\xa0", " ").rstrip() for height in sorted(lines)]


def test_a_picture_is_drawn_from_what_a_terminal_shows() -> None:
    drawn = picture.drawn("\x1b[1m1. A <step>\x1b[0m\n   the app    does it\n")
    assert text_of(drawn) == ["1. A <step>", "   the app    does it"]
    assert drawn == picture.drawn("\x1b[1m1. A <step>\x1b[0m\n   the app    does it\n")


def test_the_picture_shows_every_step_of_the_story_and_a_good_end() -> None:
    lines = text_of(picture.PICTURE.read_text("utf-8"))
    shown = [line for line in lines if re.match(r"\d+\. ", line)]
    steps = re.findall(r"\.step\(\s*f?['\"]([^'\"{]+)", inspect.getsource(Story))
    assert len(steps) == len(shown), "draw it anew: python -m tools.docs.picture"
    for number, (line, step) in enumerate(zip(shown, steps, strict=True), 1):
        assert line.startswith(f"{number}. {step}"[: picture.COLUMNS // 2])
    assert any(line.startswith("Every message is there") for line in lines)


def test_the_picture_loads_nothing() -> None:
    svg = picture.PICTURE.read_text("utf-8")
    assert re.findall(r"https?://[^\"]+", svg) == [NAMESPACE.strip("{}")]
    assert not re.search(r"<script|<image|@import|@font-face|url\((?!#)", svg)
