"""A real Chromium that looks at the page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.helpers.page_stand_in import KEY, StandIn

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
# The browser says so of each answer that is an error; which are meant, the tests know.
_MEANT: Final = "Failed to load resource"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Return the system's Chromium, started; AssertionError when there is none."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    assert program, "there is no Chromium: script/setup --tests installs it (apt-get install chromium)"
    # Its sandbox wants a user of its own, which root in a container cannot give it.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


class Visitor:
    """Opens pages, and notes what goes wrong in them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.faults: list[str] = []

    def open(
        self, url: str, *, width: int = 1280, height: int = 800, waits_for: str = "h1", **options: Any
    ) -> Page:
        """Return the page at a URL, signed in, once it shows an element."""
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, locale="en-GB", timezone_id="UTC", **options
        )
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        context.add_init_script(
            f"if (location.protocol === 'http:' && !sessionStorage.out) localStorage.setItem('hermesguard.key', '{KEY}')"
        )
        page = context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"{error}"))
        page.on(
            "console",
            lambda said: (
                self.faults.append(said.text)
                if said.type == "error" and not said.text.startswith(_MEANT)
                else None
            ),
        )
        page.goto(url)
        page.locator(waits_for).first.wait_for()
        return page

    def see(self, stand_in: StandIn, place: str = "", **options: Any) -> Page:
        """Return the page of its own, at `place`: `conversation?session=...`."""
        return self.open(f"{stand_in.url}#{place}", **options)

    def close(self) -> None:
        """Close what was opened."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()


def sideways(page: Page) -> int:
    """Return by how many pixels the page, or anything in it that should not, is wider than the window."""
    return int(
        page.evaluate(
            """() => {
              const root = document.querySelector("hermesguard-page, .hermesguard-page").shadowRoot;
              const wide = [document.documentElement, ...root.querySelectorAll("*")].filter((one) => {
                const style = one instanceof HTMLElement ? getComputedStyle(one) : null;
                return style && style.display !== "inline" && !one.closest(".reader-only");
              });
              return Math.max(...wide.map((one) => one.scrollWidth - one.clientWidth), 0);
            }"""
        )
    )
