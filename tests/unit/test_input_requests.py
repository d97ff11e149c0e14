"""Whatever is asked of the api, on a real Redis: a problem with a stable code and never a 500, and
what was refused has changed nothing in the store.

INPUT_EXAMPLES makes it longer: so many requests of each kind.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from nasty_requests import COLLECTION, KINDS, PICTURE, Asked
from servers import RedisServer
from werkzeug.test import TestResponse

from api.problems import CONTENT_TYPE
from api.wsgi import assemble
from facematch.errors import CODES
from facematch.redis_connection import Redis, connect
from facematch.redis_store import RedisStore
from facematch.settings import Settings

EXAMPLES = int(os.environ.get("INPUT_EXAMPLES", "25"))
LIMIT = 200_000
#: Of keys, beyond which the store is begun anew: each answer is compared with all of it.
MOST_KEYS = 60
#: 503 where nothing is wrong: nobody searches here, and too much may wait.
MAY_BE_AWAY = {"search_unavailable", "backlog_full"}


@dataclass
class World:
    """The api on a real Redis, and what was asked so far."""

    client: FlaskClient
    redis: Redis
    refused: Counter[str] = field(default_factory=Counter)
    answered: int = 0

    def begin(self) -> None:
        """An empty collection, another one, and a picture that waits for a worker."""
        self.redis.flushall()
        RedisStore(self.redis).create("told", 0.6)
        assert self.client.post("/v1/collections", json={"name": COLLECTION}).status_code == 201
        assert self.client.post("/v1/images", data=PICTURE).status_code == 202

    def ask(self, asked: Asked) -> TestResponse:
        """As a server hands it on."""
        return self.client.open(
            asked.path.replace("?", "%3F").replace("#", "%23"),
            method=asked.method,
            query_string=dict(asked.query),
            headers=list(asked.headers),
            data=asked.body,
        )

    def digest(self) -> str:
        """Of all that is stored."""
        keys = sorted(self.redis.keys("*"))
        with self.redis.pipeline(transaction=True) as pipe:
            for key in keys:
                pipe.dump(key)
            values = pipe.execute()
        if len(keys) > MOST_KEYS:
            self.begin()
            return self.digest()
        return hashlib.sha256(repr([keys, values]).encode()).hexdigest()


@pytest.fixture(scope="module")
def world(redis_process: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    redis_process.start()
    redis_process.flush()
    folder: Path = tmp_path_factory.mktemp("requests")
    given = Settings(
        redis_url=redis_process.url,
        broker_url=redis_process.url,
        ledger=str(folder / "ledger"),
        max_bytes=LIMIT,
        backlog_bytes=10 * LIMIT,
    )
    (folder / "ledger").mkdir()
    service = assemble(given)
    with connect(redis_process.url) as client:
        world = World(service.app.test_client(), client)
        world.begin()
        yield world
        client.flushall()


@pytest.mark.parametrize("kind", KINDS)
def test_any_request_is_answered_or_refused_with_a_code(world: World, kind: str) -> None:
    before = [world.digest()]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # What fails is small as it is, and the store is another one each time.
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    )
    @given(KINDS[kind])
    def ask(asked: Asked) -> None:
        answer = world.ask(asked)
        after = world.digest()
        changed, before[0] = after != before[0], after
        world.answered += 1
        if answer.status_code < 400:
            return
        assert not changed, f"{answer.status_code}: {answer.text}"
        assert answer.status_code != 500, answer.text
        assert answer.content_type == CONTENT_TYPE
        if asked.method == "HEAD":
            return
        code = answer.json["code"]
        assert code in CODES
        assert answer.json["status"] == answer.status_code
        assert answer.status_code < 500 or code in MAY_BE_AWAY, code
        assert len(answer.json["detail"]) < 5000
        world.refused[code] += 1

    ask()


def test_so_many_were_refused(world: World, figure: Callable[[str], None]) -> None:
    codes = ", ".join(f"{code} {count}" for code, count in world.refused.most_common())
    figure(f"requests answered or refused with a stable code: {world.answered} ({codes})")
    figure("refused requests that changed the store: 0")
    assert len(world.refused) >= 5
