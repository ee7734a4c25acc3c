"""An executor that runs nothing: a task ends at once, unless it has data; then it runs until somebody sends a message.

It sends each message back.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import queue
import threading
import time
import uuid

PATH = "/{}/api/v1/executor".format(os.environ.get("MESOS_SLAVE_PID", "slave(1)@").split("@")[0])
WHO = {
    "framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]},
    "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]},
}
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
calls: queue.SimpleQueue[dict] = queue.SimpleQueue()
held = []


def post(call: dict, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("POST", PATH, json.dumps({**call, **WHO}), HEADERS)
    return connection.getresponse()


def agent() -> http.client.HTTPConnection:
    return http.client.HTTPConnection(os.environ["MESOS_AGENT_ENDPOINT"])


def send() -> None:
    connection = agent()
    while True:
        post(calls.get(), connection).read()


def update(task_id: dict, state: str, data: str = "") -> None:
    status = {
        "task_id": task_id,
        "executor_id": WHO["executor_id"],
        "state": state,
        "source": "SOURCE_EXECUTOR",
        "timestamp": time.time(),
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
        **({"data": data} if data else {}),
    }
    calls.put({"type": "UPDATE", "update": {"status": status}})


def handle(event: dict) -> None:
    if event["type"] == "LAUNCH":
        task = event["launch"]["task"]
        update(task["task_id"], "TASK_RUNNING" if "data" in task else "TASK_FINISHED", task.get("data", ""))
        if "data" in task:
            held.append(task["task_id"])
    elif event["type"] == "MESSAGE":
        data = event["message"]["data"]
        calls.put({"type": "MESSAGE", "message": {"data": data}})
        while held:
            update(held.pop(), "TASK_FINISHED", data)
    elif event["type"] == "SHUTDOWN":
        os._exit(0)


def main() -> None:
    threading.Thread(target=send, daemon=True).start()
    stream = post({"type": "SUBSCRIBE", "subscribe": {}}, agent())
    while head := stream.readline():
        handle(json.loads(stream.read(int(head))))


main()
