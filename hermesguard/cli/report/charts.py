"""Charts as SVG that needs nothing but itself: drawn by pygal, without its script."""

import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from xml.etree import ElementTree as ET

from hermesguard.cli.report.series import Chart
from hermesguard.clock import local
from hermesguard.config.units import about_size
from hermesguard.errors import GuardError

_SVG: Final = "http://www.w3.org/2000/svg"
_WIDTH, _HEIGHT = 960, 300
_COLOURS: Final = ("#3a86b8", "#e09f3e", "#c8403f", "#8f6bb8")  # seen on white and on black
_FONT: Final = "system-ui, sans-serif"
_LABELS: Final = 8
_MOST_STEPS: Final = 6


def svg(chart: Chart) -> str:
    """Return `chart` as an inline SVG element; GuardError when pygal, which draws it, is not installed."""
    try:
        import pygal
    except ImportError:
        raise GuardError(
            "The charts of the report are drawn by pygal, which is not installed",
            "Install it: pip install 'pygal>=3', or apt install python3-pygal",
        ) from None
    from pygal.style import Style

    # pygal hooks an importer of its own, of a kind that Python 3.12 no longer knows, into the interpreter; we need none of it.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != pygal.__name__]
    kind = pygal.StackedBar if chart.is_counted_between else pygal.StackedLine
    drawing = kind(
        js=[],
        disable_xml_declaration=True,
        width=_WIDTH,
        height=_HEIGHT,
        show_legend=len(chart.series) > 1,
        legend_at_bottom=True,
        legend_at_bottom_columns=len(chart.series),
        fill=not chart.is_counted_between,
        include_x_axis=True,
        show_minor_x_labels=False,
        x_labels_major_count=_LABELS,
        truncate_label=-1,
        truncate_legend=-1,
        dots_size=2,
        min_scale=2,
        max_scale=6,
        style=Style(
            colors=_COLOURS,
            background="transparent",
            plot_background="transparent",
            font_family=_FONT,
            label_font_size=12,
            major_label_font_size=12,
            legend_font_size=13,
            opacity=".75",
            guide_stroke_color="#8888",
            major_guide_stroke_color="#8888",
        ),
        value_formatter=about_size_of if chart.is_size else about_count_of,
    )
    format_tick = _tick_format(chart)
    drawing.x_labels = [format_tick(tick) for tick in chart.ticks]
    highest = max(map(sum, zip(*(series.values for series in chart.series), strict=True)), default=0)
    if not chart.is_size and highest <= _MOST_STEPS:  # there is nothing between two incidents
        drawing.y_labels = range(max(1, int(highest)) + 1)
    for series in chart.series:
        drawing.add(series.name, list(series.values))
    return _self_contained(drawing.render(is_unicode=True), chart.title)


def about_count_of(value: float) -> str:
    """Return a number of things; empty between two numbers."""
    return f"{value:,.0f}" if value == int(value) else ""


def about_size_of(value: float) -> str:
    """Return a size for an axis."""
    return about_size(int(value))


def _tick_format(chart: Chart) -> Callable[[datetime], str]:
    """Return what writes a tick as short as tells them all apart: of two that read the same, pygal shows both."""
    is_within_a_day = chart.ticks[-1] - chart.ticks[0] < timedelta(days=1)
    forms = ("%H:%M", "%H:%M:%S") if is_within_a_day else ("%Y-%m-%d", "%m-%d %H:%M", "%m-%d %H:%M:%S")
    form = next((form for form in forms if _tells_apart(form, chart.ticks)), forms[-1])
    return lambda tick: f"{local(tick):{form}}"


def _tells_apart(form: str, ticks: Sequence[datetime]) -> bool:
    return len({f"{local(tick):{form}}" for tick in ticks}) == len(ticks)


def _self_contained(drawn: str, title: str) -> str:
    """Return the drawing without script, comments and what only the script reads; each value as the browser's own tooltip."""
    ET.register_namespace("", _SVG)
    root: Any = ET.fromstring(drawn)
    for parent in list(root.iter()):
        if parent.get("id", "").startswith("activate-serie"):  # the same in each chart, for the script alone
            del parent.attrib["id"]
        values = [child.text or "" for child in parent if child.get("class") == "value"]
        labels = [child.text or "" for child in parent if child.get("class") == "x_label"]
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}script", f"{{{_SVG}}}desc") or "tooltip" in child.get("class", ""):
                is_mark = child.tag in (f"{{{_SVG}}}circle", f"{{{_SVG}}}rect")
                if not is_mark:
                    parent.remove(child)
        if values:
            tip = ET.SubElement(parent, f"{{{_SVG}}}title")
            tip.text = " ".join([*labels, values[0]])
    for child in list(root):
        if child.tag == f"{{{_SVG}}}title":
            child.text = title
    root.set("role", "img")
    return re.sub(r"\s*\n\s*", " ", ET.tostring(root, encoding="unicode"))
