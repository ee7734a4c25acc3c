"""A process that asks HDFS where files are, so that the notebook's has nothing to do with it.

A request costs nearly a millisecond of Python's time; 50,000 of them would make the notebook's own code run at half its
speed for a minute. The process is told what to ask on its standard input, a JSON array a line:

- first, the HDFS's name
- then, as often as wanted: paths. The answer is a line each: ``[trouble, [located, ...]]``, of a path as
  `Hdfs.locate` has them, or null where that is not known; `trouble` is '' unless nothing could be asked.

It ends with its standard input. Of an error nothing is printed but its message, which holds no secrets.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Any, BinaryIO

from ...errors import SpecError, StorageError
from .hdfs import Hdfs

#: what belongs to the notebook goes first
NICE = 10


def main(lines: BinaryIO, out: BinaryIO) -> None:
    """Answer until there are no more questions."""
    with suppress(OSError):
        os.nice(NICE)
    name = json.loads(lines.readline())
    hdfs: Hdfs | None = None
    for line in lines:
        paths = json.loads(line)
        try:
            if hdfs is None:
                hdfs = Hdfs(name, patient=False)  # a failure may pass, and is told each time
            answer: Any = ["", _located(hdfs, paths)]
        except (SpecError, StorageError) as error:
            answer = [str(error), []]
        out.write(json.dumps(answer).encode("ascii") + b"\n")
        out.flush()


def _located(hdfs: Hdfs, paths: list[str]) -> list[Any]:
    return [None if isinstance(one, StorageError) else one for one in hdfs.all(hdfs.locate, paths)]


def start() -> None:
    """Run it, and end at once when there are no more questions, whatever is still being asked."""
    try:
        main(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        pass
    except KeyboardInterrupt:
        pass
    os._exit(0)
