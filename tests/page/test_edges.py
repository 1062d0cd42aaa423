"""The honest edges: each has its own sentence and a next step, and nothing spins for ever."""

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.page_browser import Visitor
from tests.helpers.page_stand_in import StandIn


def said(page: Page) -> str:
    return page.locator("main").inner_text()


@pytest.mark.parametrize(
    ("trouble", "sentence", "step"),
    [
        (
            "no_guard",
            "hermesguard does not run: nothing new is guarded.",
            "systemctl --user start hermesguard",
        ),
        ("watch_lost", "The watch is lost", "Changes are found by scans until it is back."),
        ("no_store", "Nothing is kept yet", "Start the guard"),
        ("other_version", "This page and hermesguard are of different versions", "Reload this page."),
    ],
)
def test_it_says_what_is_the_matter_and_what_to_do(
    visitor: Visitor, server: StandIn, trouble: str, sentence: str, step: str
) -> None:
    server.trouble = trouble
    page = visitor.see(server)
    expect(page.locator("main h1")).to_contain_text(sentence)
    assert step in said(page)


def test_an_old_link_says_how_to_have_a_new_one(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server)
    page.evaluate("sessionStorage.out = 1; localStorage.clear()")
    page.reload()
    expect(page.locator("main h1")).to_have_text("This link is no longer good")
    assert "hermesguard open" in said(page)


def test_without_a_guard_all_can_be_read_and_nothing_be_done(visitor: Visitor, server: StandIn) -> None:
    server.trouble = "no_guard"
    page = visitor.see(server, "conversation?session=taken0000001&incident=15")
    expect(page.locator(".transcript")).to_contain_text("Question 12")
    expect(page.get_by_role("button", name="Bring this back")).to_be_disabled()
    expect(page.locator(".strip")).to_contain_text("hermesguard does not run")


def test_offline_is_said_and_ends_by_itself(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server)
    page.context.set_offline(True)
    page.get_by_role("button", name="Conversations", exact=True).click()
    expect(page.locator("main h1")).to_have_text("You are offline")
    page.context.set_offline(False)
    expect(page.locator("main h1")).to_have_text("11 conversations")


def test_a_server_that_has_ended_is_said_with_the_command_that_starts_it(
    visitor: Visitor, server: StandIn
) -> None:
    page = visitor.see(server)
    page.route("**/api/**", lambda route: route.abort())
    page.get_by_role("button", name="Lost and found").click()
    expect(page.locator("main h1")).to_have_text("The page of hermesguard has ended")
    assert "hermesguard open" in said(page)
    page.unroute("**/api/**")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("main h1")).to_contain_text("that you may miss")


def test_old_news_are_said_to_be_old(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, "conversations")
    page.route("**/api/**", lambda route: route.abort())
    for _ in range(2):
        page.evaluate("window.dispatchEvent(new Event('offline'))")
    expect(page.locator(".strip")).to_contain_text("what stands here may be old")


def test_a_file_that_cannot_be_read_has_its_own_sentence(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, "conversation?session=unread000001")
    expect(page.locator("main")).to_contain_text("The file of this conversation cannot be read.")
    expect(page.locator(".transcript")).to_contain_text("Question 5")


def test_a_page_of_messages_that_cannot_be_had_is_tried_again(visitor: Visitor, server: StandIn) -> None:
    server.trouble = "broken_messages"
    page = visitor.see(server, "conversation?session=plain0000001")
    expect(page.locator(".transcript")).to_contain_text("A fault of hermesguard, reference 4711.")
    server.trouble = ""
    page.locator(".transcript").get_by_role("button", name="Try again").click()
    expect(page.locator(".transcript")).to_contain_text("Question 20")


def test_a_conversation_that_is_not_there_is_no_riddle(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, "conversation?session=nothere00001")
    expect(page.locator("main h1")).to_have_text("That is not here")
    page.get_by_role("button", name="Now", exact=True).click()
    expect(page.locator("main h1")).to_have_text("1 conversation needs you.")
