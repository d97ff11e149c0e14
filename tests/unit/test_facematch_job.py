"""The messages: what is written is read back, and anything else is refused."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facematch.job import VERSION, Message, NewerMessage, RangeMessage, new_job_id


@given(st.text(min_size=1))
def test_a_message_is_read_back_as_it_was_written(job: str) -> None:
    assert Message.decode(Message(job).encode()) == Message(job)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"not json",
        b"null",
        b"[]",
        b'"job"',
        b"{}",
        json.dumps({"job": "a"}).encode(),
        json.dumps({"v": VERSION + 1, "job": "a"}).encode(),
        json.dumps({"v": VERSION}).encode(),
        json.dumps({"v": VERSION, "job": ""}).encode(),
        json.dumps({"v": VERSION, "job": 7}).encode(),
        json.dumps({"v": VERSION, "job": "half a character: \ud800"}).encode(),
        b"[" * 100_000,
    ],
)
def test_what_is_no_job_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the documented error
        Message.decode(data)


def test_a_message_says_whose_it_is_and_one_that_does_not_is_of_the_default_collection() -> None:
    for message in (Message("a", collection="holiday"), RangeMessage("a", 1, "holiday")):
        assert type(message).decode(message.encode()) == message
        fields = json.loads(message.encode())
        del fields["collection"]
        older = json.dumps(fields).encode()
        assert type(message).decode(older).collection == "default"
        for wrong in ("", "A", "a~1", None, 7, "\ud800"):
            with pytest.raises(ValueError, match="no collection"):
                type(message).decode(json.dumps({**fields, "collection": wrong}).encode())
    assert "collection" not in json.loads(Message("a").encode())


@pytest.mark.parametrize("decode", [Message.decode, RangeMessage.decode])
def test_a_message_of_a_newer_version_is_told_from_no_message(
    decode: Callable[[bytes], object],
) -> None:
    fields = {"job": "a", "reindex": "a", "first": 1}
    with pytest.raises(NewerMessage, match=f"version {VERSION + 1}"):
        decode(json.dumps({"v": VERSION + 1, **fields}).encode())
    for version in (0, "2", 2.0, True, None):
        with pytest.raises(ValueError, match="not a message") as refused:
            decode(json.dumps({"v": version, **fields}).encode())
        assert not isinstance(refused.value, NewerMessage)


@given(st.binary())
def test_random_bytes_are_refused_with_a_value_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the documented error
        Message.decode(data)


@given(st.text(min_size=1), st.integers(min_value=1))
def test_a_range_is_read_back_as_it_was_written(reindex: str, first: int) -> None:
    message = RangeMessage(reindex, first)
    assert RangeMessage.decode(message.encode()) == message


@pytest.mark.parametrize(
    "fields",
    [
        {"job": "a"},
        {"reindex": "a"},
        {"first": 1},
        {"reindex": "", "first": 1},
        {"reindex": 7, "first": 1},
        {"reindex": "\ud800", "first": 1},
        {"reindex": "a", "first": 0},
        {"reindex": "a", "first": True},
        {"reindex": "a", "first": 1.0},
        {"reindex": "a", "first": "1"},
        {"v": VERSION + 1, "reindex": "a", "first": 1},
    ],
)
def test_what_is_no_range_message_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the documented error
        RangeMessage.decode(json.dumps({"v": VERSION, **fields}).encode())


def test_a_field_of_a_later_minor_form_is_ignored() -> None:
    data = json.dumps({"v": VERSION, "job": "a", "extra": [1]}).encode()
    assert Message.decode(data) == Message("a")


def test_what_a_message_says_of_its_trace_is_read_back_and_nothing_else_is_changed_by_it() -> None:
    message = Message("a", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert Message.decode(message.encode()) == message
    # Byte for byte what a worker of any version 1 has always got.
    assert Message("a").encode() == b'{"v": 1, "job": "a"}'


@pytest.mark.parametrize("traceparent", [7, None, ["a"], {}])
def test_no_job_is_lost_over_a_trace_that_is_of_no_form(traceparent: object) -> None:
    data = json.dumps({"v": VERSION, "job": "a", "traceparent": traceparent}).encode()
    assert Message.decode(data) == Message("a")


def test_job_ids_are_32_hexadecimal_digits_and_differ() -> None:
    ids = {new_job_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(job) == 32 and set(job) <= set("0123456789abcdef") for job in ids)
