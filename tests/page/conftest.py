"""One browser for all tests of the page, and a stand-in of its server for each."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.helpers.page_browser import Visitor, chromium
from tests.helpers.page_stand_in import StandIn
from tests.helpers.page_world import standard


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """Opens pages; nothing may go wrong in them unseen."""
    one = Visitor(browser)
    yield one
    one.close()
    assert one.faults == []


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn(standard()) as one:
        yield one
