"""Stands in for mesos-executor, the executor of tasks that are a command, which the library doesn't hold."""

import base64
import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid

ENDPOINT = os.environ["MESOS_AGENT_ENDPOINT"]
PATH = "/{}/api/v1/executor".format(os.environ.get("MESOS_SLAVE_PID", "slave(1)@").split("@")[0])
FRAMEWORK = {"value": os.environ["MESOS_FRAMEWORK_ID"]}
EXECUTOR = {"value": os.environ["MESOS_EXECUTOR_ID"]}
CHECKPOINT = os.environ.get("MESOS_CHECKPOINT") == "1"
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}

lock = threading.Lock()
calls = queue.Queue()
updates = {}
task = process = None
unacknowledged = killed = ended = False


def connect():
    host, port = ENDPOINT.rsplit(":", 1)
    return http.client.HTTPConnection(host, int(port))


def body(**call):
    return json.dumps(dict(call, framework_id=FRAMEWORK, executor_id=EXECUTOR))


def sender():
    connection = None
    while True:
        call = calls.get()
        while True:
            try:
                connection = connection or connect()
                connection.request("POST", PATH, call, HEADERS)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException):
                connection = None  # The agent went away; try again.
                time.sleep(0.1)
                continue
            if response.status == 202:
                break
            print("Refused:", response.status, text, flush=True)
            if response.status != 503:  # 503: the agent is recovering.
                break
            time.sleep(0.1)


def update(state, message=None):
    status = {
        "task_id": task["task_id"],
        "executor_id": EXECUTOR,
        "state": state,
        "source": "SOURCE_EXECUTOR",
        "timestamp": time.time(),
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
    }
    if message:
        status["message"] = message
    with lock:
        updates[status["uuid"]] = {"status": status}
    calls.put(body(type="UPDATE", update={"status": status}))


def watch():
    global ended
    code = process.wait()
    ended = True
    message = (
        f"Command exited with status {code}"
        if code >= 0
        else f"Command terminated with signal {signal.strsignal(-code)}"
    )
    update("TASK_KILLED" if killed else "TASK_FINISHED" if code == 0 else "TASK_FAILED", message)


def signal_group(number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def kill(event):
    global killed
    killed = True
    policy = event.get("kill_policy") or task.get("kill_policy") or {}
    grace = policy.get("grace_period", {}).get("nanoseconds", 3e9) / 1e9
    signal_group(signal.SIGTERM)
    t = threading.Timer(grace, signal_group, (signal.SIGKILL,))
    t.daemon = True
    t.start()


def launch(what):
    global task, process, unacknowledged
    task, unacknowledged = what, True
    update("TASK_STARTING")
    c = task["command"]
    command = ["/bin/sh", "-c", c["value"]] if c.get("shell", True) else (c.get("arguments") or [c["value"]])
    env = dict(os.environ, **{v["name"]: v.get("value", "") for v in c.get("environment", {}).get("variables", [])})
    try:
        process = subprocess.Popen(
            command, env=env, start_new_session=True, executable=None if c.get("shell", True) else c["value"]
        )
    except OSError as e:
        update("TASK_FAILED", f"Failed to launch: {e}")
        return
    update("TASK_RUNNING")
    threading.Thread(target=watch, daemon=True).start()


def quit_soon():
    time.sleep(0.1)
    os._exit(0)


def handle(event):
    global unacknowledged
    kind = event["type"]
    if kind == "LAUNCH":
        launch(event["launch"]["task"])
    elif kind == "KILL":
        kill(event["kill"])
    elif kind == "ACKNOWLEDGED":
        with lock:
            unacknowledged = False
            u = updates.pop(event["acknowledged"]["uuid"], None)
        if u and u["status"]["state"] not in ("TASK_STARTING", "TASK_RUNNING"):
            quit_soon()
    elif kind == "SHUTDOWN":
        if process and not ended:
            kill({})
            process.wait()
        quit_soon()
    elif kind == "ERROR":
        sys.exit(event["error"]["message"])


def main():
    threading.Thread(target=sender, daemon=True).start()
    left = time.time()
    while True:
        try:
            connection = connect()
            with lock:
                call = body(
                    type="SUBSCRIBE",
                    subscribe={
                        "unacknowledged_tasks": [task] if unacknowledged else [],
                        "unacknowledged_updates": list(updates.values()),
                    },
                )
            connection.request("POST", PATH, call, HEADERS)
            response = connection.getresponse()
            while response.status == 200:
                line = response.readline()
                if not line:
                    break
                handle(json.loads(response.read(int(line))))
                left = time.time()
        except (OSError, http.client.HTTPException, ValueError) as e:
            print("Disconnected:", e, flush=True)
        if not CHECKPOINT or time.time() - left > 900:
            if process and not ended:
                signal_group(signal.SIGKILL)
            sys.exit("The agent is gone")
        time.sleep(0.2)


main()
