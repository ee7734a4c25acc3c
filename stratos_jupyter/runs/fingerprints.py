"""Fingerprints: by what one can tell whether the commands of a cell would read something else than they did before.

Inputs count by what `executor.process.input_state` makes of them, an environment variable that the user named by its
value. The values of variables cannot be told from their fingerprint, not by trying either: it is made with a secret of
this user, which no run's folder holds.

Fingerprints are only compared for being the same: a file's times are by the clock of its file system, and no other
clock knows what they mean.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from ..backend.core.phrases import duration_text
from ..backend.engines.base import Result
from ..backend.executor.process.input_state import CONTENT, DEVICE, INODE, MOST, OWNER, STATUS, Tree, key_of, look
from ..backend.inputs.filesystems import HdfsFile, OnHdfs
from ..backend.spec.commands import Commands
from ..backend.spec.job_spec import JobSpec
from ..backend.spec.workload import FINGERPRINT_CHARS, Fingerprints
from ..backend.store.run_dirs import secret_of

#: where a command's inputs take longer than this to be looked at, in seconds, seen of the first so many commands ...
SLOW_S: Final = 0.0002
TRIED: Final = 256
#: ... so many threads look
THREADS: Final = 32
#: an input that was changed more than this in the future is said, in seconds
AHEAD_S: Final = 10.0


def env_fingerprint(home: Path, spec: JobSpec, env: Mapping[str, str]) -> str:
    """Return the fingerprint of the variables that a job names; '' when it names none."""
    if not spec.env:
        return ""
    values = [spec.job_id, sorted((name, env[name]) for name, _ in spec.env)]
    return hmac.new(secret_of(home), json.dumps(values).encode("ascii"), hashlib.sha256).hexdigest()[:FINGERPRINT_CHARS]


@dataclass(frozen=True, slots=True)
class ScannedInputs:
    """What the inputs of some commands were at a moment.

    Attributes
    ----------
    here, there : list of str
        The fingerprint of the inputs of each command that are files of this machine, and of those on HDFS; `there` is
        empty when that was not asked.
    said : tuple of str
        What there is to say of them, a line each: one was changed in the future, one holds more than is looked at.
    """

    here: list[str]
    there: list[str]
    said: tuple[str, ...] = ()

    def fingerprints(self, env: str, places: Sequence[int] | None = None) -> Fingerprints:
        """Return the fingerprints of all of these commands, or of some, as a call keeps them."""
        chosen = range(len(self.here)) if places is None else places
        return Fingerprints(
            env,
            here="".join(self.here[place] for place in chosen),
            there="".join(self.there[place] for place in chosen) if self.there else "",
        )

    def of(self, index: int) -> Fingerprint:
        """Return the fingerprints of one command."""
        return Fingerprint(self.here[index], self.there[index] if self.there else "")


def scan_inputs(commands: Commands, cwd: str, on_hdfs: OnHdfs | None = None) -> ScannedInputs:
    """Look at the inputs of all commands.

    Parameters
    ----------
    commands : Commands
        Whose inputs.
    cwd : str
        Where relative names start.
    on_hdfs : OnHdfs, optional
        Those of them that are on HDFS.

    Notes
    -----
    On a local disk it takes about 7 us an input; where a file system answers slowly, `THREADS` ask at the same time.
    """
    elsewhere = {} if on_hdfs is None else on_hdfs.files
    folder = os.fsencode(cwd)
    trees: dict[bytes, Tree] = {}  # a directory that many commands read is looked at once

    def one(index: int) -> tuple[str, float]:
        names = commands.inputs(index)
        return look([name for name in names if name not in elsewhere] if elsewhere else names, folder, trees)

    total = len(commands)
    begun_s = time.monotonic()
    found = [one(index) for index in range(min(TRIED, total))]
    rest = range(len(found), total)
    if time.monotonic() - begun_s > len(found) * SLOW_S and rest:
        with ThreadPoolExecutor(THREADS) as pool:
            found += pool.map(one, rest, chunksize=64)
    else:
        found += [one(index) for index in rest]
    now_s = time.time()
    ahead = [index for index, (_, newest_s) in enumerate(found) if newest_s > now_s + AHEAD_S]
    said = []
    if ahead:
        name = _newest(commands.inputs(ahead[0]), cwd)
        more = f" and of {len(ahead) - 1:,} more tasks" if len(ahead) > 1 else ""
        said.append(
            f"input {name!r}{more} was changed {duration_text(found[ahead[0]][1] - now_s)} from now, by this machine's "
            "clock: a clock is wrong, or that time was set by hand. Programs that compare times, as make, may skip it"
        )
    if large := [left_out for *_, left_out in trees.values() if left_out is not None]:
        more = f" and {len(large) - 1:,} more" if len(large) > 1 else ""
        said.append(
            f"of directory {os.fsdecode(large[0])!r}{more} --resume sees what comes and goes, not what is written to: "
            f"an input of more than {MOST:,} files, or one that may not be read"
        )
    there = []
    if elsewhere and on_hdfs is not None and on_hdfs.known:
        of_each = (commands.inputs(index) for index in range(len(commands)))
        there = [_key_there([(name, elsewhere[name]) for name in names if name in elsewhere]) for names in of_each]
    return ScannedInputs([key for key, _ in found], there, tuple(said))


def _key_there(names: Sequence[tuple[str, HdfsFile | None]]) -> str:
    """Return the key of inputs on HDFS, where a file's number does for what only the system sets."""
    parts, device, number = [], 0, 0
    for name, found in names:
        text = name.encode("utf-8", "surrogateescape")
        if found is None:
            parts.append(text + b"\0-")
            continue
        parts.append(text + b"\0%d\0%.3f" % (found.size, found.changed_ms / 1000))
        device, number = crc32(found.cluster.encode(), device), crc32(b"%d" % found.file_id, number)
    return key_of(parts, device, number, number, 0)


def _newest(names: Sequence[str], cwd: str) -> str:
    return max(names, key=lambda name: look([name], os.fsencode(cwd))[1])


#: the fingerprint of no inputs
NOTHING: Final = key_of([], 0, 0, 0, 0)


def same_inputs(one: str, other: str, *, worked: bool = False) -> bool:
    """Say whether two fingerprints tell of the same inputs.

    Name, size and time of change must be equal. What only the system sets tells a file that took the place of another
    one with equal size and time, or was written and got its old time back; but on another file system, or another
    mount, it says nothing. It does change with owner, mode and links of a file, which is no reason to read that again.

    Parameters
    ----------
    one, other : str
        The fingerprints.
    worked : bool
        Whether the task of `one` has worked in its inputs. Then their time is that of its work, which no other contents
        have by chance, and to do that work twice would spoil it: any new status of the same file is taken for such.
    """
    if one == other:
        return True
    a, b = b64decode(one), b64decode(other)
    if a[CONTENT] != b[CONTENT]:
        return False
    explained = a[INODE] == b[INODE] and (worked or a[OWNER] != b[OWNER])
    return a[DEVICE] != b[DEVICE] or a[STATUS] == b[STATUS] or explained


def saw_any(key: str) -> bool:
    """Say whether any of the inputs was there."""
    return b64decode(key)[DEVICE] != bytes(DEVICE.stop - DEVICE.start)


def inputs_left(submitted: str, result: Result) -> tuple[str, bool] | None:
    """Say what an attempt has left its inputs as, unless that is as they were `submitted`; '' for version 0.1.0's.

    Returns
    -------
    fingerprint : str
        What they are.
    agreed : bool
        Whether its node saw, before it started, what had been seen here, and not just that nothing is there; or it
        has changed what an earlier attempt may have changed before.
    """
    after, before = result.inputs[0], result.inputs[-1]
    if not submitted:
        return after, False
    if same_inputs(submitted, after):
        return None
    agreed = same_inputs(submitted, before) or (result.attempt > 1 and not same_inputs(before, after))
    return after, agreed and saw_any(submitted)


def matches_old(old: str, seen: Fingerprint) -> bool:
    """Say whether inputs are those of a fingerprint as version 0.1.0 made it: names, sizes and times of change."""
    content = bytes.fromhex(old)[CONTENT]
    return any(key and b64decode(key)[CONTENT] == content for key in seen)


class Fingerprint(NamedTuple):
    """The fingerprints of the inputs of one command: of those here, and of those on HDFS; '' where none was taken."""

    here: str
    there: str = ""

    def same(self, other: Fingerprint, *, worked: bool = False) -> bool:
        """Say whether they tell of the same inputs, as far as both are known; `worked` as for the function."""
        pairs = zip(self, other, strict=True)
        return all(not one or not another or same_inputs(one, another, worked=worked) for one, another in pairs)

    def tells(self, other: Fingerprint) -> bool:
        """Say whether this is known wherever the other command's inputs are."""
        pairs = zip(self, other, strict=True)
        return all(one or another in ("", NOTHING) for one, another in pairs)
