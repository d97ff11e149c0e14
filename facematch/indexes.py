"""Which index a URL means. Only for the modules that set a process up: the driver of Milvus is
imported when it is chosen, so that nobody else needs it."""

from contextlib import closing

from facematch.collection_name import DEFAULT
from facematch.errors import Misconfigured
from facematch.feeder import Feeder
from facematch.generation_search import GenerationSearch
from facematch.generations import Generations, current
from facematch.log import Tail
from facematch.neighbours import Neighbours
from facematch.sidecar import Sidecar
from facematch.store import Store


def is_milvus(url: str) -> bool:
    """Whether this is the URL of a Milvus rather than of a sidecar."""
    return url.startswith("milvus+")


def open_neighbours(url: str, name: str = DEFAULT) -> Neighbours:
    """The sidecar at unix:/path, or the generations in the Milvus at milvus+http://host:port, for
    the edition of a collection of this name.

    Nothing is connected yet. Raises Misconfigured for any other URL.
    """
    if is_milvus(url):
        return GenerationSearch(open_generations(url, name))
    return Sidecar(url, name)


def open_feeder(url: str, store: Store, name: str = DEFAULT) -> Feeder | None:
    """Who keeps the index at this URL in step with the log, where that is for workers to do: a
    sidecar does it itself. Raises Misconfigured."""
    return Feeder(store, open_generations(url, name)) if is_milvus(url) else None


def tail_of(url: str, name: str = DEFAULT) -> Tail | None:
    """The place in the log that the index at this URL reflects; None while it is not ready.

    Raises Unavailable, Misconfigured.
    """
    if is_milvus(url):
        with closing(open_generations(url, name)) as generations:
            places = current(generations.places())
        return places[-1].tail if places else None
    with closing(Sidecar(url, name, timeout=5)) as sidecar:
        status = sidecar.status()
    return Tail(status.position, status.chain) if status.ready else None


def forget(url: str, name: str) -> None:
    """Have the index at this URL forget an edition for good. A sidecar does so itself. Raises
    Unavailable, Misconfigured."""
    if not is_milvus(url):
        return
    with closing(open_generations(url, name)) as generations:
        generations.forget(generations.places())
        for generation in generations.names():
            generations.drop(generation)


def open_generations(url: str, name: str = DEFAULT) -> Generations:
    """The generations in a Milvus. Raises Misconfigured, also when its driver is not installed."""
    try:
        from facematch.milvus import Milvus
    except ImportError as error:
        raise Misconfigured("for Milvus as the index, pip install 'facematch[milvus]'") from error
    return Milvus(url, name)
