"""The physics of the demo's simulation, and its files."""

from __future__ import annotations

import importlib
import io
import math
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib.image import imread

PROGRAMS = Path(__file__).parents[3] / "notebooks" / "snapshots"

#: of a Plummer sphere with G = M = 1 and the energy -1/4
HALF_MASS_RADIUS = 3 * math.pi / 16 / math.sqrt(2 ** (2 / 3) - 1)  # 0.7686
DISPERSION = math.sqrt(1 / 6)  # one component; the kinetic energy is 1/4


def program(name: str) -> ModuleType:
    sys.path.insert(0, str(PROGRAMS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(PROGRAMS))


generate, snapstat, snapfile, galaxy_view = map(program, ("generate", "snapstat", "snapfile", "galaxy_view"))


def sphere(n: int, seed: int) -> snapfile.Snapshot:
    position, velocity = generate.plummer(n, np.random.default_rng(seed))
    return snapfile.Snapshot(0.0, 0.0, np.full(n, 1 / n), position, velocity)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_plummer_sphere_has_the_size_and_the_heat_that_theory_says(seed: int) -> None:
    n = 4000
    measured = snapstat.measure(sphere(n, seed))
    assert measured.vel_disp == pytest.approx(DISPERSION, rel=5 / math.sqrt(6 * n))  # five standard errors
    assert measured.half_mass == pytest.approx(HALF_MASS_RADIUS, rel=0.08)
    assert measured.virial == pytest.approx(0.5, rel=0.06)
    assert measured.energy == pytest.approx(-0.25, rel=0.06)


def test_mass_lies_within_a_radius_as_theory_says() -> None:
    sample = sphere(20_000, 4)
    radius = np.linalg.norm(sample.position, axis=1) / generate.PLUMMER_SCALE
    for r in (0.25, 0.5, 1, 2, 4):
        expected = r**3 * (1 + r**2) ** -1.5 / generate.LARGEST_MASS_FRACTION
        assert np.mean(radius < r) == pytest.approx(expected, abs=5 * math.sqrt(expected / len(radius)))


def test_no_body_escapes_and_no_direction_is_preferred() -> None:
    sample = sphere(4000, 5)
    speed = np.linalg.norm(sample.velocity, axis=1)
    radius = np.linalg.norm(sample.position, axis=1) / generate.PLUMMER_SCALE
    escape = math.sqrt(2 / generate.PLUMMER_SCALE) * (1 + radius**2) ** -0.25
    assert np.all(speed < 1.05 * escape)  # the sample was brought to rest, which moves it a little
    for vectors in (sample.position, sample.velocity):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        assert np.abs(unit.mean(axis=0)).max() < 5 / math.sqrt(3 * 4000)
    assert np.abs(sample.position.mean(axis=0)).max() < 1e-12


def test_gravity_is_that_of_all_pairs() -> None:
    position = np.random.default_rng(6).normal(size=(50, 3))
    difference = position[None, :, :] - position[:, None, :]
    distance = np.sqrt((difference**2).sum(axis=2) + generate.SOFTENING**2)
    expected = (difference / distance[:, :, None] ** 3).sum(axis=1) / 50
    gravity = generate.Gravity(50)
    for _ in range(2):  # its arrays are used again
        assert gravity(position) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_a_run_keeps_its_energy_and_comes_to_rest_in_equilibrium() -> None:
    measures = [snapstat.measure(snapshot) for snapshot in generate.run(400, 67, 19.8, 12, np.random.default_rng(1974))]
    energies = np.array([measured.energy for measured in measures])
    assert np.ptp(energies) < 0.01 * abs(energies.mean())
    dispersions = np.array([measured.vel_disp for measured in measures])
    times = np.array([measured.time for measured in measures])
    assert 3.5 < times[dispersions.argmax()] < 6.5  # the first pass
    assert dispersions.max() > 1.3 * dispersions[0]
    assert measures[0].half_mass > 1.8
    assert np.mean([measured.virial for measured in measures[-12:]]) == pytest.approx(0.5, abs=0.04)


def test_the_same_seed_gives_the_same_spheres() -> None:
    first, second, other = (next(generate.run(20, 1, 0, 1, np.random.default_rng(seed))) for seed in (7, 7, 8))
    assert np.array_equal(first.position, second.position)
    assert not np.array_equal(first.position, other.position)


def test_two_bodies_on_a_circle_are_measured_as_computed_by_hand() -> None:
    position = np.array([[0.5, 0, 0], [-0.5, 0, 0]]) + 3  # where it is, and
    velocity = np.array([[0, 0.5, 0], [0, -0.5, 0]]) + 7  # how it moves as a whole, doesn't matter
    measured = snapstat.measure(snapfile.Snapshot(1.5, 0.0, np.array([0.5, 0.5]), position, velocity))
    assert measured == pytest.approx((1.5, math.sqrt(0.25 / 3), 0.5, 0.5, -0.125))


def test_a_snapshot_comes_back_from_its_file(tmp_path: Path) -> None:
    before = sphere(10, 9)._replace(time=2.5, softening=0.05)
    path = tmp_path / "a b.nbody"
    snapfile.write(str(path), before)
    after = snapfile.read(str(path))
    assert (after.time, after.softening) == (2.5, 0.05)
    for name in ("mass", "position", "velocity"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-6)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [path.name]


@pytest.mark.parametrize(("content", "why"), [(b"", "not a snapshot"), (b"x" * 100, "not a snapshot"), (None, "cut")])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "damaged.nbody"
    if content is None:
        snapfile.write(str(path), sphere(10, 9))
        content = path.read_bytes()[:-3]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=why):
        snapfile.read(str(path))


def one_body(position: tuple[float, float, float], velocity: tuple[float, float, float]) -> snapfile.Snapshot:
    n = galaxy_view.NEIGHBOUR + 1
    return snapfile.Snapshot(0.0, 0.05, np.full(n, 1 / n), np.tile(position, (n, 1)), np.tile(velocity, (n, 1)))


@pytest.mark.parametrize(
    ("azimuth", "elevation", "column", "line"),
    [(0, 0, "right", "middle"), (90, 0, "middle", "middle"), (180, 0, "left", "middle"), (90, 90, "middle", "bottom")],
)
def test_a_body_is_drawn_where_the_viewer_sees_it(azimuth: float, elevation: float, column: str, line: str) -> None:
    picture = galaxy_view.draw(one_body((0, 1, 0), (0, 0, 0)), azimuth, elevation, size=90, width=4.0)
    y, x = np.unravel_index(picture.sum(axis=2).argmax(), (90, 90))
    assert ("left", "middle", "right")[x // 30] == column
    assert ("top", "middle", "bottom")[y // 30] == line


def test_what_comes_near_is_blue_and_what_moves_away_is_red() -> None:
    def colour(azimuth: float) -> tuple[float, ...]:
        picture = galaxy_view.draw(one_body((0, 0, 0), (0.6, 0, 0)), azimuth, 0, size=31, width=4.0)
        return tuple(picture[15, 15] / picture[15, 15].max())

    assert colour(0) == pytest.approx(galaxy_view.APPROACHING, abs=0.02)
    assert colour(90) == pytest.approx(galaxy_view.AT_REST, abs=0.02)
    assert colour(180) == pytest.approx(galaxy_view.RECEDING, abs=0.02)


def test_a_picture_comes_back_from_its_file() -> None:
    picture = np.random.default_rng(10).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    content = galaxy_view.png(picture)
    read = imread(io.BytesIO(content), format="png")
    assert np.array_equal(np.rint(read * 255).astype(np.uint8), picture)
    at = 8
    while at < len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        (check,) = struct.unpack(">I", content[at + 8 + size : at + 12 + size])
        assert check == zlib.crc32(content[at + 4 : at + 8 + size])
        at += 12 + size


def test_the_programs_work_together(tmp_path: Path) -> None:
    folder = tmp_path / "snap shots"
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(name: str, *arguments: str) -> str:
        # As the notebook calls them: by name, so they have to be executable.
        command = [PROGRAMS / name, *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout

    run("generate.py", str(folder), "--bodies", "50", "--snapshots", "3", "--until", "0.2")
    files = sorted(map(str, folder.iterdir()))
    assert [Path(file).name for file in files] == [f"snapshot_{number:03d}.nbody" for number in range(3)]
    rows = [line.split("\t") for line in run("snapstat.py", *files).splitlines()]
    assert [float(row[0]) for row in rows] == [0, 0.1, 0.2]
    assert {len(row) for row in rows} == {5}
    frame = tmp_path / "frame.png"
    run("galaxy_view.py", files[0], str(frame), "--azimuth", "45", "--size", "64")
    assert frame.read_bytes().startswith(b"\x89PNG")
