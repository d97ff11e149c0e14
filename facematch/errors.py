"""Every error this project raises on purpose, and the stable code each one carries.

FacematchError
├── Rejected      this input can never be processed; its job ends as failed
├── Unavailable   a part is not there now; try again and nothing is lost
├── NotFound      no such job or image, or it was erased
├── Conflict      it does not go with how things are now; look, and decide anew
├── Denied        who asks may not
└── Misconfigured a process cannot work as it is set up; it refuses to start
"""

CODES: dict[str, str] = {
    "address_not_allowed": "the URL leads to an address that is not public",
    "answer_too_large": "more pairs than go into one answer; ask for fewer faces at once",
    "attempts_exhausted": "workers died or gave up on this picture too many times",
    "backlog_full": "too many uploaded bytes wait for workers; try again later",
    "bad_archive": "no zip archive of pictures that can be read, or one that leads out of itself",
    "bad_cursor": "the cursor is not one that this service gave out",
    "bad_export": "the file is no export of facematch, or is damaged",
    "bad_hash": "an image hash is 64 lower-case hexadecimal digits",
    "bad_image": "the picture's data is broken",
    "bad_key": "the API key is none of this service, or was revoked, or has expired",
    "bad_request": "the request is not of the documented form",
    "bad_url": "not an http or https URL with a host",
    "batch_busy": "enough batches are being received; try again later",
    "broker_unavailable": "the message broker does not answer",
    "changed": "the bytes behind the URL are no longer those of the image",
    "changing": "it changes too much at this time; try again when less is going on",
    "collection_erasing": "the collection is being erased; try again in a moment",
    "collection_exists": "there is a collection of this name with another policy",
    "decoder_crashed": "looking at the picture crashed the process that did it",
    "empty": "there are no bytes to look at",
    "erased": "the image was erased",
    "fetch_failed": "the URL's server broke off or answered nonsense",
    "fetch_timed_out": "the URL's server took too long",
    "http_status": "the URL's server answered with an error status",
    "index_behind": "the index is too far behind the log to be compared with it",
    "index_diverged": "the index reflects a log that is no longer the log",
    "index_full": "the index has no memory for more faces",
    "index_loading": "the index is still loading the collection",
    "index_unavailable": "the index does not answer",
    "internal_error": "an error of ours; the log has the details",
    "key_reused": "the idempotency key was sent with another submission before",
    "larger_than_quota": "more pictures at once than the API key may ever submit; send fewer",
    "ledger_unavailable": "the erasure ledger cannot be written",
    "method_not_allowed": "this route does not take that method",
    "misconfigured": "a process cannot work as it is set up",
    "newer_data": "the data is of a newer version than this process; run that version",
    "no_basis": "the collection takes no submission without purpose and legal basis",
    "no_collection": "the index knows of no such collection",
    "no_face": "there is no such face in the picture",
    "no_key": "this service asks for an API key: Authorization: Bearer, or X-Api-Key",
    "no_key_here": "there is no such API key",
    "no_person": "there is no such person, or not any more",
    "no_rates": "there are no false match rates: the encoder has no calibration, or the match sets"
    " were made before there were any",
    "no_reindex": "there is no such reindex",
    "no_source": "the bytes of the image are nowhere to be had; submit it again",
    "no_thumbnail": "no small picture is kept of the image",
    "nobody_left": "a person keeps at least one of its faces",
    "not_an_image": "the bytes are no picture of a supported format",
    "not_confirmed": "what would be erased is not what was confirmed",
    "not_empty": "the collection is not empty",
    "not_failed": "the job has not failed, or is under way again",
    "not_found": "no such thing here",
    "not_theirs": "a face that is not one of the person",
    "old_data": "the data is still of the form of an older version; run facematch migrate",
    "other_collections": "there are other collections, which no worker with another encoder could"
    " work for",
    "other_model": "the encodings are of another model than those of the collection",
    "other_version": "a worker and its index are of different versions",
    "out_of_memory": "looking at the picture took too much memory",
    "overtaken": "something else was written, or somebody else is at it",
    "quota_exceeded": "the API key has submitted as much as it may for now; see Retry-After",
    "rate_exceeded": "too many requests with this API key; see Retry-After",
    "reindex_behind": "what is to be served lacks too much of what is served",
    "reindex_exists": "there is a reindex already; end it first: switch and drop, or cancel",
    "reindex_phase": "the reindex is not in a phase for that",
    "same_model": "the encoder makes the encodings that there are already",
    "sandbox_unavailable": "there is no process to look at pictures with",
    "scope_missing": "the API key is not good for that",
    "search_busy": "no worker is free for a search; try again later",
    "search_unavailable": "no worker takes searches",
    "service_unavailable": "the service does not answer",
    "store_unavailable": "Redis does not answer",
    "timed_out": "looking at the picture took too long",
    "too_large": "more bytes than the limit",
    "too_many_pixels": "more pixels than the limit",
    "too_many_redirects": "the URL redirects too often",
    "too_many_webhooks": "there are as many webhooks as a collection may have",
    "truncated_image": "the picture's data ends too early",
    "unfinished": "the image is still being worked on",
    "unknown_collection": "there is no such collection",
    "unreachable": "the URL's server cannot be reached",
    "unreadable": "the file cannot be read",
}


#: What is said of a picture or of the URL it is behind when it can never be processed.
REFUSALS = frozenset(
    {
        *("empty", "not_an_image", "truncated_image", "bad_image", "too_many_pixels", "too_large"),
        *("address_not_allowed", "bad_url", "fetch_failed", "fetch_timed_out", "http_status"),
        *("too_many_redirects", "unreachable"),
    }
)


#: What may not be so another time: the URL's server is there again, or ours is less busy.
MAY_PASS = frozenset(
    {
        *("attempts_exhausted", "decoder_crashed", "fetch_failed", "fetch_timed_out"),
        *("http_status", "internal_error", "out_of_memory", "timed_out", "unreachable"),
    }
)


class FacematchError(Exception):
    """The root. `code` is one of CODES and stable; the text is for people."""

    code = "internal_error"

    def __init__(self, code: str, detail: str = "") -> None:
        if code not in CODES:
            raise ValueError(f"undocumented error code {code!r}")
        super().__init__(detail or CODES[code])
        self.code = code


class Rejected(FacematchError):
    """This input can never be processed."""


class Unavailable(FacematchError):
    """A part is not there now; the same call may succeed later."""


class NotFound(FacematchError):
    """No such job or image."""


class Conflict(FacematchError):
    """It does not go with how things are now."""


class Denied(FacematchError):
    """Who asks may not: no key, a bad one, one without the scope, or too many requests, then until
    `retry_after` seconds from now. (The client, told of too many requests, raises Unavailable.)"""

    def __init__(self, code: str, detail: str = "", retry_after: int = 0) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class Misconfigured(FacematchError):
    """A process cannot work as it is set up."""

    def __init__(self, detail: str) -> None:
        super().__init__("misconfigured", detail)


#: What is about every request of a client, not the one that met it.
ABOUT_ALL = (Unavailable, Misconfigured, Denied)
