"""What a task asks for and a node offers."""

from __future__ import annotations

from dataclasses import dataclass, fields

#: sums of fractional cpus leave crumbs; a demand that misses by less than this fits
SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Resources:
    """An amount of the three resources that StratOS knows.

    Attributes
    ----------
    cpus : float
        Processors; fractions are allowed.
    mem_mib : float
        Memory in MiB; 0 reserves none.
    disk_mib : float
        Disk in MiB; 0 reserves none.
    """

    cpus: float = 0.0
    mem_mib: float = 0.0
    disk_mib: float = 0.0

    def fits(self, room: Resources) -> bool:
        """Say whether this much can be taken out of `room`."""
        return (
            self.cpus <= room.cpus + SLACK
            and self.mem_mib <= room.mem_mib + SLACK
            and self.disk_mib <= room.disk_mib + SLACK
        )

    def times_in(self, room: Resources) -> int:
        """Return how many times this much can be taken out of `room`, by what is asked for."""
        pairs = [(getattr(self, field.name), getattr(room, field.name)) for field in fields(self)]
        return min((int((has + SLACK) / wanted) for wanted, has in pairs if wanted > 0), default=0)

    def __add__(self, other: Resources) -> Resources:
        return Resources(self.cpus + other.cpus, self.mem_mib + other.mem_mib, self.disk_mib + other.disk_mib)

    def __sub__(self, other: Resources) -> Resources:
        return Resources(
            max(0.0, self.cpus - other.cpus),
            max(0.0, self.mem_mib - other.mem_mib),
            max(0.0, self.disk_mib - other.disk_mib),
        )

    def __str__(self) -> str:
        parts = [f"{self.cpus:g} {'cpu' if self.cpus == 1 else 'cpus'}"]
        if self.mem_mib:
            parts.append(f"{self.mem_mib:,.0f} MiB memory")
        if self.disk_mib:
            parts.append(f"{self.disk_mib:,.0f} MiB disk")
        return ", ".join(parts)
