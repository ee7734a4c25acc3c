#!/usr/bin/env python3
"""Print one tab-separated line for each snapshot: time, velocity dispersion, half-mass radius, virial ratio, energy."""

import argparse
from typing import NamedTuple

import numpy as np
from snapfile import Snapshot, read


class Measures(NamedTuple):
    """What a line says, in its order; N-body units."""

    time: float
    vel_disp: float  #: of one component of the velocity
    half_mass: float  #: radius around the centre of mass that holds half of the mass
    virial: float  #: kinetic energy over the amount of the potential energy: 1/2 in equilibrium
    energy: float


def potential_energy(snapshot: Snapshot) -> float:
    """Energy of the softened gravity between all pairs."""
    potential = 0.0
    for n in range(1, len(snapshot.mass)):  # row by row: a table of all pairs could be larger than the memory
        difference = snapshot.position[:n] - snapshot.position[n]
        distance = np.sqrt(np.einsum("ij,ij->i", difference, difference) + snapshot.softening**2)
        potential -= snapshot.mass[n] * np.sum(snapshot.mass[:n] / distance)
    return float(potential)


def half_mass_radius(mass: np.ndarray, radius: np.ndarray) -> float:
    """Radius of the innermost body with which half of the mass lies inside."""
    order = np.argsort(radius)
    inside = np.cumsum(mass[order])
    return float(radius[order][np.searchsorted(inside, inside[-1] / 2)])


def measure(snapshot: Snapshot) -> Measures:
    """All the measures of one snapshot, in the frame of its centre of mass."""
    total = snapshot.mass.sum()
    position = snapshot.position - snapshot.mass @ snapshot.position / total
    velocity = snapshot.velocity - snapshot.mass @ snapshot.velocity / total
    kinetic = float(snapshot.mass @ np.sum(velocity**2, axis=1)) / 2
    potential = potential_energy(snapshot)
    return Measures(
        time=snapshot.time,
        vel_disp=float(np.sqrt(2 * kinetic / total / 3)),
        half_mass=half_mass_radius(snapshot.mass, np.linalg.norm(position, axis=1)),
        virial=kinetic / -potential,
        energy=kinetic + potential,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("snapshot", nargs="+")
    for path in parser.parse_args().snapshot:
        print("\t".join(f"{value:.6g}" for value in measure(read(path))))


if __name__ == "__main__":
    main()
