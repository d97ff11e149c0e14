"""Every setting, once: name, type, default and meaning. Read from the environment at start.

`FACEMATCH_<NAME>` sets `<name>`. README's table is compared with this by a test.
"""

import re
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from facematch.errors import Misconfigured
from facematch.faces import DEFAULT_THRESHOLD, FACES_PER_POSITION
from facematch.keys import check_limit

PREFIX = "FACEMATCH_"
#: Pixels of the least `max_side`: no face would be found in much smaller copies, not even the
#: one with which a worker checks itself.
LEAST_SIDE = 320
_STARS = "***"


class Settings(BaseSettings):
    """The settings of all processes; each uses the ones it needs."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="where the store is: `redis://`, `rediss://` or `unix:///path`; see "
        "[Hardening](docs/hardening.md)",
    )
    broker_url: SecretStr = Field(
        SecretStr("amqp://guest:guest@127.0.0.1:5672/%2F"),
        description="RabbitMQ (`amqp://`, `amqps://`) or Redis Streams (`redis://`, `rediss://`, "
        "`unix:///path`)",
    )
    index_url: SecretStr = Field(
        SecretStr("unix:/run/facematch/index.sock"),
        description="the socket of the index, `unix:/path`: where it listens, and where its worker "
        "asks; or a Milvus, `milvus+http://host:19530`, `milvus+https://user:password@host`",
    )
    search_url: str = Field(
        "",
        description="where the api has workers search: `http://host:port`, every address of which "
        "is one, several with commas between; or `unix:/path`, a folder in which each worker has a "
        "socket; none: nobody searches",
    )
    search_host: str = Field(
        "127.0.0.1",
        description="the address a worker listens on for searches; nobody is asked for a key there",
    )
    search_port: int = Field(0, ge=0, le=65535, description="the port for it; 0: none")
    search_seconds: float = Field(
        20.0,
        gt=0,
        description="how long the api waits for a search, the fetching of a URL included",
    )
    api_searches: int = Field(
        32,
        ge=1,
        description="searches that the api has workers do at once; more are sent away, 503",
    )
    host: str = Field("0.0.0.0", description="the address the api listens on")  # noqa: S104
    port: int = Field(5000, ge=0, le=65535, description="the port the api listens on")
    api_threads: int = Field(192, ge=2, description="requests the api handles at once")
    api_waiters: int = Field(
        128, ge=0, description="how many of them may wait for a result; more are answered at once"
    )
    cors_origins: str = Field(
        "",
        description="origins (`https://example.com`), comma-separated, whose pages may use the api "
        "in a browser; `*`: all",
    )
    guarded_elsewhere: bool = Field(
        False,
        description="true: nobody is asked for an API key, whoever asks, because something before "
        "the service does that",
    )
    key_rate: str = Field(
        "", description="requests that each API key may make, as `100/second`; empty: any"
    )
    key_quota: str = Field(
        "", description="submissions that each API key may make, as `10000/day`; empty: any"
    )
    api_listeners: int = Field(
        512,
        ge=0,
        description="how many may listen to events at once; they take none of the threads",
    )
    metrics_host: str = Field(
        "127.0.0.1",
        description="the address that each process tells its metrics on; nobody is asked for a key "
        "there",
    )
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="the port for `GET /metrics`, of each process its own; 0: none. With "
        "`facematch serve` that of the api; the index has the next one, the workers those behind "
        "it",
    )
    threshold: float = Field(
        DEFAULT_THRESHOLD,
        gt=0,
        le=2,
        description="distance up to which two faces match; pinned when a collection is made",
    )
    max_false_matches: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="of the matches of a face so many may be false: those are kept that are sure "
        "enough for that, however many faces there are; 0: all within the threshold; pinned when a "
        "collection is made",
    )
    max_matches: int = Field(
        10_000,
        ge=0,
        description="matches kept of an image, the most certain; more set `truncated`; 0: all; "
        "pinned when a collection is made",
    )
    encoder: str = Field(
        "onnx",
        description="`onnx`, `dlib` (face_recognition as it comes: the same encodings, slower), "
        "or `package.module:Class` for an encoder of your own",
    )
    detector: str = Field(
        "hog",
        pattern="^(hog|cnn)$",
        description="how faces are found: `hog`, or `cnn`, which also finds those that are turned, "
        "misses more small ones and takes much longer",
    )
    slots: int = Field(
        0, ge=0, description="pictures a worker looks at at once; 0: one for each processor core"
    )
    index_memory: int = Field(
        0,
        ge=0,
        description="bytes of memory that the collections in an index may take together; then it "
        "takes no more, and says so; 0: four fifths of what the machine or container has",
    )
    index_kind: str = Field(
        "exact",
        pattern="^(exact|ivf)$",
        description="`exact`; `ivf` searches a part of a large collection only, misses some "
        "matches and says so (`exact: false`)",
    )
    index_probes: int = Field(
        64, ge=1, description="lists that `ivf` searches: more find more and take longer"
    )
    picture_seconds: int = Field(
        10,
        gt=0,
        description="processor time for one picture, 8 times as much with `cnn`; five times that "
        "by the clock",
    )
    picture_memory: int = Field(
        576 * 1024**2,
        gt=0,
        description="bytes of memory for looking at one picture alone; pictures that are looked at "
        "at the same time have half of it each",
    )
    max_bytes: int = Field(
        10 * 1024 * 1024, gt=0, description="bytes of a picture, uploaded or fetched"
    )
    max_pixels: int = Field(64_000_000, gt=0, description="pixels of a picture")
    max_side: int = Field(
        1600,
        ge=0,
        description="pixels of the longer side in which faces are looked for; larger pictures are "
        "made smaller for that, so that faces below 40 pixels then may be missed; at least "
        f"{LEAST_SIDE}, or 0: never",
    )
    max_faces: int = Field(
        100,
        gt=0,
        le=FACES_PER_POSITION,
        description="faces kept of a picture, the largest; more set `truncated`",
    )
    keep_thumbnails: bool = Field(
        False,
        description="keep a small picture of each image in Redis, 10 to 40 kB, for the page to "
        "show, until the image is erased; of those that come from then on",
    )
    picture_origins: str = Field(
        "",
        description="`https://host` list, comma-separated: servers from which the page shows "
        "pictures by their URLs, in the browser of whoever looks at it",
    )
    max_attempts: int = Field(
        3, gt=0, description="how often a picture is tried before its job fails"
    )
    fetch_timeout: float = Field(10.0, gt=0, description="seconds for fetching a URL, all in all")
    fetch_redirects: int = Field(3, ge=0, description="redirects followed when fetching a URL")
    fetch_allow: str = Field(
        "",
        description="`host:port` list, comma-separated: private servers that may be fetched from",
    )
    webhook_allow: str = Field(
        "",
        description="`host:port` list, comma-separated: private servers that webhooks may lead to",
    )
    backlog_bytes: int = Field(
        1024**3,
        gt=0,
        description="uploaded bytes that may wait for workers, of all collections; above, 503",
    )
    job_days: float = Field(7.0, gt=0, description="days that an ended job can be asked for")
    log_keep: int = Field(
        100_000, ge=1000, description="log entries kept for indexes to follow; older are trimmed"
    )
    sweep_seconds: float = Field(
        15.0, gt=0, description="how often a worker looks for work that was left lying"
    )
    sweep_age: float = Field(
        30.0, gt=0, description="seconds after which work counts as left lying"
    )
    rewrite_hours: float = Field(
        24.0,
        ge=0,
        description="how often workers have Redis write its append-only file anew: for no longer "
        "the bytes of what was erased are in it; 0: never",
    )
    ledger: str = Field(
        "/var/lib/facematch/erasures",
        description="folder, outside Redis, of the erasure ledger",
    )
    audit: str = Field(
        "",
        description="folder of the audit log: who did what, when and why, ids only; none: it is "
        "not kept. With `facematch serve` it is in the data folder",
    )
    audit_days: float = Field(
        365.0, ge=0, le=36_525, description="days that the audit log is kept; 0: for good"
    )
    allow_volatile: bool = Field(
        False, description="accept a Redis that may evict data or does not persist every write"
    )
    logs: str = Field(
        "json", pattern="^(json|text)$", description="form of the log: `json`, `text`"
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="least level that is logged"
    )
    otlp_endpoint: SecretStr = Field(
        SecretStr(""),
        description="where traces go, as OTLP over HTTP: `http://host:4318`; needs the extra "
        "`otel`; without it `OTEL_EXPORTER_OTLP_ENDPOINT` counts",
    )
    failpoint: str = Field("", description="for tests: a place where the process fails")

    @field_validator("otlp_endpoint")
    @classmethod
    def _over_http(cls, value: SecretStr) -> SecretStr:
        endpoint = value.get_secret_value()
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise ValueError("that is not of the form http://host:4318")
        return value

    @field_validator("max_side")
    @classmethod
    def _enough_for_a_face(cls, value: int) -> int:
        if 0 < value < LEAST_SIDE:
            raise ValueError(f"{value} is neither 0 nor at least {LEAST_SIDE}")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for item in filter(None, value.split(",")):
            parts = urlsplit(item.strip())
            origin = parts.scheme and parts.netloc and f"{parts.scheme}://{parts.netloc}".lower()
            if item.strip() not in ("*", origin):
                raise ValueError(f"{item!r} is not an origin, https://host or https://host:port")
        return value

    @field_validator("key_rate", "key_quota")
    @classmethod
    def _limit(cls, value: str) -> str:
        return check_limit(value)

    @field_validator("fetch_allow", "webhook_allow")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        for item in filter(None, value.split(",")):
            host, _, port = item.strip().rpartition(":")
            if not host or not port.isdigit():
                raise ValueError(f"{item!r} is not host:port")
        return value

    @field_validator("picture_origins")
    @classmethod
    def _scheme_and_host(cls, value: str) -> str:
        for item in filter(None, value.split(",")):
            if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?", item.strip()):
                raise ValueError(f"{item!r} is not https://host or https://host:port")
        return value

    @property
    def page_origins(self) -> tuple[str, ...]:
        """`picture_origins`, one by one."""
        return tuple(item.strip() for item in self.picture_origins.split(",") if item.strip())

    @property
    def allowed_origins(self) -> frozenset[str]:
        """`cors_origins` one by one."""
        return frozenset(item.strip() for item in self.cors_origins.split(",") if item.strip())

    @property
    def fetch_allowed(self) -> frozenset[tuple[str, int]]:
        """`fetch_allow` as pairs of host and port."""
        return _hosts_and_ports(self.fetch_allow)

    @property
    def webhook_allowed(self) -> frozenset[tuple[str, int]]:
        """The same of `webhook_allow`."""
        return _hosts_and_ports(self.webhook_allow)

    def shown(self) -> dict[str, str]:
        """All settings as text that may be logged: passwords are starred out."""
        return {name: _shown(getattr(self, name)) for name in type(self).model_fields}


def load() -> Settings:
    """The settings in the environment. Raises Misconfigured, naming each that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = (
            f"{PREFIX}{item['loc'][0]}".upper() + f": {item['msg']}" for item in error.errors()
        )
        raise Misconfigured("; ".join(wrong)) from error


def _hosts_and_ports(text: str) -> frozenset[tuple[str, int]]:
    items = (item.strip().rpartition(":") for item in text.split(",") if item)
    return frozenset((host, int(port)) for host, _, port in items)


def _shown(value: object) -> str:
    if not isinstance(value, SecretStr):
        return str(value)
    url = value.get_secret_value()
    try:
        parts = urlsplit(url)
        # Read for its error: a port that is no number may be a password.
        _ = parts.port
    except ValueError:
        return _STARS
    if "@" in parts.path + parts.query + parts.fragment:
        # A password with one of /?# in it ends the host too early.
        return _STARS
    shown = url.partition("#")[0].partition("?")[0]
    if parts.password is not None:
        user, _, host = parts.netloc.rpartition("@")
        shown = shown.replace(f"{user}@{host}", f"{parts.username}:{_STARS}@{host}", 1)
    if parts.query:
        shown += f"?{_STARS}"
    if parts.fragment:
        shown += f"#{_STARS}"
    return shown
