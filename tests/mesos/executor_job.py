"""A job on a real cluster, driven by hand: our executor, launched by a plain framework."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stratos_jupyter.backend.engines.mesos.executor_bundle import pack_executor
from tests.clusters.mesos.cluster import Cluster
from tests.clusters.mesos.rawframework import Framework, Json, encoded, resources, task
from tests.support.executor_client import Record

PACKED = pack_executor()
EXECUTOR = f"stratos-{PACKED.digest}"


def unpacked(data: bytes) -> Any:
    return json.loads(data if data[:1] in b"[{" else zlib.decompress(data))


class Job:
    """What a framework knows of the job.

    Parameters
    ----------
    framework : Framework
        Subscribed.
    label : str
        Marks processes.
    """

    def __init__(self, framework: Framework, label: str) -> None:
        self.framework = framework
        self.label = label
        self.agent_id = ""
        self.seen = 0
        self.uuids: set[str] = set()
        self.records: list[Record] = []
        self.ended: dict[tuple[int, int], Record] = {}
        self.started: dict[int, int] = {}

    def executor(self) -> Json:
        return {
            "type": "CUSTOM",
            "executor_id": {"value": EXECUTOR},
            "framework_id": {"value": self.framework.id},
            "command": {"shell": True, "value": PACKED.command},
            "resources": resources(cpus=0.1, mem=64),
        }

    def batch(
        self,
        *commands: str,
        number: int = 1,
        first: int = 0,
        expected_s: float | None = None,
        cpus: float = 0.5,
        **context: Any,
    ) -> Json:
        """The TaskInfo of a batch."""
        known: Json = {
            "cwd": "",
            "env": {},
            "inherit": True,
            "output": "scheduler",
            "log_directory": "",
            "sandbox": "",
            "label": self.label,
            "timeout_s": None,
            "threads": "1",
            "grace_s": 5.0,
            "monitor": None,
            "relauncher": None,
            "update_interval_s": 10.0,
            "output_limit": 1 << 20,
        }
        assert set(context) <= set(known)
        rows = [[first + i, 1, command, None] for i, command in enumerate(commands)]
        what = {"version": 1, "context": {**known, **context}, "batch": [number, expected_s, rows, None]}
        data = encoded(zlib.compress(json.dumps(what).encode()))
        return task(f"b{number}", cpus=cpus, mem=32, executor=self.executor(), data=data)

    def launch(self, *infos: Json) -> None:
        """Launch batches on one agent, the same each time."""
        cpus = sum(info["resources"][0]["scalar"]["value"] for info in infos) + 0.1
        offer = self.framework.offer(self.agent_id, cpus)
        self.agent_id = offer["agent_id"]["value"]
        self.framework.launch(offer, infos)

    def run(self, *commands: str, **options: Any) -> None:
        self.launch(self.batch(*commands, **options))

    def take(self) -> None:
        """Read what new updates hold; an agent that was away sends those again whose acknowledgement it has missed."""
        for status in self.framework.updates[self.seen :]:
            self.seen += 1
            if "data" in status and status["uuid"] not in self.uuids:
                self.uuids.add(status["uuid"])
                data = unpacked(base64.b64decode(status["data"]))
                self.started.update({row[0]: row[2] for row in data["started"]})
                for row in data["ended"]:
                    record = Record(*row)
                    self.records.append(record)
                    self.ended.setdefault((record.task, record.attempt), record)

    def wait(self, number: int = 1) -> Json:
        """Wait for the end of a batch."""
        status = self.framework.wait(f"b{number}")
        self.take()
        return status

    def record(self, index: int) -> Record:
        """Wait for the record of a command."""

        def there() -> bool:
            self.take()
            return (index, 1) in self.ended

        self.framework.until(there, what=f"the record of {index}")
        return self.ended[index, 1]

    def pid(self, index: int) -> int:
        """Wait until a command runs."""

        def there() -> bool:
            self.take()
            return index in self.started

        self.framework.until(there, what=f"the start of {index}")
        return self.started[index]

    def say(self, *messages: Any) -> None:
        self.framework.message(EXECUTOR, self.agent_id, json.dumps(list(messages)).encode())

    def said(self, verb: str) -> list[Any]:
        return [message[1:] for data in self.framework.messages for message in json.loads(data) if message[0] == verb]

    def ask(self, message: Any, verb: str) -> Any:
        """Say something and wait for the answer."""
        before = len(self.said(verb))
        self.say(message)
        self.framework.until(lambda: len(self.said(verb)) > before, what=f"the answer {verb}")
        return self.said(verb)[-1]

    def sandbox(self, cluster: Cluster) -> Path:
        """Where the newest executor runs."""
        (found,) = cluster.folder.glob(
            f"agent*/data/slaves/{self.agent_id}/frameworks/{self.framework.id}/executors/{EXECUTOR}/runs/latest"
        )
        return found


@contextmanager
def job(cluster: Cluster, **info: Any) -> Iterator[Job]:
    """A framework of its own, torn down in the end."""
    with Framework(cluster.master, **info) as framework:
        yield Job(framework, f"j{os.getpid()}-{framework.id[-4:]}")
