"""The options of submitting cells, and what they mean.

Options come in groups, so that every subcommand spells them alike. Values stay text until all of them have been
read: what is wrong with any of them is said at once.
"""

from __future__ import annotations

import argparse
import builtins
import keyword
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from ..backend.core.rules import Rules
from ..backend.core.states import ZERO
from ..backend.engines.registry import output_limit
from ..backend.inputs.hdfs import plain_access
from ..backend.spec.job_spec import SHELL, JobSpec, OutputMode
from ..backend.spec.parse_hdfs import checked_address, parse_mounts
from ..backend.spec.parse_rules import (
    PARSE,
    parse_count,
    parse_fail_on,
    parse_halt,
    parse_linger,
    parse_memory,
    parse_ok_exit,
    parse_rate,
    parse_retries,
    parse_retry_on,
    parse_timeout,
)
from ..backend.spec.parse_values import parse_columns, parse_duration_s, parse_shell, parse_size_mib
from ..backend.spec.products import parse_makes
from ..errors import SpecError, StorageError, UsageError
from ..settings import DEFAULT, Stratos
from .arguments import Argument, group, near

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

name_options = group(
    Argument("--job", "the job's name", "NAME", complete="jobs"),
    Argument("--into", "a variable that holds the results as a DataFrame, fresh in each cell", "NAME",
             complete="frames"),
)  # fmt: skip
resource_options = group(
    Argument("--threads", "cores a task", "N"),
    Argument("--mem", "memory a task, ended when it uses more: 512M, 2G; a bare number is MiB; 2G..16G doubles it for "
             "each attempt that died of memory", "SIZE[..MOST]"),
    Argument("--disk", "disk a task, as --mem; $STRATOS_SANDBOX is its own directory then", "SIZE"),
    Argument("--gpus", "graphics processors a task", "N"),
    Argument("--role", "the Mesos role", "NAME"),
    Argument("--where", "only on nodes with this attribute; may be repeated", "ATTR=VALUE", many=True),
)  # fmt: skip
pace_options = group(
    Argument("--priority", "tasks of higher priority are launched first", "N"),
    Argument("--max-tasks", "how many tasks may run at once", "N"),
    Argument("--rate", "how many tasks may be launched: 10/s, 30/m, 500/h", "N/TIME"),
    Argument("--delay", "how long to wait between two launches: 0.5s", "TIME"),
    Argument(
        "--locality-wait",
        "how long a task waits for a node that holds its inputs, while others are offered: 3s, 0",
        "TIME",
    ),
)
failure_options = group(
    Argument("--timeout", "the longest that a task may run: 90s, 10m, 2h, or 200% of the median of those that finished",
             "TIME"),
    Argument("--linger", "how long what a task has put into the background is waited for once its command has ended: "
             "10s, 0 for not at all; to its end when not given", "TIME"),
    Argument("--retries", "how often a task is tried again after failures of its own", "N"),
    Argument("--retry-on", "which failures those are; all when not given: exit, exit:1,3, signal, signal:11, "
             "timeout, memory, disk, output", "CAUSE,..."),
    Argument("--retry-delay", "how long the first retry waits; each further one waits twice as long", "TIME"),
    Argument("--ok-exit", "all exit codes that mean that the work was done: 0,1 or 0-2", "CODE,..."),
    Argument("--makes", "a file that each task makes, or a directory, and that must not be empty when it has ended: "
             "out/%file.stem%.fits; may be repeated", "FILE,...", many=True, complete="files"),
    Argument("--fail-on", "what makes a failure of a task that ends well: stderr:REGEX, stdout:REGEX, parse; may be "
             "repeated", "RULE,...", many=True),
    Argument("--halt", "stop launching after this many failed tasks: 5, or 10% of those that have ended", "N"),
)  # fmt: skip
watch_options = group(
    Argument("--monitor", "a program, or the name of a Python function, that watches each task", "PROGRAM",
             complete="monitors"),
    Argument("--relauncher", "the program that says what runs instead of a task that its monitor ended", "PROGRAM",
             complete="files"),
    Argument("--update-interval", "how often the monitor looks", "TIME"),
)  # fmt: skip
result_options = group(
    Argument("--parse", "how a task's stdout becomes columns: lines, tsv, csv, json, float, regex:PATTERN, or the "
             "name of a Python function", "HOW", complete="parsers"),
    Argument("--columns", "the parsed columns, as n:int,name:str; types are int, float, str, bool", "NAME[:TYPE],..."),
    Argument("--output", "where stdout and stderr go: " + ", ".join(OutputMode), "MODE", complete="outputs"),
    Argument("--log-dir", "the directory for --output disk", "DIR", complete="directories"),
)  # fmt: skip
environment_options = group(
    Argument("--shell", "the shell that reads the commands, with its options: sh, zsh, bash (which goes on after a "
             "line that fails), 'bash -euo pipefail'; a first line #! in the cell names another interpreter", "SHELL",
             complete="shells"),
    Argument("--cwd", "the directory in which commands run", "DIR", complete="directories"),
    Argument("--env", "set a variable for the tasks, or hand on this kernel's; may be repeated", "NAME[=VALUE]",
             many=True, complete="environment"),
)  # fmt: skip
input_options = group(
    Argument("--hdfs", "where files on HDFS are looked for: http://HOST:9870, nn1:9870;nn2:9870, or an alias of "
             "~/.hdfscli.cfg", "URL|ALIAS"),
    Argument("--fetch", "%f% of URLs, and <[hdfs:/PATH]>, are copies on the task's node, removed after the task"),
)  # fmt: skip
run_options = group(
    Argument("--resume", "go on with the newest run of the job: run only what is new, has changed or failed"),
    Argument("--wait", "return when all tasks have ended"),
    Argument("--dry-run", "show how many tasks there would be, and the first three; start nothing"),
)


#: names that IPython keeps for itself
_TAKEN: Final = frozenset({"In", "Out", "exit", "quit", "get_ipython"})


def submission_options(function: F) -> F:
    """Add the options that every submitting cell has."""
    groups = (
        *(run_options, input_options, environment_options, watch_options, pace_options, failure_options),
        *(result_options, resource_options, name_options),
    )
    for add in groups:
        function = add(function)
    return function


def job_spec(args: argparse.Namespace, settings: Stratos) -> tuple[JobSpec, list[str]]:
    """Turn the options of a submitting cell into a spec, and list what cannot be read.

    What cannot be read is replaced by something harmless, so that the rest can be checked too.
    """
    wrong: list[str] = []

    def read(option: str, convert: Callable[[str], T], text: str, otherwise: T) -> T:
        try:
            return convert(text)
        except ValueError as error:
            wrong.append(f"--{option}: {error}")
            return otherwise

    def given(option: str) -> str:
        value = getattr(args, option)
        return str(getattr(settings, option) if value is None else value)

    if args.into is not None and (bad := wrong_name(args.into)):
        wrong.append(bad)
    no_limit: tuple[float | None, float | None] = (None, None)
    timeout_s, timeout_share = read("timeout", parse_timeout, given("timeout"), no_limit)
    mem_mib, mem_most_mib = read("mem", parse_memory, given("mem"), (0.0, 0.0))
    retry_on = given("retry_on")
    hdfs = read("hdfs", checked_address, given("hdfs"), "")
    fetch: tuple[str, ...] = ()
    if args.fetch:
        try:
            fetch = plain_access(hdfs)
        except (SpecError, StorageError) as error:
            wrong.append(str(error))
    rules = Rules(
        retries=read("retries", parse_retries, given("retries"), 0),
        retry_on=read("retry-on", parse_retry_on, retry_on, ()) if retry_on else (),
        retry_delay_s=read("retry-delay", parse_duration_s, given("retry_delay"), 1.0),
        mem_most_mib=mem_most_mib,
        timeout_share=timeout_share,
        halt=read("halt", parse_halt, given("halt"), None),
        max_tasks=read("max-tasks", parse_count, given("max_tasks"), None),
        rate_per_s=read("rate", parse_rate, given("rate"), None),
        delay_s=read("delay", parse_duration_s, given("delay"), 0.0),
        locality_wait_s=read("locality-wait", parse_duration_s, given("locality_wait"), 3.0),
        ok_exit=read("ok-exit", parse_ok_exit, given("ok_exit"), ZERO),
    )
    fail_on: list[tuple[str, str]] = []
    for text in args.fail_on or [settings.fail_on]:
        fail_on += read("fail-on", parse_fail_on, text, ())
    if not args.fail_on and not args.parse:  # a setting holds for cells that parse nothing, too
        fail_on = [rule for rule in fail_on if rule[0] != PARSE]
    makes: list[str] = []
    for text in args.makes:
        makes += read("makes", parse_makes, text, ())
    spec = JobSpec(
        **({} if args.job is None else {"job_id": args.job}),
        master=settings.master,
        role=given("role"),
        threads=read("threads", _number, given("threads"), 1.0),
        threads_given=args.threads is not None or settings.origin("threads") != DEFAULT,
        mem_mib=mem_mib,
        disk_mib=read("disk", parse_size_mib, given("disk"), 0.0),
        gpus=read("gpus", _number, given("gpus"), 0.0),
        output=read("output", _output_mode, given("output"), OutputMode.SCHEDULER),
        log_directory=settings.log_directory if args.log_dir is None else args.log_dir,
        timeout_s=timeout_s,
        linger_s=read("linger", parse_linger, given("linger"), None),
        priority=read("priority", _whole, given("priority"), 0),
        cwd=os.path.abspath(os.path.expanduser(args.cwd)) if args.cwd else "",
        env=tuple(_variable(text) for text in args.env),
        where=tuple(read("where", _attribute, text, ("", "")) for text in args.where),
        parse=args.parse or "",
        columns=read("columns", parse_columns, args.columns, ()) if args.columns else (),
        output_limit=output_limit(settings.master, settings.output_limit),
        monitor=args.monitor or "",
        relauncher=args.relauncher or "",
        update_interval_s=read("update-interval", parse_duration_s, given("update_interval"), 10.0),
        rules=rules,
        hdfs=hdfs,
        fetch=fetch,
        makes=tuple(dict.fromkeys(makes)),
        fail_on=tuple(dict.fromkeys(fail_on)),
        shell=read("shell", parse_shell, given("shell"), SHELL),
        mounts=parse_mounts(settings.hdfs_mounts) if hdfs else (),
    )
    return spec, wrong


def wrong_name(into: str) -> str:
    """Say why a variable cannot be called so; '' when it can."""
    if not into.isidentifier() or keyword.iskeyword(into):
        return f"--into: {into!r} cannot be the name of a variable"
    if into.startswith("_") or into in _TAKEN or hasattr(builtins, into):
        return f"--into: {into} has a meaning of its own already; choose another name"
    return ""


def tried(*steps: Callable[[], Any]) -> tuple[list[Any], list[Exception]]:
    """Return what each step returns, None where it fails, and all failures."""
    results: list[Any] = []
    failures: list[Exception] = []
    for step in steps:
        try:
            results.append(step())
        except (SpecError, UsageError) as error:
            results.append(None)
            failures.append(error)
    return results, failures


def task_indices(words: Iterable[str], total: int) -> list[int]:
    """Read tasks of a job that has `total`, as ``3``, ``3-7`` or ``3,9``; ascending, each once."""
    tasks: set[int] = set()
    wrong = []
    for text in (part for word in words for part in word.split(",")):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", text, re.ASCII)
        if match is None:
            wrong.append(f"{text!r} is no task; write tasks as 3, 3-7 or 3,9")
            continue
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            wrong.append(f"{text} runs backwards")
        elif last >= total:
            wrong.append(f"there is no task {last}; the job has {total:,}, counted from 0")
        else:
            tasks.update(range(first, last + 1))
    if wrong:
        raise ValueError("; ".join(wrong))
    return sorted(tasks)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None


def _output_mode(text: str) -> OutputMode:
    try:
        return OutputMode(text)
    except ValueError:
        raise ValueError(f"{text!r} is none of {', '.join(OutputMode)}{near(text, OutputMode)}") from None


def _variable(text: str) -> tuple[str, str | None]:
    name, assigned, value = text.partition("=")
    return name, value if assigned else None


def _attribute(text: str) -> tuple[str, str]:
    name, assigned, value = text.partition("=")
    if not name or not assigned:
        raise ValueError(f"{text!r} is not attribute=value")
    return name, value
