"""Waiting for a socket, which another thread can end."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from stratos_jupyter.backend.engines.mesos.waker import Waker


@pytest.fixture
def waker() -> Iterator[Waker]:
    waker = Waker()
    yield waker
    waker.close()


def test_another_thread_ends_a_wait(waker: Waker) -> None:
    began = time.monotonic()
    thread = threading.Thread(target=waker.wake)
    thread.start()
    assert waker.wait(None, 0, 30.0) == 0
    assert time.monotonic() - began < 20.0
    thread.join()
    assert waker.wait(None, 0, 0.0) == 0  # the call is used up


def test_many_calls_are_one(waker: Waker) -> None:
    for _ in range(100_000):  # more than a socket takes
        waker.wake()
    waker.wait(None, 0, 30.0)


def test_a_socket_is_waited_for_until_it_is_forgotten(waker: Waker) -> None:
    here, there = socket.socketpair()
    with here, there:
        assert waker.wait(here, selectors.EVENT_READ, 0.0) == 0
        there.send(b"x")
        assert waker.wait(here, selectors.EVENT_READ, 30.0) == selectors.EVENT_READ
        assert waker.wait(here, selectors.EVENT_WRITE, 30.0) == selectors.EVENT_WRITE
        waker.forget()
        assert waker.wait(None, 0, 0.0) == 0
