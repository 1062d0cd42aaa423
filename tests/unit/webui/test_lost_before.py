"""What the application's lists say of a session, whatever stands in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from hermesguard.webui.lists import lost_before
from hermesguard.webui.lists.lost_before import Listed


@pytest.mark.parametrize("count", [10**30, 2**53, -1, True, 1e300, 7.0, float("nan"), "7", None, [7], {}])
def test_a_count_that_no_file_has_counts_for_nothing(tmp_path: Path, count: Any) -> None:
    entries = [
        {"session_id": "aaaa", "message_count": count, "title": "A"},
        {"session_id": "bbbb", "message_count": 7, "title": ["B"]},
    ]
    (tmp_path / "_index.json").write_text(json.dumps(entries))
    found = lost_before.remains(tmp_path)
    assert found.listed == {"aaaa": Listed(0, "A"), "bbbb": Listed(7, "")}
    assert [sign.session for sign in lost_before.signs(tmp_path, found, {}) if sign] == ["bbbb"]
