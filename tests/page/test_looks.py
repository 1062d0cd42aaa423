"""What it looks like: every width, enlarged, light and dark, nothing cut, nothing that axe finds."""

from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.helpers.page_browser import Visitor, sideways
from tests.helpers.page_stand_in import StandIn
from tests.helpers.page_world import ARABIC, CHINESE, LONG_TITLE

PLACES: Final = {
    "now": ".side .message",
    "conversations": ".row",
    "found": ".row",
    "search?words=part": ".row",
    "conversation?session=wiped0000001&incident=17": ".transcript .message",
    "conversation?session=hostile00001": ".transcript .message",
    "conversation?session=longtitle001": ".transcript .message",
    "conversation?session=arabic000001": ".transcript .message",
}


def go(page: Page, server: StandIn, place: str) -> None:
    page.goto(f"{server.url}#{place}")
    page.locator(PLACES[place]).first.wait_for()


@pytest.mark.parametrize(("width", "height"), [(360, 640), (420, 860), (1280, 800), (2000, 1200)])
def test_nothing_is_wider_than_the_window(visitor: Visitor, server: StandIn, width: int, height: int) -> None:
    page = visitor.see(server, width=width, height=height)
    for place in PLACES:
        go(page, server, place)
        assert sideways(page) <= 1, place


def test_at_200_per_cent_all_is_reached_by_scrolling_down(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, width=640, height=400, device_scale_factor=2)
    for place in PLACES:
        go(page, server, place)
        assert sideways(page) <= 1, place
    page.goto(f"{server.url}#conversation?session=taken0000001&incident=15")
    button = page.get_by_role("button", name="Bring this back")
    # What is drawn again as more of the conversation comes cannot be scrolled to.
    page.locator(".transcript .message").last.wait_for()
    expect(button).to_be_enabled()
    button.scroll_into_view_if_needed()
    expect(button).to_be_in_viewport()
    page.locator(".transcript .message").last.scroll_into_view_if_needed()
    expect(page.locator(".transcript .message").last).to_be_in_viewport()


@pytest.mark.parametrize("title", [ARABIC, CHINESE, LONG_TITLE], ids=["arabic", "chinese", "300 characters"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_title_is_never_cut(visitor: Visitor, server: StandIn, title: str, width: int) -> None:
    page = visitor.see(server, "conversations", width=width, height=900)
    shown = page.get_by_role("listitem").get_by_text(title, exact=True)
    expect(shown).to_be_visible()
    assert shown.evaluate(
        """(one) => {
          const box = one.getBoundingClientRect();
          const style = getComputedStyle(one);
          return box.width > 0 && style.textOverflow !== "ellipsis" && box.right <= innerWidth && box.left >= 0;
        }"""
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visitor: Visitor, server: StandIn, scheme: str) -> None:
    page = visitor.see(server, color_scheme=scheme, bypass_csp=True)
    axe = Axe()
    for place in PLACES:
        go(page, server, place)
        found = axe.run(page, options={"resultTypes": ["violations"]})
        assert [(one["id"], one["nodes"]) for one in found.response["violations"]] == [], place


def test_it_is_dark_where_the_system_is_dark(visitor: Visitor, server: StandIn) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page = visitor.see(server, color_scheme=scheme)
        grounds.append(
            page.locator("hermesguard-page").evaluate("one => getComputedStyle(one).backgroundColor")
        )
    assert grounds[0] != grounds[1]


def test_the_application_s_colours_come_before_its_own(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server)
    page.evaluate("document.documentElement.style.setProperty('--bg', 'rgb(1, 2, 3)')")
    ground = page.locator("hermesguard-page").evaluate("one => getComputedStyle(one).backgroundColor")
    assert ground == "rgb(1, 2, 3)"


def test_nothing_moves_for_those_who_do_not_want_it(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, reduced_motion="reduce")
    assert (
        page.get_by_role("button", name="Now", exact=True).evaluate(
            "one => getComputedStyle(one).transitionDuration"
        )
        == "0s"
    )
