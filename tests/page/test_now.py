"""The first page: is all well, what needs a decision, what happened lately."""

from playwright.sync_api import expect

from tests.helpers.page_browser import Visitor
from tests.helpers.page_stand_in import StandIn
from tests.helpers.page_world import plain, standard, uncertain, wiped


def test_the_first_line_says_that_all_is_well(visitor: Visitor) -> None:
    with StandIn(
        [wiped("wiped0000001", "Moving the server room", 1000, 17), plain("plain0000001", "Notes")]
    ) as server:
        page = visitor.see(server)
        assert page.locator("main h1").inner_text() == "All is well: 2 conversations guarded."
        assert "1,007 messages. Checked 4 s ago." in page.locator(".answer").inner_text()


def test_what_was_repaired_is_told_in_a_sentence_with_its_reason(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server)
    row = page.get_by_role("listitem").filter(has_text="Moving the server room")
    expect(row).to_contain_text("1,001 messages brought back.")
    expect(row).to_contain_text("An empty copy was saved over the conversation (hermes-webui #1558).")


def test_both_sides_of_an_uncertain_case_stand_beside_each_other(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server)
    assert page.locator("main h1").inner_text() == "1 conversation needs you."
    now, before = page.locator(".side").all()
    expect(now).to_contain_text("Now, 18 messages")
    expect(now).to_contain_text("6 messages of the other side are missing here.")
    expect(before).to_contain_text("24 messages")
    expect(before).to_contain_text("Question 12: what does part 12 do?")
    boxes = now.bounding_box(), before.bounding_box()
    assert boxes[0]
    assert boxes[1]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] < boxes[1]["x"]


def test_one_click_decides_and_another_takes_it_back(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server)
    page.get_by_role("button", name="Bring this back").click()
    expect(page.locator(".done")).to_contain_text("6 messages brought back. It has 24 messages now.")
    assert len(server.conversations["unsure000001"].copies["live"]) == 24
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".done")).to_contain_text("It has 18 messages now.")


def test_to_keep_the_file_as_it_is_is_as_easy(visitor: Visitor, server: StandIn) -> None:
    page = visitor.see(server)
    page.get_by_role("button", name="Keep this").click()
    expect(page.locator(".done")).to_contain_text("It stays as it is.")
    assert server.acted == [{"act": "accept", "session": "unsure000001"}]


def test_what_happens_meanwhile_appears_by_itself(visitor: Visitor) -> None:
    with StandIn([plain("plain0000001", "Notes")]) as server:
        page = visitor.see(server)
        page.evaluate("window.dispatchEvent(new Event('online'))")
        server.conversations |= {"unsure000001": uncertain("unsure000001", "Tax 2025", 16)}
        page.evaluate("window.dispatchEvent(new Event('online'))")
        expect(page.locator("main h1")).to_have_text("1 conversation needs you.")


def test_a_guard_that_looks_for_the_first_time_says_so(visitor: Visitor, server: StandIn) -> None:
    server.trouble = "not_ready"
    page = visitor.see(server)
    expect(page.locator("main h1")).to_have_text("hermesguard looks at everything for the first time.")


def test_a_conversation_that_needs_one_is_reached_from_the_line_of_what_happened(visitor: Visitor) -> None:
    with StandIn(standard()) as server:
        page = visitor.see(server)
        page.get_by_role("button", name="Show Moving the server room").click()
        expect(page.get_by_role("slider")).to_be_visible()
        expect(page.locator("main h1")).to_have_text("Moving the server room")
