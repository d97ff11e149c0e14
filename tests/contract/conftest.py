"""Fixtures of the tests that an index must pass whatever becomes of it or of its store."""

from collections.abc import Iterator
from typing import cast

import pytest
from servers import RedisServer
from writers import Writer, writing


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> RedisServer:
    """Redis, and Valkey, running and empty."""
    return cast(RedisServer, request.getfixturevalue(f"{request.param}_server"))


@pytest.fixture
def writer(server: RedisServer) -> Iterator[Writer]:
    """Who writes into it."""
    with writing(server) as writer:
        yield writer
