"""What a browser may ask of a job, and have done: with a real job behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stratos_jupyter.backend.core.states import TaskState
from stratos_jupyter.backend.spec.commands import explicit_commands, template_commands
from stratos_jupyter.backend.spec.job_spec import JobSpec
from stratos_jupyter.errors import JobNotFound, SpecError, StratosError, UsageError
from stratos_jupyter.job import Job
from stratos_jupyter.live import task_table
from stratos_jupyter.live.messages import Overtaken
from stratos_jupyter.live.query import Query, query_of
from stratos_jupyter.live.requests import RequestHandler
from stratos_jupyter.live.task_detail import _overlap
from stratos_jupyter.live.task_table import TaskRows
from stratos_jupyter.session import Session
from tests.support.waiting import until


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path / "home")
    yield session
    session.close()


@pytest.fixture
def run(session: Session) -> Any:
    def run(*commands: str, wait: bool = True, **spec: Any) -> Job:
        job = session.submit(JobSpec(job_id="demo", master="local[2]", **spec), explicit_commands(commands))
        if wait:
            assert job.wait(30)
        return job

    return run


def ask(handler: RequestHandler, **request: Any) -> dict[str, Any]:
    answer, _ = handler.answer(request)
    json.dumps(answer).encode()  # it can be sent
    return answer


def shown(handler: RequestHandler, **query: Any) -> list[int]:
    return [row[0] for row in ask(handler, ask="rows", query=query, first=0, count=100)["rows"]]


def test_rows_are_filtered_and_sorted(run: Any) -> None:
    handler = RequestHandler(run("echo b; sleep 0.1", "echo a", "echo why >&2; exit 3", "kill -9 $$", "echo 'Ünïcode'"))
    assert shown(handler) == [0, 1, 2, 3, 4]
    assert shown(handler, down=True) == [4, 3, 2, 1, 0]
    assert shown(handler, states=[5, 7]) == [2, 3]
    assert shown(handler, text="ÜNÏ") == [4]
    assert shown(handler, text="#1-2 4") == [1, 2, 4]
    assert shown(handler, sort="exit", down=True)[0] == 2
    assert shown(handler, sort="exit")[0] == 3
    assert shown(handler, sort="time", down=True)[0] == 0
    assert shown(handler, sort="output")[:1] == [3]
    assert shown(handler, sort="command") == [4, 1, 0, 2, 3]
    assert shown(handler, sort="state") == [0, 1, 4, 2, 3]
    assert shown(handler, node="nowhere") == []
    page = ask(handler, ask="rows", query={"states": [5]}, first=0, count=9)
    assert page["total"] == 2
    assert [row[6:9] for row in page["rows"]] == [[3, "why", "err"], [-9, "", "out"]]
    assert shown(handler, node=page["nodes"][0]) == [0, 1, 2, 3, 4]


def test_what_makes_no_sense_in_a_query_is_left_out() -> None:
    assert query_of({"states": ["x", 99, 5], "sort": "1; DROP", "text": None, "down": "yes", "node": 7}) == Query(
        states=(5,), node="7"
    )


def test_what_runs_has_a_node_and_a_time_and_what_waits_has_none(run: Any) -> None:
    job = run("sleep 60", "sleep 60", "sleep 60", wait=False)
    until(lambda: job.view[TaskState.RUNNING] == 2)
    handler = RequestHandler(job)
    rows = ask(handler, ask="rows", query={}, first=0, count=9)["rows"]
    assert [bool(row[3]) for row in rows] == [True, True, False]
    assert [row[5] is not None for row in rows] == [True, True, False]
    assert shown(handler, node=rows[0][3]) == [0, 1]


def test_what_is_launched_while_rows_are_sorted_does_no_harm(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = run("sleep 60", "sleep 60", "sleep 60", wait=False)
    until(lambda: job.view[TaskState.RUNNING] == 2)
    flying = job.flying
    monkeypatch.setattr(job, "flying", lambda: {**flying(), 3: ("another", 1.0)})  # it was added a moment ago
    handler = RequestHandler(job)
    assert shown(handler, sort="node") == [2, 0, 1]
    assert shown(handler, sort="time", down=True)[2] == 2
    assert shown(handler, node="another") == []


def test_one_that_is_relaunched_shows_its_last_attempt(run: Any, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    job = run(f"test -e {flag}")
    handler = RequestHandler(job)
    assert ask(handler, ask="rows", query={}, first=0, count=1)["rows"][0][4:7:2] == [1, 1]
    flag.touch()
    assert ask(handler, do="relaunch") == {"said": "1 task runs once more"}
    assert job.wait(30)
    row = ask(handler, ask="rows", query={}, first=0, count=1)["rows"][0]
    assert (row[1], row[4], row[6]) == (4, 2, 0)
    assert len(ask(handler, ask="task", task=0)["attempts"]) == 2
    assert ask(handler, ask="task", task=0, attempt=1)["attempt"] == 1


def test_inputs_are_told_from_commands(session: Session) -> None:
    commands = template_commands("echo %a% %b%", {"a": ["x", "y"], "b": ["1", "2"]})
    job = session.submit(JobSpec(job_id="demo", master="local[2]"), commands)
    page = ask(RequestHandler(job), ask="rows", query={}, first=1, count=1)
    assert page["inputs"] == ["a", "b"]
    assert page["rows"][0][9] == "y  2"


def test_a_search_that_nobody_waits_for_any_more_ends(run: Any) -> None:
    job = run("true")
    with pytest.raises(Overtaken):
        TaskRows(job).order(Query(text="x"), wanted=lambda: False)


def test_an_order_that_is_kept_says_for_how_long(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_table, "KEEP_S", 60.0)
    handler = RequestHandler(run("true"))
    request = {"ask": "rows", "query": {"sort": "output"}, "first": 0, "count": 1}
    assert ask(handler, **request)["kept"] == 0
    assert 0 < ask(handler, **request)["kept"] <= 60
    ask(handler, do="resume")  # an act makes it anew
    assert ask(handler, **request)["kept"] == 0


def test_tasks_of_rows_that_were_never_asked_for(run: Any) -> None:
    handler = RequestHandler(run("true", "false", "true", "false"))
    answer, (data,) = handler.answer({"ask": "tasks", "query": {"states": [5]}, "first": 0, "count": 9})
    assert answer == {"count": 2}
    assert np.frombuffer(data, "<u4").tolist() == [1, 3]


def test_of_an_output_only_the_news_is_sent(run: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = run(f"echo one; until [ -e {gate} ]; do sleep 0.01; done; echo two; sleep 60", wait=False)
    handler = RequestHandler(job)
    until(lambda: ask(handler, ask="task", task=0)["streams"]["stdout"].get("whole") == "one\n")
    first = ask(handler, ask="task", task=0, reader="r")
    assert (first["live"], first["streams"]["stdout"]) == (True, {"whole": "one\n"})
    assert ask(handler, ask="task", task=0, reader="r", have=True)["streams"] == {}
    gate.touch()
    until(lambda: "two" in job.log(0).stdout)
    assert ask(handler, ask="task", task=0, reader="r", have=True)["streams"] == {"stdout": {"drop": 0, "add": "two\n"}}
    assert ask(handler, ask="task", task=0, reader="s", have=True)["streams"]["stdout"] == {"whole": "one\ntwo\n"}


def test_the_last_of_a_long_output_and_more_on_request(run: Any) -> None:
    handler = RequestHandler(run("seq 100000"))
    answer = ask(handler, ask="task", task=0)
    text = answer["streams"]["stdout"]["whole"]
    assert text.endswith("99999\n100000\n")
    assert len(text) == 65536
    assert answer["sizes"]["stdout"] == 588895
    more = ask(handler, ask="task", task=0, bytes=10**9)["streams"]["stdout"]["whole"]
    assert more.startswith("1\n2\n")


@pytest.mark.parametrize(
    ("old", "new", "drop"),
    [("abc", "abcd", 0), ("abc", "abc", 0), ("x" * 10 + "y" * 300, "y" * 300 + "z", 10), ("abc", "xyz", None),
     ("a" * 300, "b" * 300, None)],
)  # fmt: skip
def test_where_an_output_goes_on(old: str, new: str, drop: int | None) -> None:
    assert _overlap(old, new) == drop


def test_how_much_of_an_output_is_shown_is_counted_in_bytes(run: Any) -> None:
    program = "python3 -c \"import sys, time; print('{}' * {}, end='', flush=True); time.sleep({})\""
    job = run(program.format("я", 1000, 0), program.format("я", 60000, 0), "head -c 30000 /dev/zero | tr '\\0' '\\377'")
    handler = RequestHandler(job)
    told = [ask(handler, ask="task", task=task) for task in range(3)]
    assert [(one["sizes"]["stdout"], one["shown"]["stdout"], one["partial"]["stdout"]) for one in told] == [
        (2000, 2000, False), (120000, 65536, True), (30000, 65536, False)
    ]  # fmt: skip
    assert ask(handler, ask="task", task=1, bytes=1024 * 1024)["partial"]["stdout"] is False


def test_of_what_runs_it_is_known_whether_there_is_more(run: Any) -> None:
    handler = RequestHandler(run("yes я | head -c 90000; sleep 60", "yes я | head -c 900; sleep 60", wait=False))
    until(lambda: ask(handler, ask="task", task=0)["partial"]["stdout"])
    until(lambda: ask(handler, ask="task", task=1)["shown"]["stdout"] == 900)
    assert not ask(handler, ask="task", task=1)["partial"]["stdout"]


def test_groups_and_what_is_done_with_them(run: Any) -> None:
    job = run("echo no 1 >&2; exit 1", "echo no 2 >&2; exit 1", "exit 2", "true", mem_mib=32)
    handler = RequestHandler(job)
    answer = ask(handler, ask="groups")
    assert [(group["label"], group["count"], group["mem"]) for group in answer["groups"]] == [
        ("exit 1: no #", 2, 32), ("exit 2", 1, 32)
    ]  # fmt: skip
    key = answer["groups"][0]["key"]
    assert shown(handler, group=key) == [0, 1]
    assert ask(handler, do="relaunch", group=key, mem="64M") == {"said": "2 tasks run once more, with 64 MiB each"}
    assert job.wait(30)
    assert [job.mem_of(task) for task in range(4)] == [64, 64, 32, 32]
    assert shown(handler, group="0" * 16) == [], "none fails in this way any more"
    with pytest.raises(SpecError, match="the largest node"):
        handler.answer({"do": "relaunch", "group": key, "mem": "900T"})
    with pytest.raises(SpecError, match="no size"):
        handler.answer({"do": "relaunch", "group": key, "mem": "lots"})
    with pytest.raises(JobNotFound, match="changed since"):
        handler.answer({"do": "kill", "group": "0" * 16})


def test_acts_on_the_job(run: Any) -> None:
    job = run(*["sleep 60"] * 4, wait=False)
    handler = RequestHandler(job)
    assert ask(handler, do="pause")["said"].startswith("paused")
    assert job.view.held == "paused"
    ask(handler, do="resume")
    assert not job.view.held
    assert ask(handler, do="limit", most=1) == {"said": "at most 1 at once"}
    assert job.rules.max_tasks == 1
    ask(handler, do="limit", most=None)
    assert job.rules.max_tasks is None
    assert ask(handler, do="kill", tasks=[[2, 3]]) == {"said": "2 tasks asked to end"}
    until(lambda: job.view[TaskState.KILLED] == 2)
    ask(handler, do="kill")
    assert job.wait(30)


@pytest.mark.parametrize(
    "request_",
    [
        {}, {"ask": "nothing"}, {"do": "__init__"}, {"ask": ["rows"]}, {"ask": "task"}, {"ask": "task", "task": -1},
        {"ask": "task", "task": "0"}, {"ask": "task", "task": 5}, {"do": "kill", "tasks": [[0, 99]]},
        {"do": "kill", "tasks": [[1, 0]]}, {"do": "kill", "tasks": "all"}, {"do": "kill", "tasks": [["0", "0"]]},
        {"ask": "rows", "first": "0"}, {"do": "limit", "most": 0}, {"do": "limit", "most": "8"},
    ],
)  # fmt: skip
def test_nonsense_is_refused_and_changes_nothing(run: Any, request_: dict[str, Any]) -> None:
    job = run("true")
    with pytest.raises(StratosError):
        RequestHandler(job).answer(request_)
    assert job.view[TaskState.FINISHED] == 1


def test_an_old_page_is_told_so(run: Any) -> None:
    with pytest.raises(UsageError, match="reload the page"):
        RequestHandler(run("true")).answer({"ask": "what a later version may ask"})


def test_hostile_text_goes_out_as_text(run: Any) -> None:
    job = run("printf '\\033[31m<b>\\377\\n'; exit 1 # \u202e<script>", "true # " + "x" * 100_000)
    handler = RequestHandler(job)
    row = ask(handler, ask="rows", query={}, first=0, count=1)["rows"][0]
    assert "\u202e" not in row[2]
    assert row[7] == "<b>\\xff"
    assert ask(handler, ask="task", task=0)["streams"]["stdout"]["whole"] == "\x1b[31m<b>\\xff\n"
    assert ask(handler, ask="task", task=1)["cut"]
    assert len(ask(handler, ask="task", task=1, whole=True)["command"]) > 100_000
