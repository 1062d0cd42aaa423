"""One conversation through time: the line, the moment, what went, and bringing it back."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.page_browser import Visitor
from tests.helpers.page_stand_in import StandIn

WIPED = "conversation?session=wiped0000001"
TAKEN = "conversation?session=taken0000001"


def value(page: Page) -> str:
    return page.get_by_role("slider").get_attribute("aria-valuetext") or ""


def point_at(page: Page, share: float) -> None:
    """Press the mouse on the line, at a share of its width."""
    box = page.get_by_role("slider").bounding_box()
    assert box
    page.mouse.click(box["x"] + share * box["width"], box["y"] + 60)


def test_it_opens_at_the_present_and_at_its_last_message(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, WIPED)
    expect(page.locator(".transcript")).to_contain_text("and the switches?")
    assert "1,001 messages" in value(page)


def test_the_moment_of_a_loss_shows_what_went_and_why(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, f"{WIPED}&incident=17")
    expect(page.locator(".moment")).to_contain_text(
        "All 1,000 messages vanished in one write. Brought back 0.6 ms later."
    )
    expect(page.locator(".moment")).to_contain_text(
        "An empty copy was saved over the conversation (hermes-webui #1558)."
    )
    expect(page.locator(".transcript .gone").last).to_contain_text("Part 500 does what part 500 says.")
    expect(page.locator(".key-of-marks")).to_contain_text("went in this moment")


def test_arrow_keys_go_from_moment_to_moment(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, WIPED)
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("PageUp")
    assert "1,001 messages" in value(page)
    slider.press("PageUp")
    assert "0 messages" in value(page)
    assert "vanished" in value(page)
    slider.press("ArrowLeft")
    assert "1,000 messages" in value(page)
    slider.press("Home")
    assert "1 message." in value(page)
    expect(page.locator(".transcript .message")).to_have_count(1)
    slider.press("End")
    expect(page.locator(".transcript")).to_contain_text("and the switches?")


def test_the_line_is_dragged_through_time(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, WIPED)
    box = page.get_by_role("slider").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 50)
    page.mouse.down()
    seen = []
    for step in range(8):
        page.mouse.move(box["x"] + box["width"] * (0.9 - step * 0.1), box["y"] + 50)
        seen.append(int(re.findall(r"([\d,]+) message", value(page))[0].replace(",", "")))
    page.mouse.up()
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == len(seen)
    expect(page.locator(".transcript .message").last).to_contain_text(f"art {(seen[-1] + 1) // 2} ")


def test_a_finger_does_it_too(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, WIPED, width=420, height=860, has_touch=True, is_mobile=True)
    box = page.get_by_role("slider").bounding_box()
    assert box
    page.touchscreen.tap(box["x"] + box["width"] / 3, box["y"] + 60)
    expect(page.locator(".moment strong")).not_to_have_text("Now")
    page.get_by_role("button", name="What happened after").tap()
    expect(page.locator(".moment")).to_contain_text("vanished")


def test_an_older_version_is_back_after_four_clicks_at_most(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server)
    page.get_by_role("button", name="Show A parser for dates").click()
    expect(page.locator(".moment")).to_contain_text("You took 2 messages back.")
    expect(page.locator(".preview")).to_contain_text(
        "2 messages come back. It would have 24 messages, now 22."
    )
    page.get_by_role("button", name="Bring this back").click()
    expect(page.locator(".done")).to_contain_text("2 messages brought back. It has 24 messages now.")
    assert len(server.conversations["taken0000001"].copies["live"]) == 24
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".done")).to_contain_text("It has 22 messages now.")
    assert len(server.conversations["taken0000001"].copies["live"]) == 22


def test_after_an_act_it_stands_at_the_present_with_what_is_there_now(
    visitor: Visitor, server: StandIn
) -> None:
    page = visitor.see(server, f"{TAKEN}&incident=15")
    page.get_by_role("button", name="Bring this back").click()
    expect(page.locator(".done")).to_contain_text("2 messages brought back.")
    expect(page.get_by_role("button", name="Bring this back")).to_have_count(0)
    expect(page.locator(".transcript .gone")).to_have_count(0)
    slider = page.get_by_role("slider")
    assert slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemax")
    expect(page.locator(".strip:visible")).to_have_count(0)


def test_the_preview_says_message_by_message_what_comes(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, TAKEN)
    page.get_by_role("button", name="What happened before").click()
    page.get_by_text("Which messages").click()
    expect(page.locator(".preview .back")).to_have_count(2)
    expect(page.locator(".preview .back").first).to_contain_text("Question 12: what does part 12 do?")


def test_a_moment_before_the_loss_marks_what_is_not_there_now(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, TAKEN)
    page.get_by_role("button", name="What happened before").click()
    page.get_by_role("slider").press("ArrowLeft")
    expect(page.locator(".transcript .gone")).to_have_count(2)
    expect(page.locator(".key-of-marks")).to_contain_text("is not there now")


def test_a_conversation_that_went_on_since_the_preview_is_looked_at_again(
    visitor: Visitor, server: StandIn
) -> None:
    page = visitor.see(server, f"{TAKEN}&incident=15")
    expect(page.get_by_role("button", name="Bring this back")).to_be_enabled()
    server.trouble = "changed"
    page.get_by_role("button", name="Bring this back").click()
    expect(page.locator(".done")).to_contain_text("The conversation went on meanwhile.")
    server.trouble = ""
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_role("button", name="Bring this back")).to_be_enabled()


def test_what_the_guard_did_is_reversed_only_after_its_preview(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, f"{WIPED}&incident=17")
    page.get_by_role("button", name="Reverse").click()
    expect(page.locator(".done")).to_contain_text("1,001 messages go.")
    assert server.acted == []
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".done")).to_have_count(0)
    page.get_by_role("button", name="Reverse").click()
    page.locator(".done").get_by_role("button", name="Reverse").click()
    expect(page.locator(".done")).to_contain_text("It has 0 messages now.")
    assert server.acted[0]["act"] == "undo"


def test_a_deleted_conversation_can_be_read_and_brought_back(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, "conversation?session=deleted00001")
    expect(page.locator(".transcript")).to_contain_text("Part 4 does what part 4 says.")
    page.get_by_role("button", name="Bring this back").click()
    expect(page.locator(".done")).to_contain_text("8 messages brought back.")


def test_the_address_leads_back_to_the_same_moment_and_back_goes_back(
    visitor: Visitor, server: StandIn
) -> None:
    page = visitor.see(server)
    page.get_by_role("button", name="Show Moving the server room").click()
    expect(page.locator(".moment")).to_contain_text("vanished")
    page.reload()
    expect(page.locator(".moment")).to_contain_text("vanished")
    page.go_back()
    expect(page.locator("main h1")).to_have_text("1 conversation needs you.")


@pytest.mark.parametrize("words", ["part 3 do?", "PART 3 DO?"])
def test_words_are_found_in_the_text_and_shown_where_they_stand(
    visitor: Visitor, server: StandIn, words: str
) -> None:
    page = visitor.see(server)
    page.get_by_role("searchbox").fill(words)
    page.get_by_role("searchbox").press("Enter")
    hit = page.get_by_role("listitem").filter(has_text="Question 3: what does part 3 do?").first
    expect(hit).to_be_visible()
    garden = page.get_by_role("listitem").filter(has_text="Garden plan").filter(has_text="Question 3")
    garden.get_by_role("button").first.click()
    expect(page.locator(".transcript")).to_contain_text("Question 3: what does part 3 do?")


def test_lost_and_found_lists_what_may_be_missed(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server, "found")
    expect(page.locator("main h1")).to_have_text("7 things that you may miss.")
    page.get_by_role("button", name="taken back by you").click()
    expect(page.get_by_role("listitem")).to_have_count(1)
    page.get_by_role("button", name="Show A parser for dates").click()
    expect(page.locator(".moment")).to_contain_text("You took 2 messages back.")
