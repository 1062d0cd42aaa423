import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.selectors import LATEST, LIVE, find_session, find_version, parse_moment, split_version
from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident

TITLES = {
    "3f2a00000001": "The garden in spring",
    "3f2b00000002": "Garden tools",
    "20260430_151231_7209a0": "Taxes",
    "cron_backup": "Straße nach Süden",
}
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _zone(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def find(text, titles=TITLES):
    return find_session(text, titles, lambda: titles)


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("3f2a00000001", "3f2a00000001"),
        ("3f2a", "3f2a00000001"),
        ("c", "cron_backup"),
        ("3f2a00000001.json", "3f2a00000001"),
        ("/srv/sessions/cron_backup.json", "cron_backup"),
        ("taxes", "20260430_151231_7209a0"),
        ("spring GARDEN", "3f2a00000001"),
        ("STRASSE", "cron_backup"),
    ],
)
def test_a_session_by_id_prefix_or_title(text, session):
    assert find(text) == session


def test_titles_are_not_read_when_an_id_fits():
    def titles():
        raise AssertionError

    assert find_session("3f2a", TITLES, titles) == "3f2a00000001"


def refusal(*arguments):
    with pytest.raises(GuardError) as caught:
        find(*arguments)
    assert caught.value.exit_code == ExitCode.NOT_FOUND
    return str(caught.value)


def test_several_are_listed_with_their_titles():
    for text in ("3f2", "garden"):
        message = refusal(text)
        assert f'2 sessions fit "{text}"' in message
        assert "  3f2a00000001  The garden in spring\n  3f2b00000002  Garden tools\n" in message
    many = refusal("s", {f"s{number:02}": "" for number in range(30)})
    assert many.count("\n  s") == 10
    assert "and 20 more" in many


def test_nothing_found_names_the_three_nearest():
    message = refusal("tax office garden")
    assert message.count("\n  ") == 3
    assert refusal("3f2c").index("3f2") > 0
    nearest = refusal("cron_bakcup").splitlines()
    assert nearest[1].split()[0] == "cron_backup"
    assert "no sessions yet" in refusal("x", {})


def test_an_empty_text_is_no_session():
    for text in ("", " "):
        assert "No session is called" in refusal(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("3f2a", ("3f2a", None)),
        ("3f2a@latest", ("3f2a", "latest")),
        ("3f2a@-2", ("3f2a", "-2")),
        ("3f2a@2026-11-22T10:00", ("3f2a", "2026-11-22T10:00")),
        ("3f2a@20261122T100000.000000Z", ("3f2a", "20261122T100000.000000Z")),
        ("mail to ada@example", ("mail to ada@example", None)),
        ("ada@example@live", ("ada@example", "live")),
        ("@live", ("", "live")),
    ],
)
def test_a_version_is_split_off(text, parts):
    assert split_version(text) == parts


def at(minute):
    return datetime(2026, 11, 22, 9, minute, tzinfo=UTC)


def versions(*minutes, reason="loss"):
    found = []
    for minute in minutes:
        path = Path(f"{at(minute):%Y%m%dT%H%M%S.%fZ}-3-{reason}-0123456789abcdef.json.gz")
        found.append(Version("3f2a", path, at(minute), 3, reason, "0123456789abcdef", 10))
    return found


def chosen(text, known, log=()):
    return find_version(text, "3f2a", known, log, NOW)


def test_versions_by_word_by_place_by_name():
    known = versions(0, 10, 20)
    assert chosen("latest", known) is LATEST
    assert chosen("live", known) is LIVE
    assert chosen("-1", known).version is known[2]
    assert chosen("-3", known).version is known[0]
    assert chosen("-0", known) is LATEST
    assert chosen(known[1].name, known).version is known[1]
    assert chosen("20261122T0910", known).version is known[1]
    assert chosen("-1", known).name == known[2].name


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("2026-11-22T09:05Z", 1),
        ("2026-11-22T10:05", 1),  # the clock of the reader, an hour ahead
        ("2026-11-22T09:10:00+00:00", 1),
        ("2026-11-21", 0),
        ("10:15", 2),
        ("2026-11-22T09:21Z", None),
        ("2027-01-01", None),
    ],
)
def test_versions_by_time_are_what_was_newest_then(text, place):
    known = versions(0, 10, 20)
    found = chosen(text, known)
    assert found == LATEST if place is None else found.version is known[place]


@pytest.mark.parametrize("reason", ["displaced", "leftover"])
def test_what_was_put_aside_never_was_the_newest_good_copy(reason):
    lost, aside = versions(10)[0], versions(11, reason=reason)[0]
    assert chosen("2026-11-22T09:05Z", [lost, aside]).version is lost
    assert chosen("2026-11-22T09:10:30Z", [lost, aside]) == LATEST
    assert chosen("-1", [lost, aside]).version is aside


def test_what_a_user_replaced_was_the_newest_good_copy_until_then():
    replaced = versions(11, reason="displaced")[0]
    by_user = Incident("2", at(11).isoformat(), "3f2a", "restored_by_user", "restored", version=replaced.name)
    assert chosen("2026-11-22T09:10:30Z", [replaced], [by_user]).version is replaced
    assert chosen("2026-11-22T09:11:30Z", [replaced], [by_user]) == LATEST


def test_the_same_content_is_found_however_often_it_was_lost():
    lost = versions(10)[0]
    log = [
        Incident(str(minute), at(minute).isoformat(), "3f2a", "restored", "restored", version=lost.name)
        for minute in (10, 30)
    ]
    assert chosen("2026-11-22T09:20Z", [lost], log).version is lost
    assert chosen("2026-11-22T09:31Z", [lost], log) == LATEST


@pytest.mark.parametrize("text", ["-4", "-99999999", "yesteryear", "", "1-1", "٣"])
def test_a_version_that_is_not_there_is_refused_with_what_there_is(text):
    with pytest.raises(GuardError, match="hermesguard history 3f2a") as caught:
        chosen(text, versions(0, 10, 20))
    assert caught.value.exit_code == ExitCode.NOT_FOUND
    assert "@20261122T092000.000000Z" in str(caught.value)


def test_a_start_of_several_names_is_refused():
    with pytest.raises(GuardError, match="More than one version"):
        chosen("20261122T09", versions(0, 10))
    with pytest.raises(GuardError, match="nothing in its history"):
        chosen("-1", [])


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("0", NOW),
        ("today", datetime(2026, 11, 21, 23, 0, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 20, 23, 0, tzinfo=UTC)),
        ("10:30", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 21, 23, 0, tzinfo=UTC)),
        ("2026-11-22 10:30", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)),
    ],
)
def test_times_as_people_write_them(text, when):
    assert parse_moment(text, NOW) == when


@pytest.mark.parametrize("text", ["", "soon", "25:00", "-2h", "0001-01-01T00:00"])
def test_what_is_no_time(text):
    with pytest.raises(GuardError, match="is not a time") as caught:
        parse_moment(text, NOW)
    assert caught.value.exit_code == ExitCode.USAGE
