"""What a command reads, as it is seen at a moment: a short key by which one can tell later whether it is another.

The kernel looks at inputs when commands are submitted, the executor when one is about to start and when it has ended.
Both look in the same way, here. A key has five parts, each made of all inputs together:

- *content*: names, sizes and times of change (mtime); that an input is absent.
- *device*: which file systems they are on; 0 where none of them is there.
- *status*: when what is known of them was changed (ctime). Nothing but the system sets it: a rename does, for one.
- *inode*: which files they are.
- *owner*: modes, owners and numbers of links.

A directory is what is in it, level by level, up to `MOST` entries; hidden ones are left out, as patterns leave them
out. Of a directory that is not looked into, since it holds too much, the own time of change counts instead.
"""

import os
from binascii import b2a_base64
from collections import deque
from hashlib import sha256
from itertools import islice
from stat import S_ISDIR, S_ISLNK
from struct import pack
from typing import Deque, Dict, Iterator, List, Optional, Sequence, Tuple

#: Characters of a key, and bytes of its parts.
KEY = 32
CONTENT, DEVICE, STATUS, INODE, OWNER = slice(0, 12), slice(12, 14), slice(14, 18), slice(18, 22), slice(22, 24)
# Numbers of several files are mixed into one, and brought down to the bytes that there are by a prime each.
_MIX, _ROOM, _SHORT, _LONG = 1000003, (1 << 64) - 1, 65521, 4294967291

#: What is in a directory: a digest of names, sizes and times, what there is of status, inode and owner, and the first
#: directory in it that was not looked into.
Tree = Tuple[bytes, int, int, int, Optional[bytes]]
#: Entries of a directory that are looked at.
MOST = 1000


def look(names: Sequence[str], cwd: bytes, trees: Optional[Dict[bytes, Tree]] = None) -> Tuple[str, float]:
    """Look at files and directories.

    Parameters
    ----------
    names : sequence of str
        As the command has them.
    cwd : bytes
        Where relative ones start; where that is not known, it is empty, and they are absent.
    trees : dict, optional
        What has just been found in directories, by path: for several commands that read the same ones.

    Returns
    -------
    key : str
        What they are now.
    newest_s : float
        When the last of them was changed, in seconds since the epoch, by the clock of their file system.
    """
    parts: List[bytes] = []
    device = status = inode = owner = 0
    newest_s = 0.0
    for text in names:
        name = text.encode("utf-8", "surrogateescape")  # whatever the locale of this process says
        path = os.path.expanduser(name) if text[:1] == "~" else name
        if path[:1] != b"/":
            path = cwd + b"/" + path if cwd else b""
        try:
            one = os.stat(path)
        except (OSError, ValueError):
            parts.append(name + b"\0-")
            continue
        newest_s = max(newest_s, one.st_mtime)
        if S_ISDIR(one.st_mode):
            tree = None if trees is None else trees.get(path)
            if tree is None:
                tree = _tree(path, one)
                if trees is not None:
                    trees[path] = tree
            below, changed, number, mode, _ = tree
            parts.append(b"%b\0/%b" % (name, below))
        else:
            parts.append(b"%b\0%d\0%d" % (name, one.st_size, one.st_mtime_ns))
            changed, number, mode = one.st_ctime_ns, one.st_ino, _owner(one)
        device = device * _MIX + one.st_dev & _ROOM
        status = status * _MIX + changed & _ROOM
        inode = inode * _MIX + number & _ROOM
        owner = owner * _MIX + mode & _ROOM
    return key_of(parts, device, status, inode, owner), newest_s


def _owner(one: os.stat_result) -> int:
    return one.st_mode + _MIX * (one.st_uid + _MIX * (one.st_gid + _MIX * one.st_nlink))


def key_of(parts: Sequence[bytes], device: int, status: int, inode: int, owner: int) -> str:
    """Return the key of what has been found."""
    data = sha256(b"\0\0".join(parts)).digest()[CONTENT]
    data += pack(">HIIH", device % _SHORT, status % _LONG, inode % _LONG, owner % _SHORT)
    return b2a_base64(data)[:-1].decode("ascii")


def _tree(folder: bytes, status: os.stat_result) -> Tree:
    content = sha256()
    changed = number = mode = 0
    left_out: List[bytes] = []
    for part, one in _entries(folder, status, left_out):
        content.update(part + b"\0\0")
        if one is not None:
            changed = changed * _MIX + one.st_ctime_ns & _ROOM
            number = number * _MIX + one.st_ino & _ROOM
            mode = mode * _MIX + _owner(one) & _ROOM
    return content.hexdigest().encode("ascii"), changed, number, mode, left_out[0] if left_out else None


def _entries(
    folder: bytes, status: os.stat_result, left_out: List[bytes]
) -> Iterator[Tuple[bytes, Optional[os.stat_result]]]:
    """Yield what there is to say of each entry below a directory, and of a file its status.

    Directories that are not looked into are added to `left_out`.

    Links to directories aren't followed. The status of a directory says nothing: whatever comes and goes in it for a
    moment changes that.
    """
    left = MOST
    todo: Deque[Tuple[bytes, bytes, int]] = deque([(b"", folder, status.st_mtime_ns)])
    while todo:
        shown, path, changed_ns = todo.popleft()
        names = _names(path, left)
        if names is None:
            left_out.append(path)
            yield b"%b\0%d" % (shown, changed_ns), None
            continue
        left -= len(names)
        for name in names:
            below = path + b"/" + name
            try:
                one = os.lstat(below)
                if S_ISLNK(one.st_mode):
                    target = os.stat(below)
                    one = one if S_ISDIR(target.st_mode) else target
            except OSError:
                yield shown + name + b"\0-", None  # a link to nothing, or it has just gone
                continue
            if S_ISDIR(one.st_mode):
                todo.append((shown + name + b"/", below, one.st_mtime_ns))
                yield shown + name + b"/", None
            else:
                yield b"%b%b\0%d\0%d" % (shown, name, one.st_size, one.st_mtime_ns), one


def _names(folder: bytes, most: int) -> Optional[List[bytes]]:
    """Return the names in a directory, sorted, without hidden ones; None where they are too many, or can't be had."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, most + 1)]
    except OSError:
        return None
    return sorted(name for name in names if name[:1] != b".") if len(names) <= most else None
