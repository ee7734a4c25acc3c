"""The engines that there are: the only module that names them.

A master is the user's word for where jobs run: ``local[4]``, ``host:5050``. Each entry says which masters are its
engine's, and loads the engine's code only when one of them is chosen. Other packages add an engine with `register`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import EngineError
from .local.address import is_local, local_choices
from .mesos.address import is_mesos
from .sites import Site


@dataclass(frozen=True, slots=True)
class SiteEntry:
    """One engine's entry.

    Attributes
    ----------
    name : str
        What the engine is called.
    masters : tuple of str
        How its masters are written, for messages and completion.
    accepts : callable
        Says whether a master is this engine's, from its text alone.
    load : callable
        Imports the engine's code, and returns the class of its sites.
    choices : callable
        Returns masters that can be chosen as they are, for completion.
    """

    name: str
    masters: tuple[str, ...]
    accepts: Callable[[str], bool]
    load: Callable[[], type[Site]]
    choices: Callable[[], Sequence[str]] = tuple


def _local() -> type[Site]:
    from .local.site import LocalSite

    return LocalSite


def _mesos() -> type[Site]:
    from .mesos.site import MesosSite

    return MesosSite


#: the engines of this package. Mesos is the last to be asked: a word that no other engine knows may be a host's name
SITES: Final = (
    SiteEntry("local", ("local", "local[4]"), is_local, _local, local_choices),
    SiteEntry("mesos", ("host:port", "mesos://host:port", "zk://host1:2181,host2:2181/mesos"), is_mesos, _mesos),
)
_registered: dict[str, SiteEntry] = {}


def register(entry: SiteEntry) -> None:
    """Add an engine, whose masters go before those of Mesos.

    Raises
    ------
    ValueError
        There is an engine of that name.
    """
    if entry.name in (known.name for known in entries()):
        raise ValueError(f"there is an engine {entry.name!r} already")
    _registered[entry.name] = entry


def unregister(name: str) -> None:
    """Remove an engine that was added."""
    del _registered[name]


def entries() -> Iterable[SiteEntry]:
    """Return the entries of all engines, in the order in which they are asked."""
    return (*SITES[:-1], *_registered.values(), SITES[-1])


def entry_of(master: str) -> SiteEntry:
    """Return the entry of the engine that a master names.

    Raises
    ------
    EngineError
        It names none: the message has the masters that there are, and the one that may be meant.
    """
    meant = _meant(master)
    for entry in () if meant else entries():
        if entry.accepts(master):
            return entry
    forms = [form for entry in entries() for form in entry.masters]
    known = f"{', '.join(forms[:-1])} or {forms[-1]}"
    raise EngineError(f"{master!r} names no engine{f', did you mean {meant}' if meant else ''}: write {known}")


def site_class(master: str) -> type[Site]:
    """Return the class of a master's sites, which says what they can do before there is one; errors as `entry_of`."""
    return entry_of(master).load()


def site_for(master: str, home: Path) -> Site:
    """Return the site of a master; `home` is where runs are kept. Raises EngineError, as `entry_of`."""
    return site_class(master).at(master, home)


def choices() -> list[str]:
    """Return masters that can be chosen as they are."""
    return [master for entry in entries() for master in entry.choices()]


def may_resume(old: str, new: str) -> bool:
    """Say whether a run of the master `old` may be resumed by a cell whose master is `new`."""
    if old == new:
        return True
    try:
        entry = entry_of(old)
        return entry is entry_of(new) and entry.load().any_master_resumes
    except EngineError:
        return False


def _meant(master: str) -> str:
    """Return the engine's name of which a word is a slip: letters swapped, one missing or one too many; '' for none.

    A wrong letter is no slip here: ``focal`` may well be a host.
    """
    word = master.strip().partition("[")[0]
    names = [entry.name for entry in entries()]
    return "" if word in names or not word.isalpha() else next((name for name in names if _is_slip(word, name)), "")


def _is_slip(word: str, name: str) -> bool:
    longer, shorter = (word, name) if len(word) > len(name) else (name, word)
    if len(longer) == len(shorter):
        return sorted(word) == sorted(name)
    return any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))
