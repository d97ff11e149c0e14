"""facematch.logs, in a process of its own: what is logged, by us and by libraries."""

import json
import subprocess
import sys
from typing import Any

CODE = """
import logging, threading
import structlog
from facematch import logs, settings

logs.configure(settings.load(), "worker")
structlog.get_logger().info("ours", count=3)
thread = threading.Thread(target=lambda: structlog.get_logger().warning("from a thread"))
thread.start()
thread.join()
logging.getLogger("urllib3.pool").warning("two\\nlines and %s", "an argument")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("pika").exception("broken")
    structlog.get_logger().exception("broken, too")
logging.getLogger("pika").info("of no interest")
"""


def logged(**settings: str) -> list[str]:
    """The lines of a process with these settings."""
    environment = {f"FACEMATCH_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_every_line_for_machines_is_one_document_that_names_its_part() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in logged(logs="json")]
    assert [(line["event"], line["level"], line.get("logger")) for line in lines] == [
        ("settings", "info", None),
        ("ours", "info", None),
        ("from a thread", "warning", None),
        ("two\nlines and an argument", "warning", "urllib3.pool"),
        ("broken", "error", "pika"),
        ("broken, too", "error", None),
    ]
    assert {line["part"] for line in lines} == {"worker"}
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert all("ZeroDivisionError" in line["exception"] for line in lines[-2:])
    assert lines[1]["count"] == 3


def test_lines_for_people_name_the_part_too_with_one_traceback_each() -> None:
    lines = logged(logs="text")
    about = [line for line in lines if "part=worker" in line]
    assert len(about) == 6
    assert lines.count("ZeroDivisionError: division by zero") == 2


def test_passwords_are_starred_out_where_the_settings_are_logged() -> None:
    lines = logged(
        redis_url="rediss://ann:secret1@redis.test:6380/1",
        broker_url="amqp://ann:secret2@rabbit.test/%2F",
        index_url="milvus+https://ann:secret3@milvus.test:19530",
    )
    settings = json.loads(lines[0])
    assert settings["redis_url"] == "rediss://ann:***@redis.test:6380/1"
    assert settings["broker_url"] == "amqp://ann:***@rabbit.test/%2F"
    assert settings["index_url"] == "milvus+https://ann:***@milvus.test:19530"
    assert not any("secret" in line for line in lines)
