"""All options of a job, a row each: the one place that names them. PURE.

From these rows come the options of cells and their help, what Tab completes, the arguments of `Processor`, the settings
of ``%config Stratos`` and their variables ``STRATOS_*``, what ``%stratos set`` changes, what ``--resume`` refuses, and
the tables of the README. A new option is a row here, a field of `JobSpec`, and the place that acts on it.

The order is that of help.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from ...errors import SpecError
from .job_spec import OutputMode
from .option import OF_RULES, Field, Keyword, Option, Resume, Section, Setting, read_all
from .parse_hdfs import checked_address, parse_mounts
from .parse_rules import (
    codes_text,
    fail_on_text,
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
    parse_wait_s,
)
from .parse_values import (
    parse_attributes,
    parse_columns,
    parse_duration_s,
    parse_nice,
    parse_number,
    parse_output,
    parse_shell,
    parse_size,
    parse_size_mib,
    parse_variables,
    parse_whole,
)
from .products import parse_makes

OPTIONS: Final = (
    Option(
        name="master",
        help="where tasks run: local, local[N] for N cores of this machine, or host:port of a Mesos master "
        "(mesos://host:port, zk://host:port,.../mesos)",
        decides=(Field("master", "the engine"),),
        setting=Setting("local", text=True),
        resume=Resume.REFUSED,
    ),
    Option(
        name="job",
        help="the job's name",
        manual="what the job is called; running the cell again makes a new run of it",
        otherwise="`untitled`",
        flag="--job",
        metavar="NAME",
        complete="jobs",
        decides=(Field("job_id"),),
        keyword=Keyword(name="job_id", default="untitled"),
    ),
    Option(
        name="into",
        help="a variable that holds the results as a DataFrame, fresh in each cell",
        manual="keep the variable `NAME` up to date with the results: before each cell that you run it is bound to a "
        "fresh DataFrame, until you bind it to something else, or add, remove or rename columns; work on `NAME.copy()`",
        flag="--into",
        metavar="NAME",
        complete="frames",
    ),
    # -- resources
    Option(
        name="threads",
        help="cores a task",
        manual="processors a task",
        otherwise="1",
        flag="--threads",
        metavar="N",
        read=parse_number,
        decides=(Field("threads"),),
        told="threads_given",
        keyword=Keyword("float or str", 2, unreserved=1, name="threads_per_task"),
        setting=Setting(1.0),
        resume=Resume.TAKEN,
    ),
    Option(
        name="mem",
        help="memory a task, ended when it uses more: 512M, 2G; a bare number is MiB; 2G..16G doubles it for each "
        "attempt that died of memory",
        manual="what a task reserves, and is ended for using more than, even where its script would go on: `512M`, "
        "`2G`; a bare number is MiB. `2G..16G` gives a task that died of memory twice as much, and again, and of "
        "nothing else; that spends no retry",
        otherwise="no limit",
        flag="--mem",
        metavar="SIZE[..MOST]",
        read=parse_memory,
        decides=(Field("mem_mib", unit="M"), Field("mem_most_mib", "--mem up to", "M")),
        keyword=Keyword("float or str", 1024, unreserved=0, name="mem_per_task"),
        setting=Setting("0", "0 for no limit"),
        resume=Resume.TAKEN,
    ),
    Option(
        name="disk",
        help="disk a task, as --mem; $STRATOS_SANDBOX is its own directory then",
        manual="the same of disk: `$STRATOS_SANDBOX` is a directory of the task's own then; it counts, and so does "
        "output that is kept in files there",
        otherwise="no limit",
        flag="--disk",
        metavar="SIZE",
        read=parse_size_mib,
        decides=(Field("disk_mib", unit="M"),),
        keyword=Keyword("float or str", 2048, unreserved=0, name="disk_per_task"),
        setting=Setting("0", "0 for no limit"),
        resume=Resume.TAKEN,
    ),
    Option(
        name="gpus",
        help="graphics processors a task",
        otherwise="0",
        flag="--gpus",
        metavar="N",
        read=parse_number,
        decides=(Field("gpus"),),
        keyword=Keyword("float or str", 0, name="gpus_per_task"),
        setting=Setting(0.0),
        resume=Resume.TAKEN,
    ),
    Option(
        name="role",
        help="the Mesos role",
        manual="whose resources, on a cluster",
        otherwise="`*`",
        flag="--role",
        metavar="NAME",
        decides=(Field("role"),),
        keyword=Keyword(default="*"),
        setting=Setting("*", text=True),
        resume=Resume.REFUSED,
    ),
    Option(
        name="where",
        help="only on nodes with this attribute",
        manual="which nodes, on a cluster: those with this attribute; may be repeated",
        flag="--where",
        metavar="ATTR=VALUE",
        many=True,
        read=parse_attributes,
        decides=(Field("where"),),
        keyword=Keyword("mapping, str or sequence of str", ()),
        resume=Resume.REFUSED,
    ),
    # -- results
    Option(
        name="parse",
        help="how a task's stdout becomes columns: lines, tsv, csv, json, float, regex:PATTERN, or the name of a "
        "Python function",
        manual="make columns of each task's stdout: `lines`, `tsv`, `csv`, `json`, `float`, `regex:PATTERN` with named "
        "groups, or the name of a Python function of yours",
        flag="--parse",
        metavar="HOW",
        choices=("lines", "tsv", "csv", "json", "float", "regex:"),
        complete="functions",
        decides=(Field("parse"),),
        keyword=Keyword("str or callable", ""),
        resume=Resume.SILENT,
    ),
    Option(
        name="columns",
        help="the parsed columns, as n:int,name:str; types are int, float, str, bool",
        manual="the columns that `--parse` makes; dtypes are `int`, `float`, `str`, `bool`",
        otherwise="`str`",
        flag="--columns",
        metavar="NAME[:TYPE],...",
        read=parse_columns,
        decides=(Field("columns"),),
        keyword=Keyword("str, mapping or sequence of str", ""),
        resume=Resume.SILENT,
    ),
    Option(
        name="output",
        help="where stdout and stderr go: " + ", ".join(OutputMode),
        manual="`scheduler`: stdout and stderr come back, up to 16 MiB of each, the whole of it in a file that the "
        "text names; `disk`: files in `--log-dir`; `mesos`: a file in the task's sandbox; `none`: discarded",
        otherwise="`scheduler`",
        flag="--output",
        metavar="MODE",
        choices=tuple(OutputMode),
        read=parse_output,
        decides=(Field("output"),),
        keyword=Keyword(default="scheduler"),
        setting=Setting("scheduler", text=True),
        resume=Resume.REFUSED,
    ),
    Option(
        name="log_directory",
        help="the directory for --output disk",
        manual="where `--output disk` writes",
        flag="--log-dir",
        metavar="DIR",
        complete="directories",
        decides=(Field("log_directory"),),
        keyword=Keyword(default=""),
        setting=Setting("", text=True),
        resume=Resume.REFUSED,
    ),
    Option(
        name="output_limit",
        help="the most of one stream that comes back, past which the middle is cut; 16M, and 1M from a cluster",
        read=parse_size,
        decides=(Field("output_limit", unit="B"),),
        of_site="default_output_limit",
        keyword=Keyword("float or str", ""),
        setting=Setting(""),
        resume=Resume.TAKEN,
    ),
    # -- failures
    Option(
        name="timeout",
        help="the longest that a task may run: 90s, 10m, 2h, or 200% of the median of those that finished",
        manual="end a task after that long: `90s`, `10m`, or `200%` of the median of those that finished (once five "
        "have, and never before 1 s)",
        otherwise="never",
        flag="--timeout",
        metavar="TIME",
        read=parse_timeout,
        decides=(Field("timeout_s", unit="s"), Field("timeout_share", "--timeout by the median")),
        keyword=Keyword("float or str", ""),
        setting=Setting("", "empty for no limit"),
        resume=Resume.TAKEN,
        section=Section.TROUBLE,
    ),
    Option(
        name="linger",
        help="how long what a task has put into the background is waited for once its command has ended: 10s, 0 for "
        "not at all; to its end when not given",
        manual="how long what a task has put into the background (`prog &`, `nohup`, `tee >(gzip > f)`) is waited for "
        "once its command has ended; then the task fails, `timeout`. `0`: not at all, it is ended. "
        "[docs/endings.md](docs/endings.md)",
        otherwise="to its end",
        flag="--linger",
        metavar="TIME",
        read=parse_linger,
        decides=(Field("linger_s", unit="s"),),
        keyword=Keyword("float or str", ""),
        setting=Setting("", "empty for no bound"),
        resume=Resume.TAKEN,
        section=Section.TROUBLE,
    ),
    Option(
        name="retries",
        help="how often a task is tried again after failures of its own",
        manual="try a task again up to `N` times when it failed by itself. What the machine or the cluster does to it "
        "(a node is lost) has a bound of its own, 10, and the column `losses`",
        otherwise="0",
        flag="--retries",
        metavar="N",
        read=parse_retries,
        decides=(Field("retries"),),
        keyword=Keyword("int or str", 0),
        setting=Setting(0),
        resume=Resume.TAKEN,
        live=True,
        section=Section.TROUBLE,
    ),
    Option(
        name="retry_on",
        help="which failures those are; all when not given: exit, exit:1,3, signal, signal:11, timeout, memory, disk, "
        "output",
        manual="only then: `exit` (any code but 0), `exit:1,3`, `signal`, `signal:11` (as is a shell's exit code of "
        "128 + 11), `timeout`, `memory`, `disk`, `output`",
        otherwise="all of these",
        flag="--retry-on",
        metavar="CAUSE,...",
        read=parse_retry_on,
        decides=(Field("retry_on"),),
        keyword=Keyword("str or sequence of str", ""),
        setting=Setting("", "empty for all"),
        resume=Resume.TAKEN,
        section=Section.TROUBLE,
    ),
    Option(
        name="retry_delay",
        help="how long the first retry waits; each further one waits twice as long",
        manual="how long the first retry waits at most; each further one waits twice as long, up to 5 min. A random "
        "part of it, so that tasks that failed together don't come back together",
        otherwise="`1s`",
        flag="--retry-delay",
        metavar="TIME",
        read=parse_duration_s,
        decides=(Field("retry_delay_s", unit="s"),),
        keyword=Keyword("float or str", "1s"),
        setting=Setting("1s"),
        resume=Resume.TAKEN,
        section=Section.TROUBLE,
    ),
    Option(
        name="ok_exit",
        help="all exit codes that mean that the work was done: 0,1 or 0-2",
        manual="the exit codes that say so, all of them: `0,1` (grep), `0-2`. The column `exit_code` keeps the code",
        otherwise="0",
        flag="--ok-exit",
        metavar="CODE,...",
        read=parse_ok_exit,
        decides=(Field("ok_exit", show=codes_text),),
        keyword=Keyword("int, str or iterable of int", "0"),
        setting=Setting("0"),
        resume=Resume.TAKEN,
        section=Section.SUCCESS,
    ),
    Option(
        name="makes",
        help="a file that each task makes, or a directory, and that must not be empty when it has ended: "
        "out/%file.stem%.fits",
        manual="a file, or directory, that each task makes: `'out/%file.stem%.fits'`. It must be there when the task "
        "ends, and not be empty; else the task failed, reason `output`. `%f%`, `%file%`, `%file.stem%`, `%file.name%`, "
        "`%file.parent%`, `%file.suffix%` in a glob; `%name%`, `%name.stem%`, `%c%` in a template. Two tasks that make "
        "the same file are refused",
        flag="--makes",
        metavar="FILE,...",
        many=True,
        complete="files",
        read=parse_makes,
        decides=(Field("makes"),),
        keyword=Keyword("str, path or sequence of them", ""),
        resume=Resume.TAKEN,
        section=Section.SUCCESS,
    ),
    Option(
        name="fail_on",
        help="what makes a failure of a task that ends well: stderr:REGEX, stdout:REGEX, parse",
        manual="what makes a failure, reason `output`, of a task that ends well: `stderr:REGEX`, `stdout:REGEX` "
        "(searched line by line; of more than 16 MiB the beginning and the end, for 2 s), `parse` (`--parse` cannot "
        "read its stdout)",
        flag="--fail-on",
        metavar="RULE,...",
        many=True,
        read=parse_fail_on,
        decides=(Field("fail_on", show=fail_on_text),),
        keyword=Keyword("str or sequence of str", ""),
        setting=Setting("", "empty for nothing"),
        resume=Resume.TAKEN,
        section=Section.SUCCESS,
    ),
    Option(
        name="halt",
        help="stop launching after this many failed tasks: 5, or 10% of those that have ended",
        manual="launch nothing more once `N` tasks have failed, or `10%` of those that have ended (3 at least). "
        "What waits for the job ends with a message, and `%stratos resume` goes on (`Processor.*_batch` raises "
        "`JobHalted`)",
        otherwise="never",
        flag="--halt",
        metavar="N",
        read=parse_halt,
        decides=(Field("halt"),),
        keyword=Keyword("int or str", ""),
        setting=Setting("", "empty for never"),
        resume=Resume.TAKEN,
        live=True,
        section=Section.TROUBLE,
    ),
    # -- pace
    Option(
        name="priority",
        help="tasks of higher priority are launched first",
        manual="higher goes first",
        otherwise="0",
        flag="--priority",
        metavar="N",
        read=parse_whole,
        decides=(Field("priority"),),
        keyword=Keyword("int or str", 0),
        setting=Setting(0),
        resume=Resume.TAKEN,
        section=Section.PACE,
    ),
    Option(
        name="nice",
        help="how far tasks stand back when others want the processors, 0 to 19; see nice(1)",
        manual="how far tasks stand back when other programs want the processors, from 0 to 19, as `nice` has it: with "
        "`--nice 19` a machine stays pleasant to work on",
        otherwise="0",
        flag="--nice",
        metavar="N",
        read=parse_nice,
        decides=(Field("nice"),),
        keyword=Keyword("int or str", 0),
        setting=Setting(0),
        resume=Resume.TAKEN,
        section=Section.PACE,
    ),
    Option(
        name="max_tasks",
        help="how many tasks may run at once",
        manual="how many run at once",
        otherwise="all there is room for",
        flag="--max-tasks",
        metavar="N",
        read=parse_count,
        decides=(Field("max_tasks"),),
        keyword=Keyword("int or str", ""),
        setting=Setting("", "empty for no bound"),
        resume=Resume.TAKEN,
        live=True,
        section=Section.PACE,
    ),
    Option(
        name="rate",
        help="how many tasks may be launched: 10/s, 30/m, 500/h",
        manual="how many may be launched: `10/s`, `30/m`, `500/h`",
        flag="--rate",
        metavar="N/TIME",
        read=parse_rate,
        decides=(Field("rate_per_s", unit="/s"),),
        keyword=Keyword("float or str", ""),
        setting=Setting("", "empty for no bound"),
        resume=Resume.TAKEN,
        live=True,
        section=Section.PACE,
    ),
    Option(
        name="delay",
        help="how long to wait between two launches: 0.5s",
        manual="how long to wait between two launches",
        flag="--delay",
        metavar="TIME",
        read=parse_wait_s,
        decides=(Field("delay_s", unit="s"),),
        keyword=Keyword("float or str", 0),
        setting=Setting("0s"),
        resume=Resume.TAKEN,
        live=True,
        section=Section.PACE,
    ),
    Option(
        name="locality_wait",
        help="how long a task waits for a node that holds its inputs, while others are offered: 3s, 0",
        manual="how long a task waits for a node that holds its inputs, while others are offered: "
        "[docs/locality.md](docs/locality.md)",
        otherwise="`3s`",
        flag="--locality-wait",
        metavar="TIME",
        read=parse_wait_s,
        decides=(Field("locality_wait_s", unit="s"),),
        keyword=Keyword("float or str", "3s"),
        setting=Setting("3s"),
        resume=Resume.TAKEN,
        live=True,
        section=Section.PACE,
    ),
    # -- monitors
    Option(
        name="monitor",
        help="a program, or the name of a Python function, that watches each task",
        manual="watch each task, and end it: [docs/monitors.md](docs/monitors.md)",
        flag="--monitor",
        metavar="PROGRAM",
        complete="monitors",
        decides=(Field("monitor"), Field("monitor_source", "the monitor's source", made=True)),
        keyword=Keyword("str or callable", ""),
        resume=Resume.REFUSED,
        section=Section.TROUBLE,
    ),
    Option(
        name="relauncher",
        help="the program that says what runs instead of a task that its monitor ended",
        flag="--relauncher",
        metavar="PROGRAM",
        complete="files",
        decides=(Field("relauncher"),),
        keyword=Keyword(default=""),
        resume=Resume.REFUSED,
        section=Section.TROUBLE,
    ),
    Option(
        name="update_interval",
        help="how often the monitor looks",
        otherwise="`10s`",
        flag="--update-interval",
        metavar="TIME",
        read=parse_duration_s,
        decides=(Field("update_interval_s", unit="s"),),
        keyword=Keyword("float or str", 10),
        setting=Setting("10s"),
        resume=Resume.TAKEN,
        section=Section.TROUBLE,
    ),
    # -- environment
    Option(
        name="shell",
        help="the shell that reads the commands, with its options: sh, zsh, bash (which goes on after a line that "
        "fails), 'bash -euo pipefail'; a first line #! in the cell names another interpreter",
        manual="what reads the commands: `sh`, `zsh`, `bash` (a line that fails is passed over), `'bash -euo "
        "pipefail'`",
        otherwise="`bash -e`",
        flag="--shell",
        metavar="SHELL",
        choices=("bash", "sh", "zsh"),
        read=parse_shell,
        decides=(Field("shell", show=shlex.join),),
        keyword=Keyword(default="bash -e"),
        setting=Setting("bash -e", text=True),
        resume=Resume.REFUSED,
    ),
    Option(
        name="cwd",
        help="the directory in which commands run",
        manual="the working directory",
        otherwise="the kernel's",
        flag="--cwd",
        metavar="DIR",
        complete="directories",
        decides=(Field("cwd"),),
        keyword=Keyword("str or path", ""),
    ),
    Option(
        name="env",
        help="set a variable for the tasks, or hand on this kernel's",
        manual="hand `NAME` of the kernel on, which must be set there, or set it, see [below](#what-a-command-finds). "
        "What a command does not print is never written to disk",
        manual_flags="`--env NAME`, `--env NAME=VALUE`",
        flag="--env",
        metavar="NAME[=VALUE]",
        many=True,
        complete="environment",
        read=parse_variables,
        decides=(Field("env"),),
        keyword=Keyword("mapping, str or sequence of str", ()),
        resume=Resume.SILENT,
    ),
    # -- inputs
    Option(
        name="hdfs",
        help="where files on HDFS are looked for: http://HOST:9870, nn1:9870;nn2:9870, or an alias of ~/.hdfscli.cfg",
        manual="where files on HDFS are looked for: `http://namenode:9870`, or an alias of `~/.hdfscli.cfg`",
        otherwise="`STRATOS_HDFS`",
        manual_flags="`--hdfs URL`, `--hdfs ALIAS`",
        flag="--hdfs",
        metavar="URL|ALIAS",
        read=checked_address,
        decides=(Field("hdfs"),),
        keyword=Keyword(default=""),
        setting=Setting("", text=True),
    ),
    Option(
        name="hdfs_mounts",
        help="where commands see HDFS, as /dfs=/,/data=/projects/data",
        read=parse_mounts,
        decides=(Field("mounts"),),
        setting=Setting("/dfs=/", text=True),
    ),
    Option(
        name="fetch",
        help="%f% of URLs, and <[hdfs:/PATH]>, are copies on the task's node, removed after the task",
        manual="`%f%` of `hdfs:/...` URLs, and `<[hdfs:/...]>`, are copies on the task's node, removed after the task",
        flag="--fetch",
        decides=(Field("fetch", made=True),),
        keyword=Keyword("bool", False),
        resume=Resume.REFUSED,
    ),
    # -- what becomes of the cell: no part of the job
    Option(
        name="resume",
        help="go on with the newest run of the job: run only what is new, has changed or failed",
        manual="go on with the newest run of the job, see [below](#run-a-cell-again)",
        otherwise="a new run",
        flag="--resume",
        keyword=Keyword("bool", False),
    ),
    Option(
        name="wait",
        help="return when all tasks have ended",
        manual="block, with progress, until all has ended; an interrupt stops the waiting, not the tasks",
        flag="--wait",
    ),
    Option(
        name="dry_run",
        help="show how many tasks there would be, and the first three; start nothing",
        manual="say how many tasks there would be, show the first three commands, what was put into them and their "
        "inputs; start nothing",
        flag="--dry-run",
    ),
)

#: by name, by the argument of `Processor`, and by setting
NAMED: Final = MappingProxyType({option.name: option for option in OPTIONS})
ARGUMENTS: Final = MappingProxyType({option.argument: option for option in OPTIONS if option.argument})
SETTINGS: Final = MappingProxyType({option.name: option for option in OPTIONS if option.setting is not None})
#: those that can be changed while a job runs
LIVE: Final = MappingProxyType({option.name: option for option in OPTIONS if option.live})
#: these, as a sentence lists them
LIVE_TEXT: Final = f"{', '.join(list(LIVE)[:-1])} or {list(LIVE)[-1]}"

#: fields of a job that are its cell's from now on when the cell is run again; all others stay
CHANGES: Final = (
    "rules",
    *(
        name
        for option in OPTIONS
        if option.resume in (Resume.TAKEN, Resume.SILENT)
        for name in (*(field.name for field in option.decides), option.told)
        if name and name not in OF_RULES
    ),
)


def read_changes(values: Mapping[str, object]) -> dict[str, Any]:
    """Return what of a job's rules its user changes while it runs, by field.

    Parameters
    ----------
    values : mapping
        By the names of options; None, or ``"none"``, takes a bound away.

    Raises
    ------
    SpecError
        An option cannot be changed, or a value cannot be read. Names all of these.
    """
    unknown = [name for name in values if name not in LIVE]
    given = {LIVE[name]: "none" if value is None else value for name, value in values.items() if name in LIVE}
    changes, wrong = read_all(given)
    if unknown:
        wrong.insert(0, f"{', '.join(unknown)} cannot be changed; {', '.join(LIVE)} can")
    if wrong:
        raise SpecError("; ".join(wrong))
    return changes
