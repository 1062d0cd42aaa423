"""docs/demo.svg, a picture of the demo: `python -m tools.docs.picture` plays the demo on a terminal and draws what it prints."""

import os
import pty
import re
import struct
import sys
import termios
from fcntl import ioctl
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PICTURE: Final = Path(__file__).parents[2] / "docs" / "demo.svg"
COLUMNS: Final = 80
TITLE: Final = "script/demo"

_THEME: Final = TerminalTheme(
    (24, 26, 31),
    (214, 217, 222),
    [
        (40, 42, 48),
        (255, 121, 112),
        (126, 211, 137),
        (229, 192, 123),
        (110, 168, 254),
        (198, 146, 233),
        (95, 200, 207),
        (214, 217, 222),
    ],
)
# Without the fonts that the usual form would load from a network: a picture in a page may load nothing.
_FORM: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>What the demo of hermesguard prints</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
  <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def played() -> str:
    """Return what the demo prints on a terminal of 80 columns, colours included. Raises RuntimeError when it fails."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.environ.pop("NO_COLOR", None)
        os.execv(sys.executable, [sys.executable, "-m", "hermesguard", "demo"])
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    printed = b""
    while part := _read(terminal):
        printed += part
    _, status = os.waitpid(pid, 0)
    text = printed.decode().replace("\r\n", "\n")
    if status:
        raise RuntimeError(f"the demo failed:\n{text}")
    return text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how the end of a terminal is told
        return b""


def drawn(printed: str) -> str:
    """Return what a terminal would show as an SVG image that loads nothing."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(
            record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor"
        )
        console.print(Text.from_ansi(printed.rstrip("\n")), soft_wrap=False)
        picture = console.export_svg(title=TITLE, theme=_THEME, code_format=_FORM, unique_id="demo")
    return re.sub(r"[ \t]+$", "", picture, flags=re.MULTILINE)


def main() -> None:
    PICTURE.write_text(drawn(played()), encoding="utf-8")


if __name__ == "__main__":
    main()
