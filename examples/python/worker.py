"""A worker in Python, with nothing but its standard library: claims jobs from a manager, renews them while they run, says how they ended.

    ERRAND_URL=http://127.0.0.1:8220 python3 worker.py
"""

import json
import os
import signal
import threading
import time
import traceback
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("ERRAND_URL", "http://127.0.0.1:8220")
TOKEN = os.environ.get("ERRAND_TOKEN")


class Stale(Exception):
    """The job is not ours any more."""


def call(path, body, timeout=40):
    """Sends a request, again until it is answered: each may be repeated."""
    headers = {"content-type": "application/json"}
    if TOKEN:
        headers["authorization"] = "Bearer " + TOKEN
    pause = 0.1
    while True:
        request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 409:
                raise Stale(path)
            if error.code not in (429, 502, 503, 504):
                raise RuntimeError(f"{path}: {error.code} {error.read().decode()}")
            pause = max(pause, float(error.headers.get("retry-after") or 0))
        except (urllib.error.URLError, OSError) as error:
            print(f"no answer: {error}", flush=True)
        time.sleep(pause)
        pause = min(2 * pause, 5)


class Job:
    """A job while it runs. A thread renews its lease."""

    def __init__(self, claimed, lease_ms):
        self.id, self.token = claimed["id"], claimed["token"]
        self.input, self.attempt = claimed["input"], claimed["attempt"]
        self.cancelled = threading.Event()
        self._ended = threading.Event()
        self._renewer = threading.Thread(target=self._renew, args=(lease_ms / 1000,), daemon=True)
        self._renewer.start()

    def progress(self, value):
        self._send("renew", {"progress": value})

    def end(self, verb, body):
        self._ended.set()
        self._renewer.join()
        self._send(verb, body)

    def _renew(self, lease):
        # The first renewal also says that the job has begun.
        while True:
            try:
                answer = self._send("renew", {})
            except Stale:
                self.cancelled.set()
                return
            lease = answer["leaseMs"] / 1000
            if answer["cancel"]:
                self.cancelled.set()
            if self._ended.wait(lease / 3):
                return

    def _send(self, verb, body):
        return call(f"/v1/work/{self.id}/{verb}", {"token": self.token, **body})


def work(tasks, worker=None, stopped=threading.Event()):
    """Runs jobs of the given tasks, by name, until it is told to stop."""
    worker = worker or f"python-{os.getpid()}"
    call("/v1/work/tasks", {"tasks": [{"name": name, **task["describe"]} for name, task in tasks.items()]})
    while not stopped.is_set():
        claim = {"tasks": list(tasks), "worker": worker, "wait": 20, "claimId": str(uuid.uuid4())}
        claimed = call("/v1/work/claim", claim)
        for one in claimed["jobs"]:
            job = Job(one, claimed["leaseMs"])
            try:
                try:
                    output = tasks[one["task"]]["run"](job.input, job)
                except Exception as error:
                    kept = {"type": type(error).__name__, "message": str(error), "stack": traceback.format_exc()}
                    job.end("fail", {"error": kept, "worker": worker})
                else:
                    job.end("complete", {"output": output, "worker": worker})
            except Stale:
                print(f"{job.id} was taken over", flush=True)


def count_words(given, job):
    words = given["text"].split()
    job.progress({"words": len(words)})
    return {"words": len(words)}


TASKS = {
    "text.count": {
        "describe": {
            "input": {
                "type": "object",
                "required": ["text"],
                "properties": {"text": {"type": "string"}},
            },
            "options": {"retry": {"limit": 3}, "timeout": "1m"},
        },
        "run": count_words,
    }
}

if __name__ == "__main__":
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: (stop.set(), os._exit(0)))
    print(f"working for {URL}", flush=True)
    work(TASKS, stopped=stop)
