"""The snapshot files of the demo: a header, then the bodies, all little-endian.

===== ======================== =============================================
bytes type                     meaning
===== ======================== =============================================
8     text                     ``NBODY 1`` and a newline: what this file is
8     unsigned integer         n, the number of bodies
8     float                    time
8     float                    length by which gravity is softened
28 n  7 floats of 4 bytes each mass, x, y, z, vx, vy, vz of one body
===== ======================== =============================================

Everything is in N-body units (Hénon's): G = 1, the mass of the system is 1, and a single sphere in
equilibrium has the energy -1/4.
"""

import os
import struct
from typing import NamedTuple

import numpy as np

MAGIC = b"NBODY 1\n"
HEADER = struct.Struct("<8sQdd")
BODY = np.dtype("<f4")


class Snapshot(NamedTuple):
    """All bodies at one time."""

    time: float
    softening: float
    mass: np.ndarray  #: shape (n,)
    position: np.ndarray  #: shape (n, 3)
    velocity: np.ndarray  #: shape (n, 3)


def write(path: str, snapshot: Snapshot) -> None:
    """Write a snapshot aside and move it into place: a reader never meets half a file."""
    header = HEADER.pack(MAGIC, len(snapshot.mass), snapshot.time, snapshot.softening)
    bodies = np.column_stack([snapshot.mass, snapshot.position, snapshot.velocity]).astype(BODY)
    aside = f"{path}.part"
    with open(aside, "wb") as file:
        file.write(header + bodies.tobytes())
    os.replace(aside, path)


def read(path: str) -> Snapshot:
    """Read a snapshot; ValueError says what is wrong with a file that is none."""
    with open(path, "rb") as file:
        header = file.read(HEADER.size)
        if len(header) < HEADER.size or not header.startswith(MAGIC):
            raise ValueError(f"{path}: not a snapshot")
        _, n, time, softening = HEADER.unpack(header)
        content = file.read()
    if len(content) != 7 * BODY.itemsize * n:
        raise ValueError(f"{path}: cut short, {len(content)} bytes for {n} bodies")
    bodies = np.frombuffer(content, BODY).reshape(n, 7).astype(float)
    return Snapshot(time, softening, bodies[:, 0], bodies[:, 1:4], bodies[:, 4:7])
