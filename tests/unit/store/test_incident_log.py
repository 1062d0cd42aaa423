"""The incident log may hold anything: what is ours is found among it, the rest is kept as it stands, in bounded memory."""

import json
import tracemalloc
from pathlib import Path

import pytest

from hermesguard import files
from hermesguard.store import incidents
from hermesguard.store.incidents import Incident, IncidentLog

OURS = Incident("3", "2026-11-26T10:00:00+00:00", "aaaa11112222", "restored", "restored")


def write(store: Path, data: bytes) -> Path:
    path = store / incidents.FILE_NAME
    path.write_bytes(data)
    return path


def test_ours_are_found_and_the_rest_stays_as_it_stands(tmp_path: Path) -> None:
    odd = [
        b"\xff\x00\xfe\n",
        b"[" * 200_000 + b"\n",  # longer than any line of ours, and nested
        b'{"id": "5", "time": NaN}\n',
        json.dumps(OURS._asdict() | {"id": 7}).encode() + b"\n",
        OURS.line().rstrip(b"\n") + b" " * 100_000 + b"\n",  # its beginning is as one of ours
        b"no newline behind it",
    ]
    write(tmp_path, b"".join([odd[0], OURS.line(), b"\n", OURS.line(), *odd[1:]]))
    found, strange = incidents.sort_out(tmp_path)
    assert found == [OURS]
    assert (bytes(strange.data), strange.count) == (b"".join(odd), len(odd))


def test_a_million_odd_lines_take_little_memory(tmp_path: Path) -> None:
    data = b"".join(b"%x\n" % number for number in range(100_000, 200_000))
    write(tmp_path, data + OURS.line())
    tracemalloc.start()
    try:
        found, strange = incidents.sort_out(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found, strange.count) == ([OURS], 100_000)
    assert peak < 5 * len(data)


@pytest.mark.parametrize("limit", ["_MOST_LINES", "_MOST_INCIDENTS"])
def test_more_lines_than_can_be_sorted_out_in_seconds_are_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(incidents, limit, 3)
    write(tmp_path, b"".join(OURS._replace(id=str(number)).line() for number in range(1, 6)))
    with pytest.raises(files.TooLarge):
        incidents.sort_out(tmp_path)
    assert incidents.read_all(tmp_path) == []


def test_a_log_that_became_too_large_is_not_written_anew_without_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = IncidentLog(tmp_path)
    log.append(OURS)
    monkeypatch.setattr(incidents, "_LONGEST_LOG_BYTES", 10)
    for _ in range(incidents.MOST_OUTDATED + 5):
        log.append(OURS)
    assert len((tmp_path / incidents.FILE_NAME).read_bytes()) > 100 * len(OURS.line())


def test_a_log_that_grows_while_it_is_read_has_an_end(tmp_path: Path) -> None:
    path = write(tmp_path, b"x\n")
    read = 0
    for line, _ in files.lines(path, 100, 10):
        read += len(line)
        with path.open("ab") as file:
            file.write(line * 5000)
    assert read == 100
