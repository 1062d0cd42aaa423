"""The API against a real guard: previews, acts and what reverses them, and that they agree with the commands."""

import itertools
import json

import pytest

from hermesguard.config import settings as config
from hermesguard.demo import acts, losses
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from tests.helpers.daemon_process import Daemon, hermesguard
from tests.helpers.page_client import by_webui, signed_in


class Place:
    """A guard that runs, the application beside it, and the page of both."""

    def __init__(self, root, guard):
        self.root, self.guard = root, guard
        self.app = App(guard.sessions, Era.OLD, clock=itertools.count(1.7638e9, 0.5).__next__, seed=1)
        self.new = App(guard.sessions, Era.NEW, clock=itertools.count(1.7638e9, 0.5).__next__, seed=2)
        places = {"sessions": str(guard.sessions), "store": str(guard.store)}
        self.settings = config.load(places, {"HOME": str(root)}, ())
        self.page = by_webui(self.settings, root)

    def messages(self, name):
        return json.loads((self.guard.sessions / f"{name}.json").read_bytes())["messages"]

    def wiped(self, name, turns=6):
        chat = self.app.create("Moving the server room", session_id=name, turns=turns)
        chat.document["active_stream_id"] = "a-stream"
        chat.save()
        self.guard.until_kept(chat.path)
        losses.wipe(chat)
        self.guard.until(lambda: len(self.messages(name)) == 2 * turns)
        self.guard.until(lambda: any(one["session"] == name for one in self.guard.incidents()))
        return chat


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("acts")
    with Daemon(root) as guard:
        guard.sessions.mkdir(parents=True)
        guard.start()
        yield Place(root, guard)


def done(place, act):
    reply = place.page.post("/acts", act)
    assert reply.status == 200, reply.body
    return place.page.result(reply)


def test_the_life_of_a_repair_undone_and_done_again(place):
    place.wiped("3f2a00000001")
    page = place.page
    pulse = page.get("/pulse", session="3f2a00000001")
    assert pulse["session"]["repair"]["messages_back"] == 12
    event = page.get("/now")["lately"][0]
    assert (event["what"], event["title"], event["messages_back"]) == (
        "brought_back",
        "Moving the server room",
        12,
    )
    assert page.get("/status")["page"] == {"api": 1, "home": "webui", "can_act": True}

    seen = page.post("/acts/preview", event["acts"][0]).json
    assert (seen["action"], seen["messages_gone"], seen["messages_back"]) == ("undone", 12, 0)
    assert [one["number"] for one in seen["gone"]] == list(range(1, 13))
    assert len(place.messages("3f2a00000001")) == 12, "a preview changes nothing"

    undone = done(place, seen["act"])
    assert len(place.messages("3f2a00000001")) == 0
    assert page.get("/sessions/3f2a00000001")["session"]["message_count"] == 0
    assert page.get("/now")["lately"][0]["what"] == "reversed_by_you"
    again = page.post("/acts", event["acts"][0])
    assert (again.status, again.json["code"]) == (409, "refused")

    back = done(place, undone["reverse"])
    assert len(place.messages("3f2a00000001")) == 12
    assert back["messages_back"] == 12

    line = page.get("/sessions/3f2a00000001/timeline")
    assert [point["mark"] for point in line["points"] if point["mark"]] == [
        "loss",
        "repair",
        "intended",
        "repair",
    ]
    for point in line["points"]:
        if point["version"]:
            shown = page.get(f"/sessions/3f2a00000001/versions/{point['version']}/messages")
            assert shown["message_count"] >= point["upto"]


def test_an_act_is_held_to_what_its_user_saw(place):
    chat = place.wiped("3f2a00000002")
    event = place.page.get("/incidents", session="3f2a00000002")["events"][0]
    seen = place.page.post("/acts/preview", event["acts"][0]).json
    chat.document = json.loads(chat.path.read_bytes())
    chat.document["messages"] += [{"role": "user", "content": "one more question", "timestamp": 1.8e9}]
    chat.document["messages"].append({"role": "assistant", "content": "one more answer", "timestamp": 1.8e9})
    chat.save()
    place.guard.until_kept(chat.path)
    before = chat.path.read_bytes()
    reply = place.page.post("/acts", seen["act"])
    assert (reply.status, reply.json["code"]) == (409, "changed")
    assert chat.path.read_bytes() == before
    anew = place.page.post("/acts/preview", event["acts"][0]).json
    assert anew["messages_after"] == 2, "what was written since stays"
    done(place, anew["act"])
    assert len(place.messages("3f2a00000002")) == 2


def test_what_a_user_took_back_can_be_had_again(place):
    chat = place.new.create("Tax 2025", session_id="3f2a00000003", turns=4)
    place.guard.until_kept(chat.path)
    acts.undo(chat)
    place.guard.until_kept(chat.path)
    page = place.page
    page_lost = place.guard.until(
        lambda: [one for one in page.get("/lost")["lost"] if one["session"] == "3f2a00000003"]
    )[0]
    assert page_lost["kind"] == "shortened"
    difference = page.get("/sessions/3f2a00000003/diff", a=page_lost["version"], b="live")
    assert difference["counts"]["gone"] == 2
    assert difference["a_marks"] == [[7, 8, "gone"]]
    seen = page.post("/acts/preview", page_lost["acts"][0]).json
    assert (seen["messages_back"], seen["messages_gone"]) == (2, 0)
    assert [one["number"] for one in seen["back"]] == [7, 8]
    done(place, seen["act"])
    assert len(place.messages("3f2a00000003")) == 8


def test_a_moment_of_an_act_says_which_it_was(place):
    chat = place.new.create("A parser", session_id="3f2a00000031", turns=4)
    place.guard.until_kept(chat.path)
    acts.undo(chat)
    place.guard.until_kept(chat.path)
    place.guard.until(lambda: place.page.get("/incidents", session="3f2a00000031")["events"])
    line = place.page.get("/sessions/3f2a00000031/timeline")
    moment = next(point for point in line["points"] if point["mark"] == "intended")
    event = next(one for one in line["events"] if one["id"] == moment["incident"])
    assert event["what"] == "taken_back"
    assert done(place, event["acts"][0])["messages_back"] == 2
    assert done(place, {"act": "undo", "incident": event["id"]})["messages_back"] == 0
    line = place.page.get("/sessions/3f2a00000031/timeline")
    assert all(point["version"] is not None for point in line["points"]), (
        "an act that changed nothing hides nothing"
    )


def test_a_conversation_that_was_cleared_is_called_as_before(place):
    chat = place.new.create("The move", session_id="3f2a00000033", turns=4)
    place.guard.until_kept(chat.path)
    acts.clear(chat)
    place.guard.until_kept(chat.path)
    page = place.page
    assert page.get("/sessions/3f2a00000033/timeline")["title"] == "The move"
    listed = {one["session"]: one["title"] for one in page.get("/sessions")["sessions"]}
    assert listed["3f2a00000033"] == "The move"
    missed = {one["session"]: one["title"] for one in page.get("/lost")["lost"]}
    assert missed["3f2a00000033"] == "The move"


def test_a_deleted_conversation_is_found_and_brought_back(place):
    chat = place.new.create("A parser for dates", session_id="3f2a00000004", turns=2)
    place.guard.until_kept(chat.path)
    acts.delete(chat)
    page = place.page
    place.guard.until(lambda: page.get("/sessions", search="parser")["sessions"][0]["state"] == "deleted")
    gone = page.get("/sessions/3f2a00000004")["events"][0]
    assert gone["what"] == "deleted"
    found = page.result(page.post("/find", {"words": "parser dates"}))["found"][0]
    assert (found["session"], found["state"]) == ("3f2a00000004", "deleted")
    done(place, gone["acts"][0])
    assert len(place.messages("3f2a00000004")) == 4


def test_both_sides_of_what_is_not_sure(place):
    chat = place.app.create("Garden plan", session_id="3f2a00000005", turns=6)
    place.guard.until_kept(chat.path)
    del chat.document["messages"][6:]
    chat.save()
    page = place.page
    event = place.guard.until(
        lambda: next((one for one in page.get("/now")["decisions"] if one["session"] == "3f2a00000005"), None)
    )
    now, other = event["sides"]
    assert (now["version"], now["is_now"], now["can_read"]) == ("live", True, True)
    assert {now["message_count"], other["message_count"]} == {12, 6}
    seen = page.post("/acts/preview", now["act"]).json
    assert seen["action"] == "accepted"
    done(place, seen["act"])
    assert not [one for one in page.get("/now")["decisions"] if one["session"] == "3f2a00000005"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 400),
        ({"act": "purge", "session": "3f2a00000001"}, 400),
        ({"act": "restore", "session": "3f2a00000001"}, 400),
        ({"act": "restore", "session": 7, "version": "latest"}, 400),
        ({"act": "restore", "session": "3f2a00000001", "version": "live"}, 400),
        ({"act": "restore", "session": "3f2a00000001", "version": "20200101T000000.000000Z"}, 404),
        ({"act": "restore", "session": "3f2a00000001", "version": "latest", "file": "/etc/passwd"}, 400),
        ({"act": "restore", "session": "nobody", "version": "latest"}, 404),
        ({"act": "undo", "incident": "999999"}, 404),
        ({"act": "undo", "incident": "1", "seen": "x"}, 400),
    ],
)
def test_acts_that_make_no_sense(place, body, status):
    for path in ("/acts/preview", "/acts"):
        reply = place.page.post(path, body)
        assert reply.status == status
        assert reply.json["what"]


def test_the_page_of_its_own_may_act_too(place):
    place.wiped("3f2a00000006")
    browser = signed_in(place.settings, place.root)
    event = browser.get("/incidents", session="3f2a00000006")["events"][0]
    assert browser.post("/acts/preview", event["acts"][0]).status == 200


def test_the_objects_are_those_of_the_commands(place):
    def command(*words):
        result = hermesguard(place.root, *words, "--json", "--store", place.guard.store)
        return json.loads(result.stdout)

    page = place.page
    mine = {one["session"]: one for one in page.get("/sessions", limit=200)["sessions"]}
    theirs = {one["session"]: one for one in command("list")["sessions"]}
    assert mine == theirs
    points = page.get("/sessions/3f2a00000001/timeline")["points"]
    assert [{key: one[key] for key in ("time", "message_count", "mark")} for one in points] == command(
        "history", "3f2a00000001"
    )["points"]
    known = {one["id"] for one in command("log")["incidents"] if not one["resolves"]}
    assert known <= {one["id"] for one in page.get("/incidents", limit=200)["events"]}


def test_without_a_guard_it_reads_on_and_says_what_to_do(tmp_path):
    with Daemon(tmp_path) as guard:
        guard.sessions.mkdir(parents=True)
        guard.start()
        place = Place(tmp_path, guard)
        place.wiped("3f2a00000001")
    page = place.page
    assert page.get("/pulse")["state"] == "trouble"
    status = page.get("/now")["status"]
    assert status["page"]["can_act"] is False
    assert "no guard runs" in status["problems"][0]["what"]
    event = page.get("/incidents")["events"][0]
    for path in ("/acts/preview", "/acts"):
        reply = page.post(path, event["acts"][0])
        assert (reply.status, reply.json["code"]) == (503, "no_guard")
        assert "hermesguard run" in reply.json["remedy"]


def test_without_a_store_it_says_so(tmp_path):
    places = {"sessions": str(tmp_path / "sessions"), "store": str(tmp_path / "none")}
    page = by_webui(config.load(places, {"HOME": str(tmp_path)}, ()), tmp_path)
    reply = page.ask("/api/v1/now")
    assert (reply.status, reply.json["code"]) == (503, "no_store")
