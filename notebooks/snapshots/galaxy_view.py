#!/usr/bin/env python3
"""Draw a snapshot, seen from an angle, into a PNG file.

Brightness is the mass in the line of sight; colour is its mean velocity: what comes towards the viewer is blue,
what moves away is red, as a spectrograph would see it.
"""

import argparse
import math
import os
import struct
import zlib

import numpy as np
from snapfile import Snapshot, read

#: Colours of what approaches, rests and recedes, at full brightness (red, green, blue).
APPROACHING, AT_REST, RECEDING = np.array([[0.30, 0.60, 1.00], [1.00, 0.93, 0.82], [1.00, 0.38, 0.22]])
#: The velocity, in N-body units, at which a colour is pure.
PURE_COLOUR_AT = 0.6
#: Half of the mass of a body is a dot; the other half is spread over the distance to this neighbour of its.
NEIGHBOUR = 6
#: Width of a dot, in pixels.
DOT = 0.8
#: Column density (mass over area) below which brightness is proportional to it, and above which it is its logarithm.
KNEE = 0.02


def turn(vectors: np.ndarray, azimuth: float, elevation: float) -> np.ndarray:
    """Vectors as right, up and towards a viewer at an azimuth and an elevation above the x-y plane, in degrees."""
    a, e = math.radians(azimuth), math.radians(elevation)
    right = [-math.sin(a), math.cos(a), 0]
    up = [-math.sin(e) * math.cos(a), -math.sin(e) * math.sin(a), math.cos(e)]
    towards = [math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)]
    return vectors @ np.array([right, up, towards]).T


def spreads(position: np.ndarray) -> np.ndarray:
    """Distance from each body to its neighbour number NEIGHBOUR: small in a core, large in a halo."""
    square = np.einsum("ij,ij->i", position, position)
    distance_2 = square[:, None] + square[None, :] - 2 * position @ position.T
    return np.sqrt(np.partition(np.maximum(distance_2, 0), NEIGHBOUR, axis=1)[:, NEIGHBOUR])


def draw(snapshot: Snapshot, azimuth: float, elevation: float, size: int, width: float) -> np.ndarray:
    """The picture, shape (size, size, 3), bytes; `width` is the length that it shows."""
    position = turn(snapshot.position, azimuth, elevation)
    velocity = turn(snapshot.velocity, azimuth, elevation)[:, 2]
    pixel = width / size
    pixels = (np.arange(size) + 0.5 - size / 2) * pixel
    density = momentum = np.zeros((size, size))
    for spread in (np.full(len(position), DOT * pixel), np.maximum(spreads(position), DOT * pixel)):
        # A body is a round Gaussian: its shape along x times its shape along y, so a picture is a product of matrices.
        along_x = np.exp(-(((pixels[None, :] - position[:, 0, None]) / spread[:, None]) ** 2) / 2)
        along_y = np.exp(-(((-pixels[:, None] - position[None, :, 1]) / spread[None, :]) ** 2) / 2)
        weight = (snapshot.mass / 2 / (2 * np.pi * spread**2))[:, None] * along_x
        density = density + along_y @ weight
        momentum = momentum + along_y @ (velocity[:, None] * weight)
    towards = momentum / np.maximum(density, 1e-12)

    brightness = np.arcsinh(density / KNEE)
    brightness = np.clip(brightness / np.arcsinh(1 / KNEE), 0, 1)[:, :, None]
    tint = np.clip(towards / PURE_COLOUR_AT, -1, 1)[:, :, None]
    colour = AT_REST + np.maximum(tint, 0) * (APPROACHING - AT_REST) + np.maximum(-tint, 0) * (RECEDING - AT_REST)
    return np.asarray(np.rint(255 * brightness * colour), np.uint8)


def png(picture: np.ndarray) -> bytes:
    """A picture, shape (height, width, 3), bytes, as the content of a PNG file."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, _ = picture.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, red green blue
    lines = b"".join(b"\0" + line.tobytes() for line in picture)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("snapshot")
    parser.add_argument("output", help="the PNG file to write")
    parser.add_argument("--azimuth", type=float, default=0, help="in degrees")
    parser.add_argument("--elevation", type=float, default=30, help="above the plane of the encounter, in degrees")
    parser.add_argument("--size", type=int, default=240, help="of the picture, in pixels")
    parser.add_argument("--width", type=float, default=4.0, help="the length that the picture shows")
    options = parser.parse_args()
    picture = draw(read(options.snapshot), options.azimuth, options.elevation, options.size, options.width)
    aside = f"{options.output}.part"
    with open(aside, "wb") as file:
        file.write(png(picture))
    os.replace(aside, options.output)


if __name__ == "__main__":
    main()
