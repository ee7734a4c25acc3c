"""The driver before masters that behave as a real one cannot be made to."""

from __future__ import annotations

import base64
import logging
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from stratos_jupyter.backend.engines.mesos.driver import MesosDriver
from stratos_jupyter.backend.engines.mesos.master_events import (
    CallLost,
    CallRefused,
    Disconnected,
    Ended,
    FrameworkRefused,
    MasterError,
    Offers,
    Status,
    Subscribed,
    Unauthorised,
)
from stratos_jupyter.errors import EngineError
from tests.support.mesos_driver import FRAMEWORK, Driven, threads
from tests.support.mesos_master import ScriptedMaster, answer
from tests.support.waiting import until

ERROR_STATUS = {"agent_id": {"value": "a"}, "task_id": {"value": "t"}, "state": "TASK_RUNNING", "uuid": "dTE="}


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    until(lambda: not threads(), what="the end of all threads")


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


# -- the process that it lives in -----------------------------------------------------------------------


def run_apart(code: str) -> str:
    """Run Python in a process of its own, which prints something and must not complain."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDEVMODE": "1"},
    )
    assert not done.returncode, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize("where", ["main", "other"])
def test_starting_leaves_the_process_as_it_was(where: str) -> None:
    said = run_apart(f"""
        import logging, signal, sys, threading
        from stratos_jupyter.backend.engines.mesos.driver import MesosDriver
        def mine(*_): pass
        signal.signal(signal.SIGINT, mine)
        true_signal = signal.signal
        assert "pymesos" not in sys.modules
        def start():
            driver = MesosDriver("127.0.0.1:{closed_port()}", {{"user": "u", "name": "n"}}, lambda event: None)
            driver.start()
            driver.stop().result(10)
        if {where == "main"}:
            start()
        else:  # where nobody may set a handler
            thread = threading.Thread(target=start)
            thread.start()
            thread.join()
        assert "pymesos" in sys.modules
        assert signal.getsignal(signal.SIGINT) is mine
        assert signal.signal is true_signal
        log = logging.getLogger("pymesos")
        assert [type(handler).__name__ for handler in log.handlers] == ["NullHandler"]
        assert log.level == logging.NOTSET
        print("as it was")
    """)
    assert said == "as it was\n"


def test_a_thread_that_fails_is_an_event_and_not_an_interrupt() -> None:
    said = run_apart("""
        import threading
        from stratos_jupyter.backend.engines.mesos.driver import MesosDriver
        from tests.support.mesos_master import ScriptedMaster
        told = []
        ended = threading.Event()
        def tell(event):
            if type(event).__name__ == "Offers":
                raise ZeroDivisionError("of a test")
            told.append(event)
            if type(event).__name__ == "Ended":
                ended.set()
        with ScriptedMaster() as master:
            driver = MesosDriver(master.address, {"user": "u", "name": "n"}, tell)
            driver.start()
            while not master.streams:
                pass
            master.send({"type": "OFFERS", "offers": {"offers": []}})
            assert ended.wait(20)
            driver.stop().result(10)
        assert all(thread is threading.main_thread() for thread in threading.enumerate())
        print(told[-1])
    """)
    assert said == "Ended(why='a fault of ours: ZeroDivisionError: of a test')\n"


def test_a_listener_that_is_gone_ends_the_driver_quietly() -> None:
    with ScriptedMaster() as master:

        def tell(event: object) -> None:
            raise RuntimeError("Event loop is closed")

        driver = MesosDriver(master.address, FRAMEWORK, tell)
        driver.start()
        until(lambda: not threads())
        driver.stop().result(10)


def test_without_pymesos_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("pymesos", "http_parser")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "http_parser", None)
    with pytest.raises(EngineError, match=r"pip install ./packaging/http-parser '\.\[mesos\]'"):
        MesosDriver("head:5050", FRAMEWORK, print).start()


def test_what_is_no_address_is_refused_at_once() -> None:
    with pytest.raises(EngineError, match="host:port"):
        MesosDriver("head:5050/x", FRAMEWORK, print).start()
    with pytest.raises(EngineError, match="colon"):
        MesosDriver("head:5050", FRAMEWORK, print, principal="a:b").start()


# -- connections ----------------------------------------------------------------------------------------


def test_a_master_that_is_not_there_is_told_once() -> None:
    port = closed_port()
    with Driven(f"127.0.0.1:{port}") as driven:
        assert driven.wait(Disconnected) == Disconnected(f"cannot reach 127.0.0.1:{port}: connection refused")
        driven.clock.ahead_s += 100  # past the waits between the next attempts
        driven.driver.kill("t")
        assert driven.wait(CallLost).call == "KILL"
    assert len(driven.of(Disconnected)) == 1


def test_a_host_that_nobody_knows() -> None:
    with Driven("no-such-host.invalid:5050") as driven:
        said = driven.wait(Disconnected).why
        assert said.startswith("cannot reach no-such-host.invalid:5050: no address of no-such-host.invalid is known")


def test_a_master_that_says_nothing_is_told_and_waited_for() -> None:
    may_answer = threading.Event()

    def late(call: dict[str, Any], head: str) -> str:
        may_answer.wait(20)
        return ""

    with ScriptedMaster(late) as master, Driven(master.address) as driven:
        until(lambda: master.calls)
        driven.clock.ahead_s += 5
        assert driven.wait(Disconnected).why == f"{master.address} takes connections, and does not answer"
        may_answer.set()
        driven.wait(Subscribed)
        assert master.kinds() == ["SUBSCRIBE"]


def test_missed_heartbeats_lead_to_another_connection() -> None:
    with ScriptedMaster() as master, Driven(master.address) as driven:
        assert driven.wait(Subscribed).heartbeat_s == 15
        driven.clock.ahead_s += 30
        master.send({"type": "HEARTBEAT"}, {"type": "OFFERS", "offers": {}})
        driven.wait(Offers)
        driven.clock.ahead_s += 30
        master.send({"type": "HEARTBEAT"}, {"type": "OFFERS", "offers": {}})
        driven.wait(Offers)
        assert not driven.of(Disconnected)
        driven.clock.ahead_s += 46
        assert driven.wait(Disconnected).why.startswith(f"nothing was heard from {master.address} for 4")
        assert driven.wait(Subscribed).framework_id == "f1"
        assert master.calls[1]["framework_id"] == {"value": "f1"}
        assert master.calls[1]["subscribe"]["framework_info"]["id"] == {"value": "f1"}


def test_a_redirect_is_followed_and_the_given_master_is_asked_again_when_that_is_lost() -> None:
    leader = ScriptedMaster()
    with leader, ScriptedMaster(lambda *_: redirect(leader)) as master, Driven(master.address) as driven:
        assert driven.wait(Subscribed).master == {"hostname": "127.0.0.1", "port": leader.port}
        assert not driven.of(Disconnected)
        with ScriptedMaster() as next_leader:
            first, leader = leader, next_leader
            first.hang_up()
            assert driven.wait(Disconnected).why == f"{first.address} ended the connection"
            assert driven.wait(Subscribed).master["port"] == next_leader.port
        assert master.kinds() == ["SUBSCRIBE", "SUBSCRIBE"]


def redirect(to: ScriptedMaster, scheme: str = "") -> str:
    return answer("307 Temporary Redirect", "", f"Location: {scheme}//{to.address}/api/v1/scheduler")


def test_masters_that_name_each_other() -> None:
    masters: list[ScriptedMaster] = []
    one = ScriptedMaster(lambda *_: redirect(masters[1]))
    two = ScriptedMaster(lambda *_: redirect(masters[0]))
    masters += [one, two]
    with one, two, Driven(one.address) as driven:
        assert "is not the leading master, which is" in driven.wait(Disconnected).why
        assert len(one.calls) + len(two.calls) <= 6  # and then it waits


def test_a_leader_that_does_not_know_yet_that_it_leads() -> None:
    answers = iter([answer("307 Temporary Redirect", "", f"Location: //127.0.0.1:{closed_port()}/api/v1/scheduler")])
    with (
        ScriptedMaster(lambda *_: next(answers, "")) as master,
        Driven(f"zk://127.0.0.1:{closed_port()}/mesos") as driven,
    ):
        driven.driver._made.change_master(master.address)  # as pymesos does when ZooKeeper has told it
        assert "connection refused" in driven.wait(Disconnected).why  # of the leader before
        assert driven.wait(Subscribed).master["port"] == master.port
        # ZooKeeper names another one, and then nobody, which is no reason to leave.
        with ScriptedMaster() as other:
            driven.driver._made.change_master(other.address)
            assert driven.wait(Disconnected).why == f"the leading master is another one now: {other.address}"
            assert driven.wait(Subscribed).master["port"] == other.port
            driven.driver._made.change_master(None)
            other.send({"type": "OFFERS", "offers": {}})
            driven.wait(Offers)
            assert len(driven.of(Disconnected)) == 2


def test_a_leader_that_wants_tls() -> None:
    with ScriptedMaster(lambda *_: redirect(master, "https:")) as master, Driven(master.address) as driven:
        assert "a leading master that we cannot speak to: 'https://" in driven.wait(Disconnected).why


def test_a_master_that_is_not_ready_is_asked_again() -> None:
    answers = iter([answer("503 Service Unavailable"), answer("503 Service Unavailable")])
    with ScriptedMaster(lambda *_: next(answers, "")) as master, Driven(master.address) as driven:
        assert "is not ready" in driven.wait(Disconnected).why
        driven.wait(Subscribed)
    assert len(driven.of(Disconnected)) == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
        (answer("404 Not Found", "no such page"), "answers 404: no such page"),
        (answer("200 OK", "3\n{]}"), "sends what is no event"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "sends what is no HTTP"),
    ],
)
def test_what_is_no_master(said: str, why: str) -> None:
    with ScriptedMaster(lambda *_: said) as master, Driven(master.address) as driven:
        assert why in driven.wait(Disconnected).why


# -- errors ---------------------------------------------------------------------------------------------


def error(text: str) -> dict[str, Any]:
    return {"type": "ERROR", "error": {"message": text}}


def test_an_error_and_the_end_of_the_connection_are_the_end() -> None:
    with ScriptedMaster() as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        master.send(error("Framework failed over"))
        assert driven.wait(MasterError) == MasterError("Framework failed over")
        master.hang_up()
        assert driven.wait(Ended) == Ended(f"{master.address}: Framework failed over")
        until(lambda: not threads())
        driven.driver.kill("t")  # nobody is there to make it
        assert driven.wait(CallLost).why == f"{master.address}: Framework failed over"
        assert master.kinds() == ["SUBSCRIBE"]


def test_an_error_that_is_only_a_complaint() -> None:
    with ScriptedMaster() as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        master.send(error("too many messages"), {"type": "HEARTBEAT"})
        driven.wait(MasterError)
        master.hang_up()
        driven.wait(Disconnected)
        driven.wait(Subscribed)


def test_a_framework_that_was_removed_can_begin_anew() -> None:
    with ScriptedMaster() as master, Driven(master.address, "old") as driven:
        driven.wait(Subscribed)
        master.send(error("Framework has been removed"))
        assert driven.wait(FrameworkRefused) == FrameworkRefused(f"{master.address}: Framework has been removed", 0.0)
        master.hang_up()
        until(lambda: not threads())
        assert not driven.of(Ended)
        with Driven(master.address) as anew:
            anew.wait(Subscribed)
        assert "framework_id" not in master.calls[-1]


# -- who we are -----------------------------------------------------------------------------------------

SECRET = "hunter2-ü:\n!"


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_secret_that_is_wrong(status: str, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        ScriptedMaster(lambda *_: answer(status, "who are you?")) as master,
        Driven(master.address, principal="me", secret=SECRET) as driven,
    ):
        assert driven.wait(Unauthorised).why == f"{master.address} answers {status[:3]}: who are you?"
        assert not driven.of(Disconnected)
        assert "hunter2" not in repr(driven.driver) + repr(driven.happened) + str(vars(driven.driver))
    encoded = base64.b64encode(f"me:{SECRET}".encode()).decode()
    assert f"Authorization: Basic {encoded}\r\n" in master.heads[0]
    assert master.calls[0]["subscribe"]["framework_info"]["principal"] == "me"
    for secret in ("hunter2", encoded):
        assert secret not in caplog.text + "".join(capfd.readouterr())


def test_each_call_says_who_we_are() -> None:
    with ScriptedMaster() as master, Driven(master.address, principal="me", secret="s") as driven:
        driven.wait(Subscribed)
        driven.driver.revive()
        until(lambda: len(master.calls) == 2)
    assert all("Authorization: Basic bWU6cw==\r\n" in head for head in master.heads)


def test_an_error_about_authorisation() -> None:
    with ScriptedMaster() as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        master.send(error("Not authorized to use role 'physics'"))
        master.hang_up()
        assert "Not authorized" in driven.wait(Unauthorised).why


# -- calls ----------------------------------------------------------------------------------------------


def test_the_calls_as_mesos_has_them() -> None:
    with ScriptedMaster() as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        driver = driven.driver
        driver.accept(["o1", "o2"], [{"type": "LAUNCH", "launch": {"task_infos": []}}], 5.0)
        driver.decline(["o3"], 3600.0)
        driver.decline_inverse(["i1"])
        driver.revive()
        driver.revive(["r"])
        driver.suppress()
        driver.suppress(["r"])
        driver.acknowledge("a", "t", "dTE=")
        driver.kill("t")
        driver.kill("t", "a", 2.5)
        driver.message("a", "e", b"\xff")
        driver.reconcile([])
        driver.reconcile([("t", "a"), ("u", "")])
        driver.shutdown_executor("e", "a")
        driver.teardown().result(10)
    filters = {"refuse_seconds": 5.0}
    operations = [{"type": "LAUNCH", "launch": {"task_infos": []}}]
    agent, task, executor = {"agent_id": {"value": "a"}}, {"task_id": {"value": "t"}}, {"executor_id": {"value": "e"}}
    fields: list[tuple[str, Any]] = [
        ("ACCEPT", {"offer_ids": [{"value": "o1"}, {"value": "o2"}], "operations": operations, "filters": filters}),
        ("DECLINE", {"offer_ids": [{"value": "o3"}], "filters": {"refuse_seconds": 3600.0}}),
        ("DECLINE_INVERSE_OFFERS", {"inverse_offer_ids": [{"value": "i1"}]}),
        ("REVIVE", None),
        ("REVIVE", {"roles": ["r"]}),
        ("SUPPRESS", None),
        ("SUPPRESS", {"roles": ["r"]}),
        ("ACKNOWLEDGE", {**agent, **task, "uuid": "dTE="}),
        ("KILL", task),
        ("KILL", {**task, **agent, "kill_policy": {"grace_period": {"nanoseconds": 2_500_000_000}}}),
        ("MESSAGE", {**agent, **executor, "data": "/w=="}),
        ("RECONCILE", {"tasks": []}),
        ("RECONCILE", {"tasks": [{**task, **agent}, {"task_id": {"value": "u"}}]}),
        ("SHUTDOWN", {**executor, **agent}),
        ("TEARDOWN", None),
    ]
    identity = {"framework_id": {"value": "f1"}}
    wanted = [{"type": kind, **identity, **({kind.lower(): what} if what is not None else {})} for kind, what in fields]
    assert master.calls[1:] == wanted
    assert all("Mesos-Stream-Id: s1\r\n" in head for head in master.heads[1:])
    assert not driven.of(CallLost)
    assert not driven.of(CallRefused)


def test_the_framework_is_as_it_was_given() -> None:
    with ScriptedMaster() as master, Driven(master.address, suppressed_roles=["*"]) as driven:
        driven.wait(Subscribed)
    assert master.calls[0] == {
        "type": "SUBSCRIBE",
        "subscribe": {"framework_info": FRAMEWORK, "suppressed_roles": ["*"]},
    }


def test_what_was_suppressed_stays_so_on_the_next_connection() -> None:
    with ScriptedMaster() as master, Driven(master.address, info={"roles": ["a", "b"]}) as driven:
        for change, kind, left in (("suppress", "SUPPRESS", ["a", "b"]), ("revive", "REVIVE", None)):
            driven.wait(Subscribed)
            getattr(driven.driver, change)()
            until(lambda kind=kind: kind in master.kinds())
            master.hang_up()
            driven.wait(Disconnected)
            until(lambda: master.kinds()[-1] == "SUBSCRIBE")
            assert master.calls[-1]["subscribe"].get("suppressed_roles") == left


def test_calls_without_a_connection_are_told() -> None:
    driven = Driven("127.0.0.1:1", "known")
    driven.driver.kill("early")
    assert driven.wait(CallLost) == CallLost("KILL", {}, "the driver was not started", False)
    with ScriptedMaster(lambda *_: answer("503 Not Yet")) as master, Driven(master.address) as driven:
        driven.wait(Disconnected)
        driven.driver.kill("t")
        assert driven.wait(CallLost) == CallLost("KILL", {}, "the master has given us no framework id yet", False)
    with ScriptedMaster(lambda *_: answer("503 Not Yet")) as master, Driven(master.address, "known") as driven:
        driven.wait(Disconnected)
        driven.driver.acknowledge("a", "t", "dTE=")
        lost = driven.wait(CallLost)
        assert (lost.call, lost.what["acknowledge"]["uuid"], lost.perhaps_arrived) == ("ACKNOWLEDGE", "dTE=", False)
        assert "is not ready" in lost.why
        with pytest.raises(EngineError, match=r"TEARDOWN: .* is not ready"):
            driven.driver.teardown().result(10)
    driven.driver.kill("late")
    assert driven.wait(CallLost, lambda lost: lost.call == "KILL").why == "the driver was stopped"


def test_calls_that_the_master_refuses() -> None:
    def no(call: dict[str, Any], head: str) -> str:
        return answer("400 Bad Request", "what?") if call["type"] in ("KILL", "TEARDOWN") else ""

    with ScriptedMaster(no) as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        driven.driver.kill("t")
        refused = driven.wait(CallRefused)
        assert (refused.call, refused.status, refused.text) == ("KILL", 400, "what?")
        assert refused.what["kill"] == {"task_id": {"value": "t"}}
        with pytest.raises(EngineError, match="TEARDOWN: 400 what"):
            driven.driver.teardown().result(10)
        driven.driver.revive()  # and it goes on
        until(lambda: master.kinds()[-1] == "REVIVE")


def test_a_connection_that_breaks_between_a_call_and_its_answer() -> None:
    def mute(call: dict[str, Any], head: str) -> str:
        if call["type"] == "ACCEPT":
            master.hang_up()
        return ""

    with ScriptedMaster(mute) as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        driven.driver.accept(["o"], [{"type": "LAUNCH"}], 1.0)
        driven.wait(Disconnected)
        (lost,) = until(lambda: driven.of(CallLost))  # which may be told before the other
        assert (lost.call, lost.perhaps_arrived) == ("ACCEPT", True)
        driven.wait(Subscribed)
        driven.driver.revive()
        until(lambda: master.kinds()[-1] == "REVIVE")
    assert master.kinds().count("ACCEPT") == 1  # it is not made twice


def test_calls_of_an_old_connection_are_not_made_on_the_next() -> None:
    hold, held = threading.Event(), threading.Event()

    def slow(call: dict[str, Any], head: str) -> str:
        if call["type"] == "REVIVE":
            held.set()
            hold.wait(20)
        return ""

    with ScriptedMaster(slow) as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        driven.driver.revive()
        assert held.wait(20)
        driven.driver.decline(["old"], 1.0)  # waits behind the answer
        master.hang_up_streams()
        assert driven.wait(CallLost, lambda lost: lost.call == "DECLINE").perhaps_arrived is False
        driven.wait(Subscribed)
        hold.set()
    assert "DECLINE" not in master.kinds()


def test_what_is_no_json_is_told_and_hurts_no_other_call() -> None:
    with ScriptedMaster() as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        driven.driver.accept(["o"], [{"type": object()}], 1.0)
        driven.driver.revive()
        assert "no JSON" in driven.wait(CallLost).why
        until(lambda: master.kinds()[-1] == "REVIVE")


def test_calls_are_made_in_their_order_and_answers_are_theirs() -> None:
    def odd(call: dict[str, Any], head: str) -> str:
        name = call.get("kill", {}).get("task_id", {}).get("value", "0")
        return answer("400 Bad", name) if int(name) % 7 == 3 else ""

    with ScriptedMaster(odd) as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        for i in range(1000):
            driven.driver.kill(str(i))
        driven.driver.teardown().result(20)
    assert [call["kill"]["task_id"]["value"] for call in master.calls[1:-1]] == [str(i) for i in range(1000)]
    refused = [(one.what["kill"]["task_id"]["value"], one.text) for one in driven.of(CallRefused)]
    assert refused == [(str(i), str(i)) for i in range(1000) if i % 7 == 3]


def test_a_connection_that_was_closed_while_idle_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stratos_jupyter.backend.engines.mesos.call_sender.IDLE_S", 0.0)
    reply = "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with ScriptedMaster(lambda call, head: reply if call["type"] == "KILL" else "") as master:
        with Driven(master.address) as driven:
            driven.wait(Subscribed)
            for i in range(3):
                driven.driver.kill(str(i))
                until(lambda count=i + 2: len(master.calls) == count)
                master.hang_up_calls()
        assert not driven.of(CallLost)


# -- the end --------------------------------------------------------------------------------------------


def test_stopping_makes_the_calls_that_there_are() -> None:
    with ScriptedMaster() as master:
        with Driven(master.address) as driven:
            driven.wait(Subscribed)
            for i in range(500):
                driven.driver.kill(str(i))
        assert master.kinds().count("KILL") == 500
        assert "TEARDOWN" not in master.kinds()
        assert not driven.of(Disconnected)
        assert not driven.of(Ended)


def test_stopping_does_not_wait_for_a_master_that_is_silent() -> None:
    hold = threading.Event()

    def mute(call: dict[str, Any], head: str) -> str:
        if call["type"] == "KILL":
            hold.wait(20)
        return ""

    with ScriptedMaster(mute) as master:
        with Driven(master.address) as driven:
            driven.wait(Subscribed)
            driven.driver.kill("t")
            until(lambda: master.kinds()[-1] == "KILL")
            ended = driven.driver.stop()
            driven.clock.ahead_s += 3
            ended.result(5)
        assert driven.of(CallLost)[0].perhaps_arrived
        hold.set()


def test_stopping_at_any_time() -> None:
    with ScriptedMaster(lambda *_: answer("503 Not Yet")) as master:
        driven = Driven(master.address)
        driven.driver.stop().result(1)  # before it was started
        driven.driver.start()
        ended = driven.driver.stop()
        assert driven.driver.stop() is ended
        ended.result(10)


def test_after_a_teardown_nobody_subscribes_again() -> None:
    with ScriptedMaster() as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        driven.driver.teardown().result(10)
        master.hang_up()
        until(lambda: not threads())
        assert not driven.of(Disconnected)
        assert not driven.of(Ended)
        assert master.kinds() == ["SUBSCRIBE", "TEARDOWN"]


def test_it_tells_of_all_its_connections() -> None:
    with ScriptedMaster() as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        driven.driver.revive()
        until(lambda: len(master.calls) == 2)
        socks = [one for one in driven.driver.connections() if isinstance(one, socket.socket)]
        peers = [one.getpeername() for one in socks]
        assert peers.count(("127.0.0.1", master.port)) == 2


# -- what is large --------------------------------------------------------------------------------------


def test_many_and_large_statuses() -> None:
    data = base64.b64encode(os.urandom(256 * 1024)).decode()
    with ScriptedMaster() as master, Driven(master.address) as driven:
        driven.wait(Subscribed)
        for i in range(20):
            large = {**ERROR_STATUS, "task_id": {"value": str(i)}, "data": data}
            small = {**ERROR_STATUS, "task_id": {"value": f"small {i}"}}
            master.send(
                {"type": "UPDATE", "update": {"status": large}}, {"type": "UPDATE", "update": {"status": small}}
            )
        driven.wait(Status, lambda event: event.status["task_id"]["value"] == "small 19")
    statuses = [event.status for event in driven.of(Status)]
    assert [status["task_id"]["value"] for status in statuses[::2]] == [str(i) for i in range(20)]
    assert all(status["data"] == data for status in statuses[::2])
    assert type(statuses[0]) is dict
