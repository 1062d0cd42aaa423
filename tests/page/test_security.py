"""What others get: another user, another page in the browser, a hostile conversation, an old link or cookie."""

import json
import os
import stat
import subprocess
import sys
import time

import pytest

from hermesguard.page import access
from tests.helpers import cli_store
from tests.helpers.daemon_process import environment_for
from tests.helpers.page_client import BASE, Client, Serving, by_webui, signed_in

HOSTILE = "<script>alert(1)</script>\u202egnp.exe\u2066 \x1b]0;x\x07\x00\x9b31m'\"--></style>&lt;"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return cli_store.make(tmp_path_factory.mktemp("page"))


@pytest.fixture
def browser(scene, tmp_path):
    return signed_in(scene.settings(), tmp_path)


# -- signing in


def test_a_link_is_good_once(scene, tmp_path):
    client = Client(scene.settings(), tmp_path / "none")
    token = access.new_link_token(access.ensure_key(scene.store))
    assert client.ask(f"/open?token={token}").status == 200
    again = client.ask(f"/open?token={token}")
    assert again.status == 401
    assert "set-cookie" not in again.headers
    assert again.headers["content-type"].startswith("text/html"), "a browser shows it to a person"
    assert b"hermesguard open" in again.body


@pytest.mark.parametrize("token", ["", "x", "1.2.3", "9999999999." + "0" * 32 + "." + "0" * 64])
def test_a_forged_link_is_worth_nothing(scene, tmp_path, token):
    access.ensure_key(scene.store)
    reply = Client(scene.settings(), tmp_path / "none").ask(f"/open?token={token}")
    assert reply.status == 401
    assert "set-cookie" not in reply.headers


def test_an_old_link_and_an_old_cookie_are_worth_nothing(scene, tmp_path, monkeypatch):
    client = signed_in(scene.settings(), tmp_path)
    token = access.new_link_token(access.ensure_key(scene.store))
    now = time.time()
    monkeypatch.setattr(access.time, "time", lambda: now + access.LINK_SECONDS + 1)
    assert client.ask(f"/open?token={token}", headers={"Cookie": ""}).status == 401
    assert client.ask(f"{BASE}/pulse").status == 200
    monkeypatch.setattr(access.time, "time", lambda: now + access.COOKIE_SECONDS + 1)
    reply = client.ask(f"{BASE}/pulse")
    assert (reply.status, reply.json["code"]) == (401, "signed_out")


def test_a_link_is_no_cookie_and_a_cookie_no_link(scene, browser):
    key = access.ensure_key(scene.store)
    name = browser.headers["Cookie"].partition("=")[0]
    link = access.new_link_token(key)
    assert browser.ask(f"{BASE}/pulse", headers={"Cookie": f"{name}={link}"}).status == 401
    cookie = browser.headers["Cookie"].partition("=")[2]
    assert browser.ask(f"/open?token={cookie}").status == 401


def test_a_new_key_ends_every_session(scene, tmp_path):
    client = signed_in(scene.settings(), tmp_path)
    assert client.ask(f"{BASE}/pulse").status == 200
    access.ensure_key(scene.store, is_new=True)
    assert client.ask(f"{BASE}/pulse").status == 401
    assert client.ask("/").status == 401
    (scene.store / access.KEY_FILE).unlink()
    assert client.ask(f"{BASE}/pulse").status == 401


def test_signing_out_ends_this_session(scene, tmp_path):
    client = signed_in(scene.settings(), tmp_path)
    other = signed_in(scene.settings(), tmp_path)
    assert client.ask("/sign-out", "POST", {}).status == 200
    assert client.ask(f"{BASE}/pulse").status == 401
    assert other.ask(f"{BASE}/pulse").status == 200


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(scene, tmp_path):
    client = Client(scene.settings(), tmp_path / "none")
    token = access.new_link_token(access.ensure_key(scene.store))
    cookie = client.ask(f"/open?token={token}").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "max-age=43200" in cookie


# -- another page in the same browser


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://localhost:17893"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_page_gets_403_with_our_own_cookie(browser, headers):
    for path, method in ((f"{BASE}/pulse", "GET"), (f"{BASE}/acts", "POST"), ("/", "GET")):
        reply = browser.ask(path, method, {} if method == "POST" else None, headers)
        assert (reply.status, reply.json["code"]) == (403, "foreign")


def test_a_cookie_alone_can_ask_nothing_of_the_api(browser):
    """Cookies go to every port of 127.0.0.1, so another user's server may have seen it: the key it has not."""
    for wrong in ("", "0" * 64):
        reply = browser.ask(f"{BASE}/pulse", headers={"X-Hermesguard-Page": wrong})
        assert (reply.status, reply.json["code"]) == (401, "signed_out")
    page = browser.ask("/")
    assert page.status == 200
    assert browser.headers["X-Hermesguard-Page"].encode() not in page.body, "nor does the page tell it"


def test_a_post_without_an_origin_is_refused(browser):
    assert browser.ask(f"{BASE}/acts", "POST", {}, {"Origin": ""}).status == 403


def test_a_form_of_another_page_cannot_post(browser):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert browser.ask(f"{BASE}/acts", "POST", {"act": "undo"}, {"Content-Type": kind}).status == 415


def test_every_answer_forbids_foreign_script_and_frames(browser):
    for path in ("/", "/assets/main.js", f"{BASE}/pulse", f"{BASE}/nothing", "/nothing"):
        headers = browser.ask(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path", ["/assets/../page/app.py", "/assets/%2e%2e/app.py", "/assets/.hidden", "/assets//etc/passwd"]
)
def test_only_assets_are_served(browser, path):
    assert browser.ask(path).status == 404


# -- another user of the machine


def test_the_key_is_for_the_owner_alone(scene):
    access.ensure_key(scene.store)
    path = scene.store / access.KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(scene.store.stat().st_mode) == 0o700


def test_another_user_gets_nothing_from_the_port_and_no_link(scene, tmp_path):
    """As nobody: no token, no key, and `hermesguard open` says who may."""
    access.ensure_key(scene.store)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with Serving(tmp_path, scene.store, scene.sessions) as page:
        script = (
            "import urllib.request as u, urllib.error as e, sys\n"
            "for path in ('/api/v1/now', '/', '/api/v1/sessions', '/assets/main.js'):\n"
            "    try: u.urlopen(f'http://127.0.0.1:{sys.argv[1]}{path}'); print(200)\n"
            "    except e.HTTPError as error: print(error.code)\n"
        )
        found = subprocess.run(
            [*as_nobody, "/usr/bin/python3", "-c", script, str(page.port)],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert found.stdout.split() == ["503", "401", "503", "401"], found.stderr
    refused = subprocess.run(
        [*as_nobody, "cat", str(scene.store / access.KEY_FILE)], capture_output=True, timeout=30
    )
    assert refused.returncode != 0


def test_open_asks_no_stranger_at_the_port(scene, tmp_path):
    """Another user's server at our port gets neither link nor token."""
    stranger = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert stranger.stdout
        port = stranger.stdout.readline().split(" port ")[1].split()[0]
        result = scene.run("open", "--no-browser", environment={"HERMESGUARD_PAGE_PORT": port})
        assert result.returncode == 1
        assert b"taken by something else" in result.stderr
        assert b"token" not in result.stdout
    finally:
        stranger.terminate()
        stranger.wait(30)
        assert stranger.stdout
        stranger.stdout.close()


# -- hostile conversations


def test_a_hostile_conversation_is_text_and_stays_small(tmp_path):
    scene = cli_store.make(tmp_path / "scene")
    chat = scene.app.create(HOSTILE, session_id="hostile", turns=1)
    arguments = {"function": {"name": "\x04" * 9000, "arguments": "\x05" * 9000}}
    chat.document["messages"] += [
        {"role": HOSTILE * 50, "content": HOSTILE, "timestamp": float("nan")},
        {"role": "assistant", "content": "x" * 1_000_000},
        {"role": "user", "content": "\x01" * 300_000, "reasoning": "\x02" * 300_000},
        {"role": "tool", "content": "\x03" * 300_000},
        {
            "role": "assistant",
            "content": [{"type": "image_url", "image_url": {"url": "data:" + "A" * 500_000}}],
        },
        {"role": "assistant", "content": 7, "tool_calls": [arguments] * 60},
        *(["no object"], None, 7),
    ]
    chat.document["title"] = HOSTILE + "y" * 400_000
    chat.path.write_text(json.dumps(chat.document))
    scene.scan()
    client = by_webui(scene.settings(), tmp_path)
    seen = first = 0
    number = 1
    while number:
        reply = client.ask(f"{BASE}/sessions/hostile/versions/latest/messages?from={number}&limit=500")
        assert reply.status == 200
        assert len(reply.body) < 512 * 1024
        assert reply.headers["content-type"].startswith("application/json")
        page = reply.json
        seen += len(page["messages"])
        first = first or page["messages"][2]["text"] == HOSTILE
        number = page["next"]
    assert seen == len(chat.document["messages"])
    assert first, "the text is as it was written"
    for path in ("", "/timeline", "/diff", "/versions/live/messages"):
        reply = client.ask(f"{BASE}/sessions/hostile{path}")
        assert reply.status == 200, path
        assert len(reply.body) < 512 * 1024
    for path in ("/sessions", "/now", "/lost"):
        assert len(client.ask(BASE + path).body) < 512 * 1024
    text, offset = "", 0
    while offset is not None:
        piece = client.get("/sessions/hostile/versions/latest/messages/4", offset=offset)
        text, offset = text + piece["text"], piece["next"]
    assert text == "x" * 1_000_000


def test_halves_of_surrogates_are_replaced(tmp_path):
    from hermesguard.page.answers import encoded

    assert json.loads(encoded({"a": "x\ud800y", "b": float("inf"), "c": 10**30})) == {
        "a": "x\ufffdy",
        "b": None,
        "c": 10**30,
    }


@pytest.mark.parametrize("name", ["..", "%2e%2e%2fetc", "a" * 5000, "\u202e", "_index", ".json", "%00"])
def test_no_other_name_becomes_a_path(scene, tmp_path, name):
    client = by_webui(scene.settings(), tmp_path)
    for tail in ("", "/timeline", "/versions/live/messages", "/diff"):
        assert client.ask(f"{BASE}/sessions/{name}{tail}").status == 404
    assert client.ask(f"{BASE}/sessions/{scene.wiped}/versions/{name}/messages").status == 404
    for act in ({"act": "restore", "session": name, "version": "latest"}, {"act": "accept", "session": name}):
        assert client.post("/acts/preview", act).status == 404
    assert client.post("/acts/preview", {"act": "undo", "incident": name}).status == 404


def test_the_page_writes_nothing_into_store_and_sessions(scene, tmp_path):
    client = by_webui(scene.settings(), tmp_path)

    def all_stamps():
        return {
            os.path.join(folder, name): os.lstat(os.path.join(folder, name)).st_mtime_ns
            for root in (scene.store, scene.sessions)
            for folder, _, names in os.walk(root)
            for name in names
        }

    before = all_stamps()
    for path in (
        "/now",
        "/sessions",
        "/lost",
        f"/sessions/{scene.wiped}/timeline",
        f"/sessions/{scene.undone}/diff",
    ):
        client.get(path)
    client.result(client.post("/find", {"words": "garden"}))
    client.post("/acts/preview", {"act": "undo", "incident": "1"})
    client.post("/acts", {"act": "undo", "incident": "1"})
    assert all_stamps() == before


def test_no_text_gets_into_a_log(scene, tmp_path):
    environment = environment_for(tmp_path)
    assert "HERMESGUARD_DEBUG" not in environment
    with Serving(tmp_path, scene.store, scene.sessions) as page:
        page.ask("/api/v1/find?words=secret-words", "POST", {"words": "secret-words"})
        page.ask("/secret-words")
        page.process.terminate()
        page.process.wait(20)
        assert page.process.stderr
        assert page.process.stderr.read() == b""
