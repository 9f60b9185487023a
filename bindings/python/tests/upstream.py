"""A provider for tests on 127.0.0.1: the one of `tests/sdk`, which also streams responses, stalls and hangs up.

Every request is kept in `Upstream.seen`; the text of the usual reply is a JSON object that says what was
asked for (`model`, `key`, `path`). `Upstream.answer` is a function from `Seen` to a `Reply`, or to None for
the usual one; `fail` and `stall` set the usual ones of those.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
import select
import socket
import sys
import threading

SDK = pathlib.Path(__file__).resolve().parents[3] / "tests" / "sdk" / "upstream.py"


def _load(name: str, path: pathlib.Path):
    """That file under a name of its own: this one is called `upstream` too."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


answers = _load("sdk_upstream", SDK)
Reply, Seen = answers.Reply, answers.Seen

# How long a test waits for something that has to happen before it is called a failure.
PATIENCE = 30.0


class HangUp(Exception):
    """Raised in `answer`, or while events are made: the connection is closed as it stands."""


class Stall:
    """Replies that wait: where a call has arrived, whether its client is gone, and when it may go on."""

    def __init__(self) -> None:
        self._arrived, self._open, self._gone = threading.Semaphore(0), threading.Event(), threading.Semaphore(0)

    def arrived(self) -> None:
        """Waits until a call is here (another one each time)."""
        assert self._arrived.acquire(timeout=PATIENCE), "no call has arrived"

    def gone(self) -> None:
        """Waits until a client has hung up on a call that waits here (another one each time)."""
        assert self._gone.acquire(timeout=PATIENCE), "the client is still there"

    def release(self) -> None:
        """Lets go on what waits here, and what is still to come."""
        self._open.set()

    def wait(self, connection: socket.socket) -> None:
        """Called by the provider: returns when released; a client that leaves first ends the call."""
        self._arrived.release()
        while not self._open.wait(0.002):
            readable, _, _ = select.select([connection], [], [], 0)
            if readable and left(connection):
                self._gone.release()
                raise HangUp


def left(connection: socket.socket) -> bool:
    """Whether the other end has closed."""
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


class Upstream(answers.Upstream):  # type: ignore[name-defined, misc]
    """Runs on a thread of its own; use it as a context manager."""

    def __init__(self) -> None:
        self._here = threading.local()
        super().__init__()

    @property
    def v1(self) -> str:
        """The base of its OpenAI side."""
        return f"{self.url}/v1"

    @property
    def models(self) -> list:
        """What has been asked for, in order."""
        return [seen.body["model"] for seen in self.seen]

    @property
    def keys(self) -> list:
        """With which credentials, in order."""
        return [seen.key for seen in self.seen]

    def fail(self, status: int, message: str = "no", *, times: int | None = None, only=None, headers=None, **fields):
        """Answers with an error of OpenAI's shape: `times` times, or always; only where `only(seen)`."""
        left_over = [times]

        def answer(seen):
            if left_over[0] == 0 or (only is not None and not only(seen)):
                return None
            if left_over[0] is not None:
                left_over[0] -= 1
            error = {"message": message, "type": "test_error", "param": None, "code": None, **fields}
            return Reply({"error": error}, status=status, headers=headers or {})

        self.answer = answer

    def hang_up(self):
        """Closes every connection without an answer."""

        def answer(seen):
            raise HangUp

        self.answer = answer

    def stall(self, after: int | None = None) -> Stall:
        """Every call waits: before its answer, or, streamed, after so many events."""
        stall = Stall()

        def answer(seen):
            if after is None:
                stall.wait(self._here.connection)
                return None
            reply = usual(seen)
            reply.events = self._waiting(reply.events, after, stall)
            return reply

        self.answer = answer
        return stall

    def _waiting(self, events, after: int, stall: Stall):
        for position, event in enumerate(events):
            if position == after:
                stall.wait(self._here.connection)
            yield event

    def serve(self, handler) -> None:
        self._here.connection = handler.connection
        try:
            self._serve(handler, self.answer)
        except (HangUp, OSError):
            handler.close_connection = True

    def _serve(self, handler, answer) -> None:
        raw = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        seen = Seen(handler.command, handler.path, headers, body, raw)
        self.seen.append(seen)
        if seen.path.endswith("/messages") and self.checker:
            self.invalid += self.checker(body)
        send(handler, (answer(seen) if answer else None) or usual(seen))


def send(handler, reply) -> None:
    """Writes one reply; a stream event by event, so that the client sees each as it comes."""
    # As providers say it: a connection whose upstream has not said so is not used again at once.
    lines = [f"HTTP/1.1 {reply.status} Test", "connection: keep-alive", *(f"{name}: {value}" for name, value in reply.headers.items())]
    if reply.events is None:
        payload = json.dumps(reply.body).encode()
        lines += ["content-type: application/json", f"content-length: {len(payload)}"]
        handler.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode() + payload)
        return
    lines += ["content-type: text/event-stream", "transfer-encoding: chunked"]
    handler.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    for event in reply.events:
        data = event.encode()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
    handler.wfile.write(b"0\r\n\r\n")


def usual(seen):
    """What a provider says when no test wants something else."""
    body = seen.body if isinstance(seen.body, dict) else {}
    if seen.path.split("?")[0].endswith("/responses") and body.get("stream") is True:
        told = json.dumps({"model": body.get("model"), "key": seen.key, "path": seen.path})
        return Reply(events=response_events(body, told))
    return answers.usual(seen)


def response_events(body, content):
    """An OpenAI response in events."""
    whole = answers.response(body, content)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    steps = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_text.delta", **place, "delta": content},
        {"type": "response.output_text.done", **place, "text": content},
        {"type": "response.completed", "response": whole},
    ]
    return [answers.named({**step, "sequence_number": number}) for number, step in enumerate(steps)]
