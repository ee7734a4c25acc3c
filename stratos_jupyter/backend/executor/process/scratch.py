"""The scratch folder of a task with a disk limit, and what it takes on the disk."""

import os
from contextlib import suppress
from typing import Iterator, Set, Tuple

from ..work import Task, encode


def scratch_folder(task: Task) -> str:
    """Return where the folder of `task` belongs."""
    sandbox, number, attempt = task.batch.context.sandbox, task.number, task.attempt
    return os.path.join(sandbox, str(number // 1000), "{}.{}.scratch".format(number, attempt))


def make_scratch(task: Task) -> None:
    """Make the folder; raises OSError."""
    path = encode(task.scratch)
    try:
        os.mkdir(path, 0o700)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        os.mkdir(path, 0o700)
    except FileExistsError:
        if os.path.islink(path) or not os.path.isdir(path):
            raise


def remove_scratch(task: Task) -> None:
    """Remove the folder if nothing is in it."""
    if task.scratch:
        with suppress(OSError):
            os.rmdir(encode(task.scratch))


def measure(path: bytes) -> Iterator[int]:
    """Yield what each entry in a folder takes on the disk, one after another; what cannot be seen counts nothing.

    Links are not followed, and a file with several names counts once. The caller may pause between two entries for any
    time: what comes and goes meanwhile is counted as it is met.
    """
    linked: Set[Tuple[int, int]] = set()
    folders = [path]
    while folders:
        try:
            entries = os.scandir(folders.pop())
        except OSError:
            continue
        with entries:
            while True:
                try:
                    entry = next(entries)
                    found = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif found.st_nlink > 1:
                        if (found.st_dev, found.st_ino) in linked:
                            yield 0
                            continue
                        linked.add((found.st_dev, found.st_ino))
                except StopIteration:
                    break
                except OSError:
                    yield 0  # an entry that has gone costs time, too
                    continue
                yield found.st_blocks * 512
