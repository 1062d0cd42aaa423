"""10,000 conversations and a conversation of 5,000 messages stay quick."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.page_browser import Visitor
from tests.helpers.page_stand_in import StandIn
from tests.helpers.page_world import many


@pytest.fixture(scope="module")
def large() -> Iterator[StandIn]:
    with StandIn(many()) as one:
        yield one


def elements(page: Page) -> int:
    return int(
        page.evaluate("document.querySelector('hermesguard-page').shadowRoot.querySelectorAll('*').length")
    )


def test_of_10_000_conversations_only_those_that_are_seen_cost_anything(
    visitor: Visitor, large: StandIn
) -> None:
    page = visitor.see(large, "conversations")
    expect(page.locator("main h1")).to_have_text("10,000 conversations")
    expect(page.get_by_role("listitem").first).to_have_attribute("aria-setsize", "10000")
    large.asked.clear()
    page.locator("main").evaluate("one => one.scrollTo(0, one.scrollHeight)")
    expect(page.get_by_text("Conversation 9999", exact=True)).to_be_visible()
    page.locator("main").evaluate("one => one.scrollTo(0, one.scrollHeight / 2)")
    expect(page.get_by_role("listitem").first).to_be_visible()
    assert elements(page) < 9000
    assert len([asked for asked in large.asked if "sessions?" in asked]) < 12


def test_a_conversation_of_5_000_messages_is_there_at_once_and_everywhere(
    visitor: Visitor, large: StandIn
) -> None:
    page = visitor.see(large)
    page.goto(f"{large.url}#conversation?session=big000000001")
    expect(page.locator(".transcript")).to_contain_text("and the switches?")
    slider = page.get_by_role("slider")
    slider.focus()
    for key in ("PageUp", "PageUp", "ArrowLeft", "Home", "End"):
        slider.press(key)
    expect(page.locator(".transcript")).to_contain_text("and the switches?")
    page.locator(".transcript").evaluate("one => one.scrollTo(0, 0)")
    expect(page.locator(".transcript")).to_contain_text("Question 1: what does part 1 do?")
    assert elements(page) < 9000


def test_from_the_click_to_the_transcript_little_is_asked_and_drawn(visitor: Visitor, large: StandIn) -> None:
    page = visitor.see(large, "conversations")
    button = page.get_by_role("button", name="The whole year")
    button.wait_for()
    large.asked.clear()
    button.click()
    expect(page.locator(".transcript .message").first).to_be_visible()
    assert len(large.asked) <= 8, "as many as for a short one"
    assert all("limit=50" in asked for asked in large.asked if "/messages?" in asked)
    assert elements(page) < 2000
