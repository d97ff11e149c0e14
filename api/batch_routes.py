"""The routes of batches: many pictures in one request."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import request
from pydantic import BaseModel, Field

from api import cursors
from api.auditing import note
from api.batching import Batching
from api.collection_of import path_here
from api.openapi import problems
from api.schemas import UNFINISHED, Answer
from api.scopes import needs
from facematch.batches import FORGOTTEN, MOST_ITEMS, REFUSED, Batch, Batches, ItemState
from facematch.keys import Scope
from facematch.store import State

_PAGE = 100
_RETRY_AFTER = {"Retry-After": "1"}


class BatchQuery(BaseModel):
    """Which part of a batch."""

    limit: int = Field(_PAGE, ge=1, le=MOST_ITEMS, description="items on one page")
    cursor: str = Field("", description="`next` of the page before")


class CountsOut(BaseModel):
    """How many items are in which state."""

    accepted: int = 0
    indexed: int = 0
    done: int = 0
    failed: int = 0
    erased: int = 0
    refused: int = Field(0, description="not accepted; their code says why")
    forgotten: int = Field(0, description="ended so long ago that the job is not kept any more")


class ItemOut(BaseModel):
    """One of what was sent."""

    number: int = Field(description="its place in what was sent, from 0")
    state: str = Field(description=f"of its job; or `{REFUSED}`, `{FORGOTTEN}`")
    job: str | None
    hash: str | None
    name: str | None = Field(description="or URL")
    code: str | None = Field(description="why it failed or was refused; stable")

    @classmethod
    def of(cls, item: ItemState) -> "ItemOut":
        """Show an item."""
        return cls(
            number=item.number,
            state=item.state,
            job=item.job or None,
            hash=item.image or None,
            name=item.name or None,
            code=item.code or None,
        )


class BatchOut(BaseModel):
    """A batch and what became of it."""

    batch: str
    total: int
    finished: bool = Field(description="no item changes by itself any more")
    counts: CountsOut
    items: list[ItemOut]
    next: str | None = Field(description="the cursor of the next page")

    @classmethod
    def of(cls, batch: Batch) -> "BatchOut":
        """Show a batch."""
        unfinished = sum(batch.counts.get(str(state), 0) for state in UNFINISHED)
        behind = batch.items[-1].number + 1 if batch.items else batch.total
        return cls(
            batch=batch.id,
            total=batch.total,
            finished=not unfinished,
            counts=CountsOut(**batch.counts),
            items=[ItemOut.of(item) for item in batch.items],
            next=cursors.encode_face(behind) if behind < batch.total else None,
        )


def blueprint(batching: Batching, batches: Batches) -> APIBlueprint:
    """The routes of batches."""
    routes = APIBlueprint("batches", __name__, tag="Images")

    @routes.post("/images:batch")
    @routes.output(BatchOut, status_code=HTTPStatus.ACCEPTED, description="The batch")
    @routes.doc(responses=problems(400, 413, 422, 503))
    @needs(Scope.SUBMIT)
    def submit() -> Answer:
        """Submit up to 1,000 pictures: URLs, a form with files, or a zip archive

        With an `Idempotency-Key` it may safely be sent again: the answer is about the same batch.
        """
        accepted = batching.accept(request)
        note(batch=accepted)
        batch = BatchOut.of(batches.batch(accepted, 0, _PAGE))
        return batch, HTTPStatus.ACCEPTED, {"Location": path_here(f"/batches/{batch.batch}")}

    @routes.get("/batches/<batch>")
    @routes.input(BatchQuery, location="query")
    @routes.output(BatchOut)
    @routes.doc(responses=problems(400, 404, 503))
    @needs(Scope.READ)
    def batch(batch: str, query_data: BatchQuery) -> Answer:
        """What became of a batch: counts, and its items page by page"""
        start = cursors.decode_face(query_data.cursor) if query_data.cursor else 0
        answer = BatchOut.of(batches.batch(batch, start, query_data.limit))
        return answer, {} if answer.finished else _RETRY_AFTER

    return routes


#: Each state has its count.
assert {*map(str, State), REFUSED, FORGOTTEN} == CountsOut.model_fields.keys()  # noqa: S101
