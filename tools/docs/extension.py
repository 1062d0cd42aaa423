"""The page in the extension of hermes-webui: the same modules as in the page's own home, but for what only that one needs.

`python -m tools.docs.extension` copies them; a test holds both equal.
"""

import shutil
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "hermesguard" / "page" / "assets"
COPY: Final = ROOT / "packaging" / "webui-extension" / "hermesguard" / "assets" / "page"
# The frame of the page of its own, its key and its address.
_OWN_ONLY: Final = frozenset({"index.html", "frame.css", "main.js", "open.js", "icon.svg"})


def wanted() -> dict[str, bytes]:
    """Return the files that the extension carries of the page, by name."""
    return {file.name: file.read_bytes() for file in sorted(PAGE.iterdir()) if file.name not in _OWN_ONLY}


def main() -> None:
    """Copy the page into the extension."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name, data in wanted().items():
        (COPY / name).write_bytes(data)


if __name__ == "__main__":
    main()
