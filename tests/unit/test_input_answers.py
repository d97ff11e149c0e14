"""Whatever a picture's server answers ends in a stable code, in the time that a fetch may take."""

import ssl
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from certificates import Authority
from evil_answers import ANSWERS, LONG, MAX_BYTES, PICTURE, SHORT, leading_to, served
from fetching import assert_all_end, only_this_machine
from picture_server import Canary, PictureServer, head

from facematch.errors import CODES, Rejected
from worker.decode import decode
from worker.fetch import Fetcher, FetchLimits

#: Of a machine that has something else to do.
SLACK = 4.0
AT_ONCE = 12
#: What a server may do with TLS, and the end that is right.
TLS = {
    "tls-of-nobody-we-trust": "unreachable",
    "tls-for-another-name": "unreachable",
    "tls-that-has-expired": "unreachable",
    "tls-of-before-2008": "unreachable",
    "tls-asked-of-who-has-none": "unreachable",
    "tls-of-garbage": "unreachable",
    "tls-that-is-silent": "fetch_timed_out",
    "tls-where-none-was-asked-for": "fetch_failed",
    "tls-that-ends-without-saying-so": "truncated_image",
    "tls-that-redirects-to-none": "bad_url",
    "tls-with-an-endless-body": "too_large",
    "tls-with-a-slow-loris": "fetch_timed_out",
    "tls-that-is-fine": "picture",
}


@dataclass(frozen=True)
class Outcome:
    """How fetching and decoding ended, what was said of it, and after how many seconds of how many
    allowed."""

    end: str
    said: str
    seconds: float
    allowed: float


@dataclass(frozen=True)
class Outcomes:
    """Of all answers, and how many connections the canary has counted."""

    by_name: Mapping[str, Outcome]
    canary: int


def end_of(url: str, seconds: float, allowed: frozenset[tuple[str, int]]) -> Outcome:
    started = time.monotonic()
    end, said = "picture", ""
    try:
        data = Fetcher(FetchLimits(MAX_BYTES, seconds, 3, allowed)).fetch(url)
        took = time.monotonic() - started
        decode(data, 1_000_000)
    except Rejected as error:
        took = time.monotonic() - started
        end, said = error.code, str(error)
    return Outcome(end, said, took, seconds)


def context(files: tuple[Path, Path]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*files)
    return made


def outdated(files: tuple[Path, Path]) -> ssl.SSLContext:
    made = context(files)
    made.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
        made.minimum_version = ssl.TLSVersion.TLSv1
        made.maximum_version = ssl.TLSVersion.TLSv1_1
    return made


class Servers:
    """Everything that is asked, and its URLs."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._authority = Authority.make(folder / "trusted")
        self._stranger = Authority.make(folder / "stranger")
        self.plain = stack.enter_context(PictureServer())
        self.canary = stack.enter_context(Canary())
        self.silent = stack.enter_context(Canary())
        self._allowed = [self.plain.address, ("127.0.0.1", self.silent.port)]
        self.trusted = str(self._authority.certificate)

    def tls(self) -> dict[str, str]:
        """The URLs of TLS."""
        good = self._with_tls(self._authority.sign("good"))
        fine = good.serve(PICTURE)
        garbage = self.plain.script(lambda: (b"\x16\x03\x01garbage" * 99,))
        cut = good.script(lambda: (head(), PICTURE[: len(PICTURE) // 2]))
        old = outdated(self._authority.sign("old"))
        expired = self._authority.sign("expired", days=0)
        return {
            "tls-of-nobody-we-trust": self._url(self._stranger.sign("strange")),
            "tls-for-another-name": self._url(self._authority.sign("other", "DNS:other.example")),
            "tls-that-has-expired": self._url(expired),
            "tls-of-before-2008": self._served(old).serve(PICTURE),
            "tls-asked-of-who-has-none": self.plain.url("/fine-picture").replace("http", "https"),
            "tls-of-garbage": garbage.replace("http", "https"),
            "tls-that-is-silent": f"https://127.0.0.1:{self.silent.port}/",
            "tls-where-none-was-asked-for": fine.replace("https", "http"),
            "tls-that-ends-without-saying-so": cut,
            "tls-that-redirects-to-none": good.redirect(self.plain.url("/fine-picture")),
            "tls-with-an-endless-body": good.endless(),
            "tls-with-a-slow-loris": good.slow(PICTURE),
            "tls-that-is-fine": fine,
        }

    @property
    def allowed(self) -> frozenset[tuple[str, int]]:
        """All but the canary."""
        return frozenset(self._allowed)

    def _url(self, files: tuple[Path, Path]) -> str:
        return self._with_tls(files).serve(PICTURE)

    def _with_tls(self, files: tuple[Path, Path]) -> PictureServer:
        return self._served(context(files))

    def _served(self, tls: ssl.SSLContext) -> PictureServer:
        server = self._stack.enter_context(PictureServer(tls=tls))
        self._allowed.append(server.address)
        return server


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """All are asked for, several at once: most of the time nothing happens."""
    with ExitStack() as stack:
        patched = stack.enter_context(pytest.MonkeyPatch.context())
        only_this_machine(patched)
        patched.setattr("worker.fetch.RETRY_PAUSE", 0.01)
        servers = Servers(stack, tmp_path_factory.mktemp("answers"))
        patched.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", servers.trusted)
        answers = dict(ANSWERS) | leading_to(servers.canary.port)
        urls = served(servers.plain, answers) | servers.tls()
        hurried = {name for name, evil in answers.items() if evil.seconds == SHORT}
        hurried |= {"tls-that-is-silent", "tls-with-a-slow-loris"}
        seconds = {name: SHORT if name in hurried else LONG for name in urls}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ends = pool.map(lambda name: end_of(urls[name], seconds[name], servers.allowed), urls)
            by_name = dict(zip(urls, ends, strict=True))
        assert_all_end()
        yield Outcomes(by_name, servers.canary.connections)


RIGHT = {name: evil.end for name, evil in (dict(ANSWERS) | leading_to(1)).items()} | TLS


@pytest.mark.parametrize("name", RIGHT)
def test_it_ends_as_it_must_and_in_time(name: str, outcomes: Outcomes) -> None:
    outcome = outcomes.by_name[name]
    assert outcome.end == RIGHT[name]
    assert outcome.seconds < outcome.allowed + SLACK
    assert outcome.end == "picture" or 0 < len(outcome.said) < 300
    assert "secret" not in outcome.said


def test_so_many_evil_answers_end_in_a_code(
    outcomes: Outcomes, figure: Callable[[str], None]
) -> None:
    ends = outcomes.by_name
    assert ends.keys() == RIGHT.keys()
    stable = [name for name, one in ends.items() if one.end in {"picture", *CODES}]
    in_time = [one for one in ends.values() if one.seconds < one.allowed + SLACK]
    evil = [name for name, right in RIGHT.items() if right != "picture"]
    figure(f"evil answers ending in a stable code: {len(stable)} of {len(ends)}")
    figure(f"of them in the time a fetch may take: {len(in_time)} of {len(ends)}")
    figure(f"connections to canaries by redirects: {outcomes.canary}")
    assert len(stable) == len(in_time) == len(ends)
    assert len(evil) >= 100
    assert outcomes.canary == 0
