"""The sidecar contract of hermes-webui (proxy_auth: token-v1), point by point, without the application."""

import json
import os
import select
import socket
from pathlib import Path

import pytest

from hermesguard.page import answers, app
from tests.helpers import cli_store
from tests.helpers.page_client import BASE, TOKEN, Client, Serving, by_webui

PROXY_MOST_BYTES = 512 * 1024
PROXY_SECONDS = 10


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return cli_store.make(tmp_path_factory.mktemp("page"))


@pytest.fixture
def webui(scene, tmp_path):
    return by_webui(scene.settings(), tmp_path)


def routes(client: Client) -> list[tuple[str, str]]:
    """Every route that the application has, with something in its places."""
    application = client.gate._inner
    found = [(route.method, route.rule) for route in application.routes]
    return [
        (
            method,
            rule.replace("<sid>", "abc")
            .replace("<version>", "latest")
            .replace("<number>", "1")
            .partition("<")[0],
        )
        for method, rule in found
        if rule != "/open"
    ]


def test_health_alone_is_open_and_tells_nothing(webui):
    for method in ("GET", "HEAD"):
        reply = webui.ask("/health", method, headers={"X-Hermes-Sidecar-Token": ""})
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["cache-control"] == "no-store"
    assert reply.json == {"ok": True, "service": "hermesguard", "api": 1}
    assert webui.ask("/health", "POST", {}, {"X-Hermes-Sidecar-Token": ""}).status == 401


@pytest.mark.parametrize("token", ["", "x", TOKEN + "x", TOKEN[:-1], "\xe4\xf6\xfc"])
def test_without_the_right_token_every_route_is_401(webui, token):
    checked = routes(webui)
    assert len(checked) > 15
    for method, path in checked:
        reply = webui.ask(path, method, {}, {"X-Hermes-Sidecar-Token": token})
        assert reply.status == 401, (method, path)
        assert "access-control-allow-origin" not in reply.headers
        assert TOKEN.encode() not in reply.body


def test_without_a_token_file_it_is_503(webui):
    for content in (None, b"", b"\n", b"short", b"\xff\xfe" * 20, b"a" * 5000):
        if content is None:
            webui.token_file.unlink()
        else:
            webui.token_file.write_bytes(content)
        reply = webui.ask(f"{BASE}/pulse")
        assert (reply.status, reply.json["code"]) == (503, "no_token"), content
        assert webui.ask(f"{BASE}/pulse", headers={"X-Hermes-Sidecar-Token": ""}).status == 503


def test_a_token_that_may_not_be_read_or_is_no_file_is_503(webui):
    webui.token_file.unlink()
    webui.token_file.mkdir()
    assert webui.ask(f"{BASE}/pulse").status == 503
    webui.token_file.rmdir()
    os.mkfifo(webui.token_file)
    assert webui.ask(f"{BASE}/pulse").status == 503, "and it does not hang at a pipe"


def test_the_token_is_read_at_each_request(webui):
    assert webui.get("/pulse")
    webui.token_file.write_text("another-token-that-was-made-since-01234\n")
    assert webui.ask(f"{BASE}/pulse").status == 401, "the old one is worth nothing at once"
    webui.headers["X-Hermes-Sidecar-Token"] = "another-token-that-was-made-since-01234"
    assert webui.get("/pulse")["kind"] == "pulse"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:17893",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "10.0.0.1",
        "localhost.",
        "",
    ],
)
def test_a_foreign_host_is_403_even_with_the_token(webui, host):
    reply = webui.ask(f"{BASE}/pulse", headers={"Host": host})
    assert (reply.status, reply.json["code"]) == (403, "foreign")
    assert webui.ask("/health", headers={"Host": host}).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1:17893", "localhost:8000", "[::1]:17893", "LOCALHOST"])
def test_names_of_this_machine_are_its_own(webui, host):
    assert webui.ask(f"{BASE}/pulse", headers={"Host": host}).status == 200


def test_where_the_page_of_webui_comes_from_is_left_to_webui(webui):
    foreign = {"Origin": "https://chat.example.org", "Sec-Fetch-Site": "same-origin"}
    assert webui.ask(f"{BASE}/pulse", headers=foreign).status == 200


def test_no_answer_lets_another_page_read_it(webui):
    reply = webui.ask(f"{BASE}/pulse", "OPTIONS", headers={"Origin": "https://evil.example"})
    assert reply.status == 405
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_an_answer_that_is_too_large_for_the_proxy_is_a_problem_instead(webui, monkeypatch):
    assert answers.MOST_BYTES < PROXY_MOST_BYTES
    monkeypatch.setattr(app, "MOST_BYTES", 100)
    reply = webui.ask(f"{BASE}/status")
    assert (reply.status, reply.json["code"]) == (500, "internal")


def test_status_codes_that_the_api_promises(webui):
    asked = {
        405: webui.ask(f"{BASE}/now", "POST", {}),
        404: webui.ask(f"{BASE}/nothing"),
        415: webui.ask(f"{BASE}/find", "POST", {"words": "x"}, {"Content-Type": "text/plain"}),
        413: webui.ask(f"{BASE}/find", "POST", {"words": "x" * 70_000}),
        400: webui.ask(
            f"{BASE}/find", "POST", raw=b"{nonsense", headers={"Content-Type": "application/json"}
        ),
    }
    for status, reply in asked.items():
        assert reply.status == status
        assert reply.json["kind"] == "error"
        assert reply.json["what"]
    for path in (
        "/sessions?state=odd",
        "/sessions?sort=odd",
        "/sessions?offset=-1",
        "/lost?kind=odd",
        "/now?lately=x",
    ):
        assert webui.ask(BASE + path).status == 400, path


def test_a_fault_of_our_own_is_a_sentence_and_no_traceback(webui, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("secret words of a conversation")

    monkeypatch.setattr("hermesguard.page.reads.pulse", broken)
    reply = webui.ask(f"{BASE}/pulse")
    assert (reply.status, reply.json["code"]) == (500, "internal")
    said = capsys.readouterr()
    assert "secret" not in reply.body.decode() + said.err + said.out
    assert "RuntimeError at test_contract.py" in said.err


def test_a_slow_client_keeps_nobody_waiting_and_is_dropped(scene, tmp_path):
    """Half a request, and one that never reads: the others are answered at once, and it goes after ten seconds."""
    (tmp_path / "token").write_text(TOKEN)
    with Serving(
        tmp_path, scene.store, scene.sessions, HERMES_EXT_SIDECAR_TOKEN_FILE=str(tmp_path / "token")
    ) as page:
        slow = [socket.create_connection(("127.0.0.1", page.port)) for _ in range(12)]
        for connection in slow:
            connection.sendall(b"GET /api/v1/now HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        reply = page.ask(f"{BASE}/pulse", X_Hermes_Sidecar_Token=TOKEN)
        assert reply.status == 200
        assert not select.select(slow, [], [], 0)[0], "all of them wait still, so nobody waited for them"
        for connection in slow:
            connection.settimeout(6 * PROXY_SECONDS)
            assert connection.recv(100) == b"", "it is closed"
        for connection in slow:
            connection.close()


def test_nothing_is_left_of_a_process_that_nobody_asks(scene, tmp_path):
    with Serving(tmp_path, scene.store, scene.sessions, "--page-idle", "1s") as page:
        assert page.process.wait(20) == 0
        assert page.process.stderr
        assert page.process.stderr.read() == b""


def test_where_the_token_is_looked_for(tmp_path):
    from hermesguard.page.access import token_file

    sessions = tmp_path / "webui" / "sessions"
    name = Path("sidecar-auth") / "hermesguard.token"
    assert token_file(sessions, {}) == tmp_path / "webui" / name
    assert token_file(sessions, {"HERMES_HOME": "/h"}) == Path("/h/webui") / name
    both = {"HERMES_HOME": "/h", "HERMES_WEBUI_STATE_DIR": "/s"}
    assert token_file(sessions, both) == Path("/s") / name
    assert token_file(sessions, both | {"HERMES_EXT_SIDECAR_TOKEN_FILE": "/t"}) == Path("/t")


def test_every_answer_is_json_with_its_kind(scene, webui):
    for path in ("/pulse", "/status", "/now", "/sessions", "/incidents", "/lost", f"/sessions/{scene.wiped}"):
        reply = webui.ask(BASE + path)
        assert reply.headers["content-type"].startswith("application/json")
        assert json.loads(reply.body)["schema_version"] == 2
        assert reply.headers["cache-control"] == "no-store"
