"""The job message: what travels from api to worker. Its one home, and that of the queue names.

A message is only a wake-up: the job itself, its bytes and its attempts are in the store.
"""

import json
import secrets
from dataclasses import dataclass

QUEUE = "facematch.jobs"
DEAD_LETTERS = "facematch.dead"
VERSION = 1


@dataclass(frozen=True)
class Message:
    """Look at this job."""

    job: str

    def encode(self) -> bytes:
        """JSON, UTF-8."""
        return json.dumps({"v": VERSION, "job": self.job}).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Message":
        """The inverse of `encode`. Raises ValueError for anything else."""
        fields = json.loads(data)
        if not isinstance(fields, dict) or fields.get("v") != VERSION:
            raise ValueError(f"not a job message of version {VERSION}")
        job = fields.get("job")
        if not isinstance(job, str) or not job:
            raise ValueError("a job message without a job")
        return cls(job)


def new_job_id() -> str:
    """A fresh job id: 32 hexadecimal digits, unguessable."""
    return secrets.token_hex(16)
