import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesguard.config import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("0", 0),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("1h 30m", 5400),
        (" 2w ", 1209600),
        ("3min", 180),
    ],
)
def test_durations(text, seconds):
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1s2", "1 y", "１s", "1e3s", "nan s", "36601d", "0x"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="no duration"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("1024", 1024),
        ("2GiB", 2**31),
        ("500 MB", 500_000_000),
        ("64M", 2**26),
        ("1.5kib", 1536),
        ("7 B", 7),
    ],
)
def test_sizes(text, size_bytes):
    assert units.parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "GiB", "-1", "1 EiB", "1,5GiB", "٣", "1 GiB free", "9" * 400 + ".5"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="no size"):
        units.parse_size(text)


@given(st.integers(0, 10**9))
def test_exact_forms_are_read_back_exactly(number):
    assert units.parse_duration(units.exact_duration(number)) == number
    assert units.parse_size(units.exact_size(number)) == number
    milliseconds = number % 10**7 / 1000
    assert units.parse_duration(units.exact_duration(milliseconds)) == pytest.approx(milliseconds, rel=1e-12)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.00016, "0.16 ms"), (0.0034, "3.4 ms"), (0.12, "120 ms"), (12.4, "12 s"),
        (300, "5 min"), (3 * 3600, "3 h"), (5 * 86400, "5 d"),
    ],
)  # fmt: skip
def test_durations_for_reading(seconds, text):
    assert units.about_duration(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (145_408, "142 KiB"), (3 * 2**30, "3.0 GiB"), (2**50, "1024.0 TiB")],
)  # fmt: skip
def test_sizes_for_reading(size_bytes, text):
    assert units.about_size(size_bytes) == text
