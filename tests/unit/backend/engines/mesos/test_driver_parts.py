"""What the Mesos driver is made of, each by itself."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.backend.engines.mesos.address import Master, ZooKeeper, parse_leader, parse_master
from stratos_jupyter.backend.engines.mesos.backoff import FIRST_S, LONGEST_S, Backoff
from stratos_jupyter.backend.engines.mesos.master_events import (
    AgentFailed,
    CallLost,
    ExecutorFailed,
    InverseOffers,
    MasterEvent,
    Message,
    Offers,
    Rescinded,
    Status,
    read_event,
)
from stratos_jupyter.backend.engines.mesos.recordio import RecordIOReader
from stratos_jupyter.backend.engines.mesos.thread_bridge import ThreadBridge
from stratos_jupyter.errors import EngineError

# -- addresses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mesos.example.org:5050", Master("mesos.example.org", 5050)),
        ("mesos://10.0.0.1:15050", Master("10.0.0.1", 15050)),
        ("MESOS://head", Master("head", 5050)),
        (" http://head:80/ ", Master("head", 80)),
        ("mesos://[fe80::1%eth0]:5051", Master("fe80::1%eth0", 5051)),
        ("zk://a:2181,b,c:1/mesos", ZooKeeper("a:2181,b,c:1", "/mesos")),
        ("zoo://a/deep/path/", ZooKeeper("a", "/deep/path")),
    ],
)
def test_addresses(text: str, found: Master | ZooKeeper) -> None:
    assert parse_master(text) == found
    assert parse_master(str(found)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "host:port"),
        ("head:0", "is no master"),
        ("head:99999", "is no master"),
        ("two words:5050", "is no master"),
        ("head:5050/path", "is no master"),
        ("ftp://head:21", "is no master"),
        ("https://head:5050", "TLS is not supported"),
        ("zk://a:2181", "with the path"),
        ("zk:///mesos", "with the path"),
        ("zk://a;b/mesos", "with the path"),
    ],
)
def test_what_is_no_address(text: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        parse_master(text)


@pytest.mark.parametrize("text", ["zk://me:hunter2@a:2181/mesos", "mesos://me:hunter2@head:5050", "me:hunter2@head"])
def test_passwords_in_addresses_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(EngineError, match="principal and secret as settings") as caught:
        parse_master(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("location", ["//10.0.0.2:5050/api/v1/scheduler", "http://10.0.0.2:5050/x", "10.0.0.2:5050"])
def test_leaders_as_masters_name_them(location: str) -> None:
    assert parse_leader(location) == Master("10.0.0.2", 5050)


@pytest.mark.parametrize("location", ["https://10.0.0.2:5050/", "", "/api/v1/scheduler"])
def test_leaders_that_we_cannot_speak_to(location: str) -> None:
    assert parse_leader(location) is None


# -- records --------------------------------------------------------------------------------------------


def record(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False).encode()
    return b"%d\n%b" % (len(text), text)


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers()), max_size=6), st.data())
def test_records_cut_anywhere(values: list[dict[str, Any]], data: st.DataObject) -> None:
    stream = b"".join(map(record, values))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    records, found = RecordIOReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += records.feed(stream[start:end])
    assert found == values


def test_a_record_is_there_with_its_last_byte() -> None:
    records, stream = RecordIOReader(), record({"Zürich": 1})
    assert [len(records.feed(stream[i : i + 1])) for i in range(len(stream))] == [0] * (len(stream) - 1) + [1]


@pytest.mark.parametrize("stream", [b"x\n{}", b"-2\n{}", b"1234567890123", b"2\n{]", b"3\n{\xff}"])
def test_what_are_no_records(stream: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # json and codecs have words of their own
        RecordIOReader().feed(stream)


# -- pacing ---------------------------------------------------------------------------------------------


def test_waits_grow_to_their_bound() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.wait_s() for _ in range(7)] == [0.5, 1, 2, 4, 8, 15, 15]
    backoff.reset()
    assert backoff.wait_s() == FIRST_S
    backoff.relax()
    assert [backoff.wait_s(), backoff.wait_s()] == [LONGEST_S, LONGEST_S]


@given(st.floats(0, 1), st.integers(0, 20))
def test_waits_differ_by_chance_and_are_never_short(chance: float, times: int) -> None:
    often, longest = Backoff(lambda: chance), Backoff(lambda: 1.0)
    for _ in range(times):
        assert 0.5 <= often.wait_s() / longest.wait_s() <= 1


# -- events ---------------------------------------------------------------------------------------------

AGENT = {"agent_id": {"value": "a"}}
EXECUTOR = {"executor_id": {"value": "e"}}
DATA = base64.b64encode(b"\xff\0data").decode()


@pytest.mark.parametrize(
    ("kind", "info", "event"),
    [
        ("OFFERS", {"offers": [{"id": {"value": "o"}}]}, Offers([{"id": {"value": "o"}}])),
        ("OFFERS", {}, Offers([])),
        ("RESCIND", {"offer_id": {"value": "o"}}, Rescinded("o")),
        ("INVERSE_OFFERS", {"inverse_offers": [{"id": {"value": "i"}}]}, InverseOffers([{"id": {"value": "i"}}])),
        ("UPDATE", {"status": {"state": "TASK_LOST"}}, Status({"state": "TASK_LOST"})),
        ("MESSAGE", {**AGENT, **EXECUTOR, "data": DATA}, Message("a", "e", b"\xff\0data")),
        ("MESSAGE", {**AGENT, **EXECUTOR}, Message("a", "e", b"")),
        ("FAILURE", AGENT, AgentFailed("a")),
        ("FAILURE", {**AGENT, **EXECUTOR, "status": 256}, ExecutorFailed("a", "e", 256)),
        ("FAILURE", {**AGENT, **EXECUTOR}, ExecutorFailed("a", "e", None)),
        ("HEARTBEAT", {}, None),
        ("SOMETHING_OF_MESOS_2", {"odd": 1}, None),
    ],
)
def test_events(kind: str, info: dict[str, Any], event: MasterEvent | None) -> None:
    assert read_event(kind, info) == event


def test_what_a_call_held_is_not_shown() -> None:
    lost = CallLost("ACCEPT", {"environment": "hunter2"}, "no connection", False)
    assert "hunter2" not in repr(lost)


# -- thread bridge --------------------------------------------------------------------------------------


def test_events_arrive_in_order_and_wake_the_loop_once() -> None:
    woken = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        call_soon_threadsafe = loop.call_soon_threadsafe

        def counted(*args: Any) -> asyncio.Handle:
            woken.append(threading.current_thread().name)
            return call_soon_threadsafe(*args)

        loop.call_soon_threadsafe = counted  # type: ignore[assignment]
        found: list[MasterEvent] = []
        bridge = ThreadBridge(loop, found.append)
        wanted = [Rescinded(str(i)) for i in range(1000)]
        thread = threading.Thread(target=lambda: [bridge(event) for event in wanted])
        thread.start()
        thread.join()  # the loop has not had its turn
        assert woken == [thread.name]
        while len(found) < len(wanted):
            await asyncio.sleep(0)
        assert found == wanted
        bridge(Rescinded("later"))
        while len(found) == len(wanted):
            await asyncio.sleep(0)

    asyncio.run(main())


def test_one_that_raises_does_not_hold_up_the_others() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        raised: list[Any] = []
        loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))
        found: list[MasterEvent] = []

        def handle(event: MasterEvent) -> None:
            if event == Rescinded("bad"):
                raise ZeroDivisionError
            found.append(event)

        bridge = ThreadBridge(loop, handle)
        for name in ("a", "bad", "b", "c"):
            bridge(Rescinded(name))
        while len(found) < 3:
            await asyncio.sleep(0)
        assert found == [Rescinded("a"), Rescinded("b"), Rescinded("c")]
        assert [type(error) for error in raised] == [ZeroDivisionError]

    asyncio.run(main())
