"""Settings: traitlets configuration, and environment variables below it.

An option on a magic line or a Processor's argument wins over ``%config`` and configuration files, those over the
environment, the environment over the default. ``%stratos config`` shows where each value comes from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import platformdirs
from traitlets import All, CFloat, CInt, CUnicode, Enum, TraitError, TraitType, Unicode, observe, validate
from traitlets.config import SingletonConfigurable

from .backend.spec.option import Option
from .backend.spec.options import SETTINGS
from .backend.spec.parse_values import as_amount, parse_duration_s
from .errors import SpecError

#: ``STRATOS_MASTER`` is the environment's word for the setting ``master``
PREFIX: Final = "STRATOS_"

DEFAULT: Final = "default"
FILE: Final = "config file"
CONFIG: Final = "%config"


def _trait(option: Option) -> TraitType[Any, Any]:
    """Return the trait of an option; what its value may be is asked of the option."""
    setting = option.setting
    if setting is None:
        raise ValueError(f"{option.name} has no setting")
    text = "; ".join(filter(None, (option.help[0].upper() + option.help[1:], setting.unset))) + "."
    kinds: dict[type, type[TraitType[Any, Any]]] = {
        float: CFloat,
        int: CInt,
        str: Unicode if setting.text else CUnicode,
    }
    return kinds[type(setting.default)](setting.default, help=text).tag(config=True)


class Stratos(SingletonConfigurable):
    """Settings of stratos_jupyter.

    In a notebook ``%config Stratos.threads = 2``, in a configuration file ``c.Stratos.threads = 2``, in the
    environment ``STRATOS_THREADS=2``, which is read once, when the first setting is needed.
    """

    # Those that are options of a job: a row of the table each.
    locals().update({name: _trait(option) for name, option in SETTINGS.items()})

    home = Unicode(
        platformdirs.user_state_dir("stratos_jupyter"), help="The directory that keeps journals and outputs."
    ).tag(config=True)
    failover_timeout = CUnicode("", help="How long tasks go on when the kernel is gone; 1d, and 7d on a cluster.").tag(
        config=True
    )
    principal = Unicode("", help="The name by which a Mesos master knows its user.").tag(config=True)
    secret = Unicode("", help="What proves the principal; it is neither shown nor written down.").tag(config=True)
    max_cpus = CUnicode("", help="The most cores of a cluster that one job may hold; empty for no bound.").tag(
        config=True
    )
    partition_wait = CUnicode("10m", help="How long a node of a cluster that cannot be reached is waited for.").tag(
        config=True
    )
    executor_uri = Unicode(
        "",
        help="Where the nodes of a cluster find the executor, if it is not to be sent: a path that all of them share.",
    ).tag(config=True)
    on_exit = Enum(
        ["leave", "detach", "kill"],
        "leave",
        help="What becomes of unfinished jobs when the kernel ends: what runs goes on (leave), a process in the "
        "background goes on with all of it (detach), or it is ended (kill).",
    ).tag(config=True)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:  # the traits that are options
            ...

    def __init__(self, **kwargs: Any) -> None:
        self._origins: dict[str, str] = {}
        self._reads_file = True
        super().__init__(**kwargs)
        self._reads_file = False
        self._origins = dict.fromkeys(self.config.get(type(self).__name__, {}), FILE)
        self._read_environment()

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all settings."""
        return list(cls.class_own_traits(config=True))

    @classmethod
    def class_get_trait_help(cls, trait: Any, inst: Any = None, helptext: str | None = None) -> str:
        """Return what ``%config Stratos`` says of a setting: its value, but of the secret."""
        text: str = super().class_get_trait_help(trait, None if trait.name == "secret" else inst, helptext)
        return text

    def origin(self, name: str) -> str:
        """Say where the value of the setting `name` comes from."""
        return self._origins.get(name, DEFAULT)

    def is_set(self, name: str) -> bool:
        """Say whether `name` was set, if only to its default."""
        return self.origin(name) != DEFAULT

    def assign(self, name: str, value: Any, origin: str) -> None:
        """Set the setting `name`, for the reason `origin`."""
        self.set_trait(name, value)
        self._origins[name] = origin

    def as_environment(self) -> dict[str, str]:
        """Return what is not the default, as variables that another process reads it from."""
        chosen = [name for name in self.names() if self.origin(name) != DEFAULT and name != "home"]
        return {PREFIX + name.upper(): str(getattr(self, name)) for name in chosen}

    def _read_environment(self) -> None:
        bad = []
        for name in self.names():
            variable = PREFIX + name.upper()
            value = os.environ.get(variable, "")
            if not value or name in self._origins:
                continue
            try:
                self.set_trait(name, value)
            except (TraitError, ValueError) as error:
                bad.append(f"{variable}={value}: {error}")
            else:
                self._origins[name] = variable
        if bad:
            raise SpecError("; ".join(bad) + ". Correct or unset these environment variables")

    @observe(All)
    def _note_origin(self, change: Any) -> None:
        if change["name"] in self.names():
            self._origins[change["name"]] = CONFIG

    @validate("home")
    def _absolute(self, proposal: Any) -> str:
        path: str = os.path.expanduser(proposal["value"])
        return os.path.abspath(path)

    @validate(*SETTINGS)
    def _option(self, proposal: Any) -> Any:
        option = SETTINGS[proposal["trait"].name]
        if option.of_site and not proposal["value"]:
            return ""
        return self._readable(proposal, option.values)

    @validate("partition_wait")
    def _duration(self, proposal: Any) -> Any:
        return self._readable(proposal, parse_duration_s)

    @validate("failover_timeout")
    def _duration_or_none(self, proposal: Any) -> Any:
        return self._readable(proposal, parse_duration_s) if proposal["value"] else ""

    @validate("max_cpus")
    def _amount_or_none(self, proposal: Any) -> Any:
        return self._readable(proposal, lambda text: as_amount("max_cpus", text)) if proposal["value"] else ""

    def _readable(self, proposal: Any, read: Callable[[Any], object]) -> Any:
        try:
            read(proposal["value"])
        except SpecError as error:
            # A line of %config and a variable name the setting themselves.
            raise TraitError(f"{proposal['trait'].name}: {error}" if self._reads_file else str(error)) from None
        return proposal["value"]


def current() -> Stratos:
    """Return the settings of this process; in a notebook, configured as the shell is."""
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    try:
        settings = Stratos.instance() if Stratos.initialized() else Stratos.instance(parent=shell)
    except TraitError as error:
        raise SpecError(f"a configuration file sets Stratos wrongly: {error}") from None
    if shell is not None and settings not in shell.configurables:
        shell.configurables.append(settings)  # this is what makes %config know it
    return settings
