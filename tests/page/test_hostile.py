"""Text of conversations is text: whatever was written into a title or a message, it is shown and does nothing."""

import re

from playwright.sync_api import expect

from tests.helpers.page_browser import Visitor
from tests.helpers.page_stand_in import ASSETS, EXTENSION, StandIn
from tests.helpers.page_world import HOSTILE


def test_markup_is_shown_as_it_was_written(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, "conversation?session=hostile00001")
    expect(page.locator("main h1")).to_have_text(HOSTILE)
    page.locator(".transcript").evaluate("one => one.scrollTo(0, 0)")
    expect(page.locator(".transcript .said").first).to_have_text(HOSTILE)
    for place in ("conversations", "search?words=onerror"):
        page.goto(f"{server.url}#{place}")
        expect(page.get_by_text(HOSTILE).first).to_be_visible()
    assert page.evaluate("window.hit") is None
    assert page.locator("main img, main script").count() == 0


def test_characters_that_hide_or_reorder_are_shown_as_marks(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, "conversation?session=hostile00001")
    page.locator(".transcript").evaluate("one => one.scrollTo(0, 0)")
    reordered = page.locator(".transcript .said").nth(1)
    expect(reordered).to_have_text("invoice U+202Egnp.exeU+202C U+2066endU+2069")
    controls = page.locator(".transcript").get_by_text("bell")
    expect(controls).to_have_text(
        "bell U+0007 escape U+001B[31m null U+0000 delete U+007F softU+00ADhyphen U+200Bzero"
    )


def test_a_title_does_not_change_the_direction_of_what_is_beside_it(
    visitor: Visitor, server: StandIn
) -> None:
    page = visitor.see(server)
    assert page.locator(".which .title").first.evaluate(
        "one => [one.tagName, getComputedStyle(one).unicodeBidi]"
    ) == [
        "BDI",
        "isolate",
    ]


def test_a_message_of_a_megabyte_is_folded_and_can_be_read_whole(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, "conversation?session=hostile00001")
    message = page.locator(".transcript .message").last
    more = message.get_by_role("button", name=re.compile("Show more"))
    expect(more).to_contain_text("3,000 of 1,050,000 characters")
    presses = 0
    while more.count():
        more.click()
        expect(message.get_by_role("button", disabled=True)).to_have_count(0)
        presses += 1
        assert presses < 15
    assert message.locator(".said").evaluate("one => one.textContent.length") == 1_050_000


def test_no_file_of_the_page_makes_markup_of_text() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc"
    )
    files = [file for where in (ASSETS, EXTENSION) for file in where.rglob("*.js")]
    assert len(files) > 20
    assert [file.name for file in files if forbidden.search(file.read_text())] == []


def test_nothing_is_loaded_from_elsewhere(visitor: Visitor, server: StandIn) -> None:
    page = visitor.open("about:blank", waits_for="html")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.url}#conversation?session=hostile00001")
    expect(page.locator(".transcript .message").first).to_be_visible()
    assert [url for url in asked if not url.startswith(server.url)] == []
