"""The extension in an application: the shield, the notice, the panel, and no word where something is missing."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.page_browser import Visitor
from tests.helpers.page_stand_in import EXTENSION, StandIn
from tests.helpers.page_world import Conversation, plain, standard, wiped
from tools.docs.extension import COPY, wanted

# As much of an application as the extension uses.
APPLICATION: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>application</title>
<link rel="stylesheet" href="/extensions/hermesguard/assets/hermesguard.css"></head><body>
<header class="app-titlebar" style="position: relative; height: 38px"></header>
<main><h1>Chat</h1><div id="composerWrap"><textarea id="msg" aria-label="message"></textarea></div></main>
<script>
  const S = { session: { session_id: "wiped0000001", title: "Moving the server room", message_count: 0 }, busy: false };
  window.loads = []; window.fixed = true; window.listeners = {}; window.turned = "";
  async function loadSession(session, how) {
    window.loads.push([session, how]);
    S.session = { session_id: session, title: "", message_count: window.fixed ? 1001 : 0 };
  }
  async function switchPanel(name) { window.turned += name + " "; }
  function switchSettingsSection(name) { window.turned += name + " "; }
  window.hermesExt = { register: (id) => ({
    id,
    settings: { get: () => JSON.parse(localStorage.settings || "true") },
    storage: {
      get: (name) => JSON.parse(localStorage["ext." + name] || "null") || undefined,
      set: (name, value) => { localStorage["ext." + name] = JSON.stringify(value); return true; },
    },
    events: { on: (kind, told) => { window.listeners[kind] = told; } },
  }) };
</script>
<script src="/extensions/hermesguard/assets/hermesguard.js" defer></script></body></html>"""

READY: Final = {"available": True, "consented": True, "proxy_auth": "token-v1", "posture": "protected"}


def status(**proxy: Any) -> dict[str, Any]:
    return {"sidecars": [{"id": "hermesguard", "proxy": {**READY, **proxy}}]}


@pytest.fixture
def application() -> Iterator[StandIn]:
    with StandIn([plain("wiped0000001", "Moving the server room", 1000), *standard()[1:]]) as one:
        one.app_page = APPLICATION
        one.app_status = status()
        yield one


def look(page: Page) -> None:
    """Let the extension ask at once, as it does when the page is come back to."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def repair(application: StandIn, *, after: timedelta = timedelta(seconds=5)) -> Conversation:
    """Let the open conversation have been emptied and brought back just now."""
    found = wiped("wiped0000001", "Moving the server room", 1000, 50, datetime.now(UTC) + after)
    application.conversations["wiped0000001"] = found
    return found


def notice(page: Page) -> Any:
    return page.locator("#hermesguardNotice")


def test_the_shield_says_how_things_are(visitor: Visitor, application: StandIn) -> None:
    page = visitor.open(f"{application.url}app", waits_for="#hermesguardShield")
    expect(page.get_by_role("button", name="hermesguard: a conversation needs you")).to_be_visible()
    application.trouble = "watch_lost"
    look(page)
    expect(page.get_by_role("button", name="hermesguard: something is wrong")).to_be_visible()


def test_an_emptied_chat_is_loaded_again_and_told_once(visitor: Visitor, application: StandIn) -> None:
    page = visitor.open(f"{application.url}app", waits_for="#hermesguardShield")
    page.locator("#msg").fill("not sent yet")
    repair(application)
    look(page)
    expect(notice(page)).to_contain_text("1,001 messages of this conversation were just brought back.")
    assert page.evaluate("loads") == [["wiped0000001", {"force": True, "keepStaleUntilLoaded": True}]]
    assert page.locator("#msg").input_value() == "not sent yet"
    notice(page).get_by_role("button", name="Dismiss").click()
    look(page)
    page.reload()
    page.locator("#hermesguardShield").wait_for()
    look(page)
    expect(notice(page)).to_have_count(0)


def test_show_leads_to_the_moment_of_the_loss(visitor: Visitor, application: StandIn) -> None:
    page = visitor.open(f"{application.url}app", waits_for="#hermesguardShield")
    repair(application)
    look(page)
    notice(page).get_by_role("button", name="Show").click()
    expect(page.locator("#hermesguardPanel .moment")).to_contain_text(
        "All 1,000 messages vanished in one write."
    )
    page.keyboard.press("Escape")
    expect(page.locator("#hermesguardPanel")).to_be_hidden()
    expect(notice(page)).to_have_count(0)


def test_an_application_that_holds_the_emptied_one_in_memory_is_named(
    visitor: Visitor, application: StandIn
) -> None:
    page = visitor.open(f"{application.url}app", waits_for="#hermesguardShield")
    page.evaluate("window.fixed = false")
    repair(application)
    look(page)
    expect(notice(page)).to_contain_text(
        "hermes-webui still shows 0: restart it, and do not write here until then."
    )


def test_a_chat_that_is_being_answered_is_left_alone_until_the_turn_ends(
    visitor: Visitor, application: StandIn
) -> None:
    page = visitor.open(f"{application.url}app", waits_for="#hermesguardShield")
    page.evaluate("S.busy = true")
    repair(application)
    with page.expect_response("**/pulse?**"):
        look(page)
    assert page.evaluate("loads") == []
    page.evaluate("S.busy = false; listeners['turn:complete']()")
    expect(notice(page)).to_be_visible()


@pytest.mark.parametrize("reason", ["old", "settings"])
def test_what_is_no_news_is_not_told(visitor: Visitor, application: StandIn, reason: str) -> None:
    page = visitor.open(f"{application.url}app", waits_for="#hermesguardShield")
    if reason == "settings":
        page.evaluate("localStorage.settings = 'false'")
    repair(application, after=timedelta(days=-2) if reason == "old" else timedelta(seconds=5))
    with page.expect_response("**/pulse?**"):
        look(page)
    assert page.evaluate("loads") == []
    expect(notice(page)).to_have_count(0)


def test_the_panel_has_the_page_and_gives_the_focus_back(visitor: Visitor, application: StandIn) -> None:
    page = visitor.open(f"{application.url}app", waits_for="#hermesguardShield")
    page.locator("#hermesguardShield").click()
    panel = page.get_by_role("dialog", name="hermesguard")
    expect(panel.get_by_role("heading", level=1)).to_have_text("1 conversation needs you.")
    panel.get_by_role("button", name="See its past").first.click()
    expect(panel.get_by_role("slider")).to_be_visible()
    panel.get_by_role("button", name="Close hermesguard").click()
    expect(page.locator("#hermesguardShield")).to_be_focused()


def test_after_an_act_the_open_chat_shows_it(visitor: Visitor, application: StandIn) -> None:
    page = visitor.open(f"{application.url}app", waits_for="#hermesguardShield")
    page.evaluate("S.session.session_id = 'unsure000001'")
    page.locator("#hermesguardShield").click()
    page.get_by_role("button", name="Bring this back").click()
    expect(page.locator("#hermesguardPanel .done")).to_contain_text("6 messages brought back.")
    assert page.evaluate("loads")[-1][0] == "unsure000001"
    page.get_by_role("button", name="Show it in the chat").click()
    assert "chat" in page.evaluate("turned")


@pytest.mark.parametrize(
    ("standing", "heading"),
    [
        ({"consented": False}, "One click is left"),
        ({"consented": False, "posture": "local_unprotected"}, "hermes-webui has no password"),
    ],
    ids=["no consent", "no password"],
)
def test_what_is_left_to_do_is_said(
    visitor: Visitor, application: StandIn, standing: dict[str, Any], heading: str
) -> None:
    application.app_status = status(**standing)
    page = visitor.open(f"{application.url}app", waits_for="#hermesguardShield")
    page.route("**/sidecar/**", lambda route: route.fulfill(status=403, json={"error": "consent required"}))
    page.locator("#hermesguardShield").click()
    expect(page.locator("#hermesguardPanel h1")).to_have_text(heading)
    page.get_by_role("button", name="Open the settings").click()
    assert page.evaluate("turned") == "extensions settings "


def test_a_sidecar_that_does_not_answer_has_its_own_sentence(visitor: Visitor, application: StandIn) -> None:
    page = visitor.open(f"{application.url}app", waits_for="#hermesguardShield")
    page.route("**/sidecar/**", lambda route: route.fulfill(status=502, json={"error": "unreachable"}))
    page.locator("#hermesguardShield").click()
    expect(page.locator("#hermesguardPanel h1")).to_have_text("The page of hermesguard does not answer")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"sidecars": []},
        {"sidecars": [{"id": "hermesguard", "proxy": {"available": True, "consented": True}}]},
        {"sidecars": [{"id": "hermesguard"}]},
    ],
    ids=["no sidecars", "not there", "a release without tokens", "a release without a proxy"],
)
def test_where_something_is_missing_there_is_no_shield_and_no_word(
    visitor: Visitor, application: StandIn, answer: dict[str, Any]
) -> None:
    application.app_status = answer
    page = visitor.open("about:blank", waits_for="html")
    with page.expect_response("**/api/extensions/status"):
        page.goto(f"{application.url}app")
    page.evaluate("new Promise((go) => setTimeout(go))")
    expect(page.locator("#hermesguardShield")).to_have_count(0)
    assert not [asked for asked in application.asked if "/sidecar/" in asked]


def test_a_bare_application_is_enough(visitor: Visitor, application: StandIn) -> None:
    application.app_page = (
        '<!doctype html><html lang="en"><title>bare</title><body><h1>Chat</h1>'
        '<script src="/extensions/hermesguard/assets/hermesguard.js" defer></script></body></html>'
    )
    page = visitor.open(f"{application.url}app", waits_for="#hermesguardShield")
    page.locator("#hermesguardShield").click()
    expect(page.locator("#hermesguardPanel h1")).to_have_text("1 conversation needs you.")


def test_the_page_in_the_extension_is_the_page() -> None:
    assert {file.name: file.read_bytes() for file in COPY.iterdir()} == wanted(), (
        "run: python -m tools.docs.extension"
    )


def test_its_two_descriptions_agree() -> None:
    extension = json.loads((EXTENSION / "extension.json").read_text())
    (entry,) = json.loads((EXTENSION / "manifest.json").read_text())["extensions"]
    assert entry["scripts"] == extension["assets"]["scripts"]
    assert entry["stylesheets"] == extension["assets"]["stylesheets"]
    assert entry["sidecar"] == {
        name: value for name, value in extension["sidecar"].items() if name != "runtime"
    }
    assert entry["settings_schema"] == extension["settings_schema"]
    for name in [*extension["screenshots"], *entry["scripts"], *entry["stylesheets"]]:
        assert (EXTENSION / name).is_file(), name
