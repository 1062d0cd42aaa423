"""The page that `report` writes: whole in itself, true to the store, and without a word that was said."""

import base64
import hashlib
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hermesguard.cli.report import series
from hermesguard.cli.report.page import Table, html
from hermesguard.cli.report.series import Chart, Series
from hermesguard.demo import losses
from hermesguard.errors import ExitCode
from tests.helpers import cli_store, lost_home

EVIL = '</td><script>alert("x")</script><img src="http://example.org/x">\x1b[31m'

OF_NO_SESSION = {
    "id": "99",
    "time": "2026-01-02T03:04:05.678901+00:00",
    "session": "a0000000ffff",
    "event": "missing",
    "action": "held",
    "verdict": "uncertain",
    "rule": "",
    "evidence": [],
}
"""An incident of which the store has nothing but this."""


class Page(HTMLParser):
    """What a browser would find: every tag with its attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.charts = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append((tag, values))
        if tag == "svg":
            self.charts.append([])
        elif self.charts and (
            "dot" in (values.get("class") or "").split() or "rect" in (values.get("class") or "").split()
        ):
            self.charts[-1].append(values)

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    found = cli_store.make(tmp_path_factory.mktemp("page"))
    chat = found.app.create(EVIL, session_id="3f2c00000003", turns=4)
    found.scan()
    chat.document["active_stream_id"] = "a-stream-that-ended"
    chat.save()
    found.scan()
    losses.wipe(chat)
    found.scan()
    return found


@pytest.fixture(scope="module")
def text(scene, tmp_path_factory):
    target = tmp_path_factory.mktemp("out") / "page.html"
    result = scene.run("report", "-o", target)
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().startswith(f"The report is in {target} (")
    assert target.stat().st_mode & 0o777 == 0o600
    return target.read_text("utf-8")


def test_the_page_needs_nothing_but_itself(text):
    page = Page(text)
    assert [values for tag, values in page.tags if tag == "script"] == [{}], "its own alone"
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "image", "use"}
    for tag, attributes in page.tags:
        assert not {
            name
            for name, value in attributes.items()
            if (name in ("src", "href", "xlink:href") and not value.startswith("#")) or name.startswith("on")
        }, tag
    assert "url(" not in text
    assert "@import" not in text
    policy = next(values["content"] for tag, values in page.tags if values.get("http-equiv"))
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    field = next(values for tag, values in page.tags if values.get("id") == "search")
    assert "hidden" in field, "without script there is no field that does nothing"


def test_a_title_is_text_whatever_it_says(text):
    words = "".join(Page(text).words)
    assert '</td><script>alert("x")</script>' in words
    assert "\\x1b[31m" in words
    assert "\x1b" not in text


def test_titles_and_ids_but_no_message(scene, text):
    words = "".join(Page(text).words)
    for chat in scene.app.chats.values():
        assert chat.session_id in words
        assert not any(str(message["content"]) in words for message in chat.on_disk()["messages"])
    assert "The garden in spring" in words


def test_the_charts_have_a_point_for_each_value(scene, text):
    shown = json.loads(scene.run("report", "--json").stdout)["charts"]
    page = Page(text)
    assert [chart["name"] for chart in shown] == ["sessions", "incidents", "store"]
    assert len(page.charts) == len(shown)
    for chart, points in zip(shown, page.charts, strict=True):
        values = sum(len(series["values"]) for series in chart["series"])
        assert len(points) == values == len(chart["times"]) * len(chart["series"]), chart["name"]
    last = {series["name"]: series["values"][-1] for chart in shown for series in chart["series"]}
    assert last["sessions"] == 5
    assert last["newest copies"] == sum(path.stat().st_size for path in (scene.store / "shadows").iterdir())
    assert last["history"] == sum(path.stat().st_size for path in (scene.store / "history").glob("*/*"))
    incidents = next(chart for chart in shown if chart["name"] == "incidents")["series"]
    assert {series["name"]: sum(series["values"]) for series in incidents if any(series["values"])} == {
        "repaired": 2
    }


def test_the_page_says_first_whether_all_is_well(text):
    words = " ".join(" ".join(Page(text).words).split())
    assert words.index("Not well: no guard runs on this store.") < words.index("not running")
    assert "Newest incidents" in words


def test_where_the_page_goes(scene, tmp_path):
    (tmp_path / "directory").mkdir()
    refused = scene.run("report", "-o", tmp_path / "directory")
    assert refused.returncode == ExitCode.REFUSED
    assert b"is no file" in refused.stderr
    inside = scene.run("report", "-o", scene.sessions / "page.html")
    assert inside.returncode == ExitCode.REFUSED
    assert b"lies in the sessions directory" in inside.stderr
    nowhere = scene.run("report", "-o", tmp_path / "none" / "page.html")
    assert nowhere.returncode == ExitCode.FAILED
    assert nowhere.stderr.count(b"\n") == 1
    assert b"Make it first" in nowhere.stderr
    assert scene.run("report", "-o", "-").stdout.startswith(b"<!DOCTYPE html>")


def test_without_pygal_there_is_a_sentence(monkeypatch):
    from hermesguard.cli.report.charts import svg
    from hermesguard.errors import GuardError

    monkeypatch.setitem(sys.modules, "pygal", None)
    with pytest.raises(GuardError, match=r"pip install 'pygal>=3'"):
        svg(Chart("x", "X", "", (datetime.now(UTC),), (Series("x", (1,)),)))


NOW = datetime(2026, 11, 22, 10, 0, 30, tzinfo=UTC)


@given(st.timedeltas(timedelta(0), timedelta(days=365 * 100)))
@example(timedelta(days=419, seconds=36030, microseconds=1))
@example(timedelta(days=14, hours=20))
def test_ticks_are_few_and_cover_the_time(age):
    first = NOW - age
    ticks = series.ticks(first, NOW)
    assert len(ticks) <= 61
    assert ticks == sorted(set(ticks))
    assert ticks[-1] == NOW
    assert ticks[0] <= first


@given(
    st.lists(st.tuples(st.integers(0, 3600), st.integers(-5, 5)), max_size=30),
)
def test_a_running_sum_counts_what_happened_until_then(events):
    changes = [(NOW - timedelta(seconds=seconds), amount) for seconds, amount in events]
    ticks = [NOW - timedelta(seconds=seconds) for seconds in (3600, 1800, 60, 0)]
    assert series.running(ticks, changes) == tuple(
        sum(amount for when, amount in changes if when <= tick) for tick in ticks
    )


def test_a_deleted_session_counts_until_it_was_deleted(scene, tmp_path):
    own = cli_store.make(tmp_path)
    (own.store / "shadows" / f"{own.wiped}.json").unlink()
    sessions = json.loads(own.run("report", "--json").stdout)["charts"][0]["series"][0]["values"]
    assert sessions[-1] == 3
    assert max(sessions) == 4


@pytest.mark.parametrize(
    "minutes", [1, 20, 60, 60 * 20, 60 * 24 * 2, 60 * 24 * 9, 60 * 24 * 15, 60 * 24 * 400]
)
def test_no_two_times_under_a_chart_read_the_same(minutes):
    from hermesguard.cli.report.charts import svg

    ticks = tuple(series.ticks(NOW - timedelta(minutes=minutes), NOW))
    chart = Chart("x", "X", "", ticks, (Series("y", tuple(number % 3 for number in range(len(ticks)))),))
    drawn = ET.fromstring(svg(chart))
    under = [entry.text for entry in drawn.iter() if entry.get("class") == "major"]
    assert 2 <= len(set(under)) == len(under) <= 9
    axis = next(entry for entry in drawn.iter() if entry.get("class") == "axis y always_show")
    assert [entry.text for entry in axis.iter() if entry.tag.endswith("}text")] == ["0", "1", "2"]


def test_an_incident_leads_to_the_line_of_its_session_and_times_do_not_wrap():
    times = ("2026-01-02 03:04:05",)
    tables = [
        Table(
            "Incidents",
            ("#", "session", "when"),
            [("#1", "abc", *times), ("#2", "gone", *times)],
            "",
            links=1,
        ),
        Table("Sessions", ("session", "when"), [("abc", *times)], "", targets=0),
    ]
    text = html("t", "s", "h", (), True, (), (), tables)
    assert '<a href="#session-abc"><bdi>abc</bdi></a>' in text
    assert '<tr id="session-abc">' in text
    assert "#session-gone" not in text, "a link has a target"
    assert text.count('<td class="time"><bdi>2026-01-02 03:04:05</bdi></td>') == 3
    style = text.partition("<style>")[2].partition("</style>")[0]
    rule = next(line for line in style.splitlines() if "td.time" in line)
    assert "white-space: nowrap" in rule


def test_each_session_has_a_line_and_each_link_a_target(tmp_path):
    home = lost_home.make(tmp_path)
    scene = cli_store.Scene(home.root, home.app, "", "", "", "")
    places = {"HERMESGUARD_SESSIONS": str(home.sessions)}
    for number in range(250):
        home.app.create(f"Chat {number}", session_id=f"c{number:011x}", turns=1)
    scene.call("scan", **places)
    home.act()
    scene.call("scan", **places)
    with (scene.store / "incidents.jsonl").open("a") as log:
        log.write(json.dumps(OF_NO_SESSION) + "\n")
    code, text, err = scene.call("report", "-o", "-", **places)
    assert code == 0, err
    page = Page(text)
    ids = [values["id"] for _, values in page.tags if "id" in values]
    assert len(set(ids)) == len(ids)
    lines = {name.removeprefix("session-") for name in ids if name.startswith("session-")}
    every = {one["session"] for one in json.loads(scene.call("list", "--json", **places)[1])["sessions"]}
    assert len(every) == 258
    assert lines == every | {OF_NO_SESSION["session"]}
    links = [unquote(values["href"][1:]) for tag, values in page.tags if tag == "a"]
    assert set(links) <= set(ids)
    assert {f"session-{home.id(name)}" for name in home.chats} <= set(links)
    assert f"session-{OF_NO_SESSION['session']}" in links
    words = "".join(page.words)
    for title in lost_home.LOST.values():
        assert title in words
    assert f"salvage --restore {home.id('wiped')}" in words


def test_only_a_word_that_is_wider_than_a_column_is_broken():
    table = Table("T", ("title", "state"), [("x" * 200, "unreadable"), ("two words", "fine")], "")
    text = html("t", "s", "h", (), True, (), (), [table])
    assert text.count('<td class="long">') == 1
    assert "<td><bdi>unreadable</bdi></td>" in text
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert ".list td { overflow-wrap: break-word; }" in style
    assert ".list td.long, code span.long { overflow-wrap: anywhere; white-space: normal; }" in style


def test_what_is_read_in_the_dark_has_colours_of_its_own(text):
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "color-scheme: light dark" in style
    light, dark = (
        set(re.findall(r"--\w+(?=:)", part))
        for part in style.split("@media (prefers-color-scheme: dark)")[:2]
    )
    assert light
    assert light == dark
    assert set(re.findall(r"var\((--\w+)\)", style)) <= dark
    rules = [line for line in style.splitlines() if not line.lstrip().startswith((":root", "--"))]
    assert not re.findall(r":[^:{};]*#[0-9a-f]{3,6}\b", "\n".join(rules)), (
        "a colour that the dark does not change"
    )
