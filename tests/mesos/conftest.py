"""Jobs on a real Mesos cluster, driven as the session drives them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stratos_jupyter.backend.spec.commands import explicit_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.job import Job
from stratos_jupyter.session import Session
from tests.clusters.mesos.cluster import Cluster

Submit = Callable[..., Job]


def submit(session: Session, cluster: Cluster, *commands: str, **spec: Any) -> Job:
    """Submit commands to a cluster."""
    return session.submit(
        JobSpec(**{"job_id": "demo", "master": cluster.master, "output_limit": 1 << 20, **spec}),
        explicit_commands(commands),
    )


def noting(folder: Path, then: str = "true") -> str:
    """A command that notes that it has begun, by its attempt; `{i}` stands for what it is."""
    return f"echo $STRATOS_TASK >> {folder}/begun; {then}"


def begun(folder: Path) -> Counter[int]:
    """How often each task has begun."""
    try:
        lines = (folder / "begun").read_text().split()
    except FileNotFoundError:
        lines = []
    return Counter(int(line.split(".")[-2]) for line in lines)


def executors(cluster: Cluster, agent: str = "") -> list[int]:
    """The processes of executors, of all agents or one: their commands have marks, they have none."""
    found = []
    for pid in cluster.processes():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            folder = Path(os.readlink(f"/proc/{pid}/cwd"))
        except OSError:
            continue
        if b"STRATOS_TASK=" not in environment and (not agent or agent in folder.parts):
            found.append(pid)
    return found
