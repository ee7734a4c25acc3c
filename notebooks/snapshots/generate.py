#!/usr/bin/env python3
"""Two Plummer spheres fall towards each other, pass, come back and merge: an N-body run with its snapshots.

The bodies feel each other's gravity, all pairs summed, softened, and move by the leapfrog scheme. A
thousand bodies and 200 snapshots take a few seconds. The same seed gives the same two spheres on every machine.
"""

import argparse
import math
import os
from collections.abc import Iterator

import numpy as np
from snapfile import Snapshot, write

#: Length by which gravity is softened: close pairs would ask for tiny steps.
SOFTENING = 0.05
#: Scale length of a Plummer sphere whose energy is -1/4 (G = M = 1).
PLUMMER_SCALE = 3 * math.pi / 16
#: The outermost 0.1 % of the mass of a Plummer sphere reaches to infinity; it is left out.
LARGEST_MASS_FRACTION = 0.999


def directions(n: int, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors, evenly spread over the sphere, shape (n, 3)."""
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def speed_fractions(n: int, rng: np.random.Generator) -> np.ndarray:
    """Speeds as fractions q of the escape speed, distributed as q^2 (1 - q^2)^(7/2), by rejection."""
    accepted = np.empty(0)
    while len(accepted) < n:
        q, height = rng.uniform(size=2 * n), rng.uniform(0, 0.1, size=2 * n)
        accepted = np.append(accepted, q[height < q**2 * (1 - q**2) ** 3.5])
    return accepted[:n]


def plummer(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities, shape (n, 3) each, of a Plummer sphere of mass 1 and energy -1/4.

    Sampled as by Aarseth, Hénon & Wielen (1974, A&A 37, 183), at rest around the origin.
    """
    fraction = rng.uniform(0, LARGEST_MASS_FRACTION, size=n)
    radius = 1 / np.sqrt(fraction ** (-2 / 3) - 1)
    escape_speed = math.sqrt(2) * (1 + radius**2) ** -0.25
    position = PLUMMER_SCALE * radius[:, None] * directions(n, rng)
    velocity = (escape_speed * speed_fractions(n, rng))[:, None] * directions(n, rng) / math.sqrt(PLUMMER_SCALE)
    return position - position.mean(axis=0), velocity - velocity.mean(axis=0)


def encounter(
    n: int, separation: float, impact: float, speed: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two spheres of half the mass and half the size each on their way to each other in the x-y plane."""
    halves = []
    for count, side in ((n // 2, -1), (n - n // 2, 1)):
        position, velocity = plummer(count, rng)
        # Half the mass at half the size: the same speeds inside.
        position = position / 2 + side * np.array([separation, impact, 0]) / 2
        velocity = velocity - side * np.array([speed, 0, 0]) / 2
        halves.append((position, velocity))
    (position_1, velocity_1), (position_2, velocity_2) = halves
    return np.concatenate([position_1, position_2]), np.concatenate([velocity_1, velocity_2])


class Gravity:
    """The pull of n bodies of equal mass, 1 in total, on each other; it keeps the arrays that every step needs."""

    def __init__(self, n: int) -> None:
        self._pairs = np.empty((n, n), np.float32)
        self._roots = np.empty((n, n), np.float32)

    def __call__(self, position: np.ndarray) -> np.ndarray:
        """Accelerations, shape (n, 3)."""
        x = position.astype(np.float32)
        square = np.einsum("ij,ij->i", x, x)
        weight, root = self._pairs, self._roots
        # |x - y|^2 = |x|^2 + |y|^2 - 2 x y; rounding can leave a body a little below 0 away from itself.
        np.matmul(-2 * x, x.T, out=weight)
        weight += square[:, None]
        weight += square[None, :]
        np.maximum(weight, 0, out=weight)
        weight += np.float32(SOFTENING**2)
        np.sqrt(weight, out=root)
        weight *= root
        np.reciprocal(weight, out=weight)
        return (weight @ x - weight.sum(axis=1)[:, None] * x).astype(float) / len(x)


def run(n: int, snapshots: int, until: float, steps: int, rng: np.random.Generator) -> Iterator[Snapshot]:
    """The snapshots of an encounter at even times from 0 on, with so many steps between two of them."""
    position, velocity = encounter(n, separation=4.0, impact=1.0, speed=0.6, rng=rng)
    mass = np.full(n, 1 / n)
    interval = until / max(snapshots - 1, 1)
    step = interval / steps
    gravity = Gravity(n)
    force = gravity(position)
    for number in range(snapshots):
        yield Snapshot(number * interval, SOFTENING, mass, position.copy(), velocity.copy())
        if number == snapshots - 1:
            return
        for _ in range(steps):
            velocity += force * step / 2
            position += velocity * step
            force = gravity(position)
            velocity += force * step / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="where the snapshots go")
    parser.add_argument("--snapshots", type=int, default=200)
    parser.add_argument("--bodies", type=int, default=1000)
    parser.add_argument("--until", type=float, default=19.9, help="time of the last snapshot, in N-body units")
    parser.add_argument("--steps", type=int, default=4, help="from one snapshot to the next")
    parser.add_argument("--seed", type=int, default=1974)
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    for number, snapshot in enumerate(run(options.bodies, options.snapshots, options.until, options.steps, rng)):
        write(os.path.join(options.folder, f"snapshot_{number:03d}.nbody"), snapshot)


if __name__ == "__main__":
    main()
