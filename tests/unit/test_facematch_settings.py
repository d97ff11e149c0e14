"""Settings: which are refused, and how they are logged: without a password, whatever the URL."""

import pytest

from facematch.errors import Misconfigured
from facematch.settings import Settings, load

SECRET = "geheim"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://redis:6379/0", "redis://redis:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("amqp://guest:geheim@rabbitmq:5672/%2F", "amqp://guest:***@rabbitmq:5672/%2F"),
        ("redis://:geheim@redis/0", "redis://:***@redis/0"),
        ("redis://redis/0?password=geheim", "redis://redis/0?***"),
        ("unix:///run/redis.sock?password=geheim&db=1", "unix:///run/redis.sock?***"),
        ("redis://redis/0#geheim", "redis://redis/0#***"),
        ("redis://user:p[geheim@redis/0", "***"),
        ("redis://user:geheim@redis:port/0", "***"),
        ("redis://user:1/geheim@redis/0", "***"),
        ("redis://user:1?geheim@redis/0", "***"),
        ("redis://user:1#geheim@redis/0", "***"),
        ("redis://user:geheim/x@redis/0", "***"),
        ("redis:user:geheim@redis", "***"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    settings = Settings(redis_url=url, broker_url=url).shown()  # type: ignore[arg-type]
    assert settings["redis_url"] == settings["broker_url"] == shown
    assert SECRET not in str(settings)


def test_pictures_are_not_made_so_small_that_nobody_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for side in ("0", "320"):
        monkeypatch.setenv("FACEMATCH_MAX_SIDE", side)
        assert load().max_side == int(side)
    for side in ("1", "319", "-1"):
        monkeypatch.setenv("FACEMATCH_MAX_SIDE", side)
        with pytest.raises(Misconfigured, match="FACEMATCH_MAX_SIDE"):
            load()
