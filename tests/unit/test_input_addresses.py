"""Nothing leads to an address that is not public: not the way it is written, not a redirect, not a
name server that changes its mind. On a machine of its own, whose addresses are all canaries.

tests/unit/test_worker_fetch_addresses.py does what can be done anywhere. Where INPUT_EXAMPLES is
set, as `make input` does, all ways to write an address are tried, otherwise a part of them.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest
from walled import walled

STEP = 1 if os.environ.get("INPUT_EXAMPLES") else 4
#: How what leads nowhere ends; "reached" for names that are public every time they are asked for.
ENDS = {
    *("address_not_allowed", "bad_url", "unreachable", "reached", "too_many_redirects"),
    *("http_status", "fetch_timed_out", "fetch_failed"),
}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    told = walled(STEP)
    if told is None:
        pytest.skip("this machine lets nobody have a network of his own (unshare, ip)")
    return told


def test_what_is_public_is_reached_by_address_and_by_name(found: dict[str, Any]) -> None:
    assert set(found["fine"]) == {"reached"}
    assert found["asked"] > 100


def test_no_canary_is_reached_by_fetching_redirects_or_webhooks(
    found: dict[str, Any], figure: Callable[[str], None]
) -> None:
    assert found["reached"] == {}
    assert found["ends"].keys() <= ENDS
    assert found["ends"]["address_not_allowed"] > found["urls"]
    sung = sum(found["unguarded"].values())
    figure(f"ways to write an address, and names that resolve to one: {found['urls']}")
    figure(f"attempts to fetch, be redirected and post to them: {found['attempts']}")
    figure(f"connections to canaries: {sum(found['reached'].values())}, without the guard: {sung}")
    assert found["urls"] * STEP >= 150


def test_without_the_guard_the_canaries_sing(found: dict[str, Any]) -> None:
    """Or nothing would have been tried."""
    sung = found["unguarded"]
    assert sum(sung.values()) > 150 / STEP
    for address in ("127.0.0.1", "::1", "169.254.169.254", "10.0.0.1", "fd00:ec2::254"):
        assert sung[address] > 0
