"""Which broker a URL means. Only for the modules that set a process up: the driver is imported
when it is chosen, so that a process needs no other."""

from facematch.broker import Broker, Queues
from facematch.errors import Misconfigured
from facematch.job import QUEUE, queue_of


def open_broker(url: str, prefetch: int = 1, queue: str = QUEUE) -> Broker:
    """RabbitMQ for amqp:// and amqps://, Redis Streams for redis://, rediss:// and unix://.

    `prefetch`: messages that whoever receives has in hand at the most. Nothing is connected yet.
    Raises Misconfigured for any other URL.
    """
    scheme = url.partition("://")[0]
    if scheme in ("amqp", "amqps"):
        from facematch.rabbit_broker import RabbitBroker

        return RabbitBroker(url, queue=queue, prefetch=prefetch)
    if scheme in ("redis", "rediss", "unix"):
        from facematch.streams import StreamsBroker

        return StreamsBroker(url, queue=queue)
    raise Misconfigured(
        "a broker URL begins with amqp://, amqps://, redis://, rediss:// or unix://"
    )


def open_queues(url: str) -> Queues:
    """The queues of all editions, for who only publishes. Raises Misconfigured as `open_broker`."""
    open_broker(url)
    return Queues(lambda edition: open_broker(url, queue=queue_of(edition)))
