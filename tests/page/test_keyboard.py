"""Without a mouse, and without eyes."""

from playwright.sync_api import Page, expect

from tests.helpers.page_browser import Visitor
from tests.helpers.page_stand_in import StandIn


def focused(page: Page) -> str:
    """Return what has the focus: its name, or its text."""
    return str(
        page.evaluate(
            """() => {
              let one = document.activeElement;
              while (one?.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
              return one?.getAttribute("aria-label") || one?.innerText || one?.tagName || "";
            }"""
        )
    )


def tab_to(page: Page, name: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page).startswith(name):
            return
    raise AssertionError(f"Tab never comes to {name!r}")


def test_an_older_version_is_brought_back_by_keys_alone(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server)
    tab_to(page, "Lost and found")
    page.keyboard.press("Enter")
    expect(page.locator("main h1")).to_have_text("7 things that you may miss.")
    while "A parser" not in focused(page):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Bring this back")).to_be_enabled()
    tab_to(page, "Moment of the conversation")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Bring this back")).to_be_enabled()
    tab_to(page, "Bring this back")
    page.keyboard.press("Enter")
    expect(page.locator(".done")).to_contain_text("2 messages brought back.")
    assert focused(page) == "Undo"
    page.keyboard.press("Enter")
    expect(page.locator(".done")).to_contain_text("It has 22 messages now.")


def test_every_control_shows_where_the_focus_is(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, "conversation?session=taken0000001&incident=15")
    expect(page.get_by_role("button", name="Bring this back")).to_be_enabled()
    seen = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            """() => {
              let one = document.activeElement;
              while (one?.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
              return one === document.body ? "none" : getComputedStyle(one).outlineStyle;
            }"""
        )
        name = focused(page)
        if name != "BODY":
            assert outline != "none", name
            seen.add(name)
    assert "Moment of the conversation" in seen


def test_a_reader_is_told_what_it_is_and_what_came_of_it(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, "conversation?session=taken0000001&incident=15")
    expect(page.get_by_role("heading", level=1, name="A parser for dates")).to_be_visible()
    expect(page.get_by_role("navigation", name="hermesguard")).to_be_visible()
    expect(page.get_by_role("search")).to_be_visible()
    slider = page.get_by_role("slider", name="Moment of the conversation")
    expect(slider).to_have_attribute("aria-valuenow", "25")
    expect(page.get_by_role("region", name="The conversation at this moment")).to_be_visible()
    gone = page.get_by_role("listitem").filter(has_text="Question 12")
    expect(gone).to_contain_text("went in this moment")
    page.get_by_role("button", name="Bring this back").click()
    expect(page.locator("[aria-live=polite].reader-only")).to_have_text(
        "2 messages brought back. It has 24 messages now."
    )


def test_the_heading_of_a_new_view_has_the_focus(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server)
    page.get_by_role("button", name="Conversations", exact=True).click()
    expect(page.locator("main h1")).to_be_focused()
    assert focused(page) == "11 conversations"
