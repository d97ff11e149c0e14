"""Settings as they are logged: no password, whatever the URL looks like."""

import pytest

from facematch.settings import Settings

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
