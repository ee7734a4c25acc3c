"""What a job wants done when tasks fail, hang or grow, and how fast it may go."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from ...errors import JournalError
from .states import ZERO, Codes, Reason, TaskState, ending

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: attempts are counted in two bytes
RETRIES_MOST: Final = 10_000
#: the reasons that are the command's own failure: they may spend the user's retries
OWN_FAILURES: Final = frozenset({Reason.EXIT, Reason.SIGNAL, Reason.TIMEOUT, Reason.MEMORY, Reason.DISK, Reason.OUTPUT})


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind of failure.

    Attributes
    ----------
    reason : Reason
        One of `OWN_FAILURES`.
    code : int or None
        The exit code or the signal's number; None for any.
    """

    reason: Reason
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Halt:
    """How many failed tasks stop the launching.

    Attributes
    ----------
    count : int
        This many, at least.
    share : float
        And at least this part of those that have ended, 0 to 1.
    """

    count: int
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one job; what can be changed while it runs is replaced as a whole.

    Attributes
    ----------
    retries : int
        How often a task is tried again after failures of its own.
    retry_on : tuple of Cause
        Which failures those are; empty for all of its own.
    retry_delay_s : float
        How long the first retry waits at most; each further one twice as long, up to `RETRY_MOST_S`.
    mem_most_mib : float
        A task that died of memory gets twice as much, up to this; 0: as much as before.
    timeout_share : float or None
        A task may run this many times as long as the median of those that finished.
    halt : Halt or None
        When to stop launching.
    max_tasks : int or None
        How many commands may run at once.
    rate_per_s : float or None
        How many may be launched a second.
    delay_s : float
        How long to wait between two launches.
    locality_wait_s : float
        How long a task with inputs waits for a node that holds most of them; 0: not at all.
    ok_exit : tuple of (int, int)
        The exit codes that say that the work was done, as ranges; all others are failures.
    """

    retries: int = 0
    retry_on: tuple[Cause, ...] = ()
    retry_delay_s: float = 1.0
    mem_most_mib: float = 0.0
    timeout_share: float | None = None
    halt: Halt | None = None
    max_tasks: int | None = None
    rate_per_s: float | None = None
    delay_s: float = 0.0
    locality_wait_s: float = 3.0
    ok_exit: Codes = ZERO

    def ending(self, reason: Reason, code: int | None) -> TaskState:
        """Return the terminal state of an attempt that ended so."""
        return ending(reason, code, self.ok_exit)

    def retry_for(self, reason: Reason, code: int | None) -> bool:
        """Say whether this failure is one that the user wants tried again."""
        if reason not in OWN_FAILURES or self.ending(reason, code) is TaskState.FINISHED:
            return False
        return not self.retry_on or any(
            (cause.reason is reason and cause.code in (None, code))
            # ``exit:137`` means signal 9, of which a shell makes that code
            or (cause.reason is Reason.EXIT and reason is Reason.SIGNAL and cause.code == 128 + (code or 0))
            for cause in self.retry_on
        )

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        record = recorded(self, _FIRST)
        record["retry_on"] = [[cause.reason.value, cause.code] for cause in self.retry_on]
        record["halt"] = None if self.halt is None else [self.halt.count, self.halt.share]
        return record

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> Rules:
        """Return the rules of a record; raises JournalError where a newer version has written it."""
        values = {name: as_tuples(value) for name, value in record.items()}
        values["retry_on"] = tuple(Cause(Reason(reason), code) for reason, code in values["retry_on"])
        values["halt"] = None if values["halt"] is None else Halt(*values["halt"])
        check_known(Rules, record)
        return Rules(**values)


#: the fields of the first records
_FIRST: Final = (
    *("retries", "retry_on", "retry_delay_s", "mem_most_mib", "timeout_share", "halt", "max_tasks", "rate_per_s"),
    *("delay_s", "locality_wait_s", "ok_exit"),
)


def recorded(one: DataclassInstance, first: Collection[str]) -> dict[str, Any]:
    """Return the fields of a dataclass that its record has.

    These are the `first` ones, and of those that came later what is not the default: an earlier version refuses a
    record with a field that it does not know, and reads one that uses nothing new.
    """
    return {
        field.name: value
        for field in fields(one)
        if (value := getattr(one, field.name)) != field.default or field.name in first
    }


def check_known(kind: type[DataclassInstance], record: Mapping[str, Any]) -> None:
    """Refuse a record with fields that a dataclass does not have.

    Raises
    ------
    JournalError
        It has some: a newer version has written it, and goes on with it.
    """
    if more := sorted(record.keys() - {field.name for field in fields(kind)}):
        raise JournalError(f"it was written by a newer version of stratos_jupyter ({', '.join(more)}): attach it there")


def as_tuples(value: Any) -> Any:
    """Return a value of a record as a field has it: JSON makes lists of tuples."""
    return tuple(map(as_tuples, value)) if isinstance(value, list | tuple) else value
