"""A provider for tests on 127.0.0.1: OpenAI and Anthropic, plain and streamed.

Every request is kept in `Upstream.seen`. The reply's text is a JSON object that says what was asked
for (`model`, `key`, `path`), so that a client can see through the gateway where it landed. A test
that wants another reply sets `Upstream.answer` to a function from `Seen` to a `Reply`, or to None
for the usual one.

What reaches the Anthropic side is checked against the request types of the `anthropic` package, when
that is installed; what does not fit lands in `Upstream.invalid`.
"""

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


# Fields of the Messages API that its package no longer has types for.
UNTYPED = ("temperature", "top_k", "top_p")


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict
    body: object
    raw: bytes

    @property
    def key(self):
        """The credential that came along."""
        bearer = self.headers.get("authorization", "")
        return self.headers.get("x-api-key") or bearer.removeprefix("Bearer ")


@dataclass
class Reply:
    """A status with a JSON body, or with server-sent events."""

    body: object = None
    status: int = 200
    headers: dict = field(default_factory=dict)
    events: list | None = None


class Upstream:
    """Runs on a thread of its own; use it as a context manager."""

    def __init__(self):
        self.seen, self.invalid, self.answer = [], [], None
        self.checker = anthropic_checker()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                upstream.serve(self)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def forget(self):
        """As if nothing had been asked, and with the usual answers."""
        self.seen, self.invalid, self.answer = [], [], None

    def serve(self, handler):
        """Answers one request."""
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
        reply = (self.answer(seen) if self.answer else None) or usual(seen)
        head = [f"HTTP/1.1 {reply.status} Test"]
        if reply.events is None:
            payload = json.dumps(reply.body).encode()
            head += ["content-type: application/json", f"content-length: {len(payload)}"]
        else:
            head += ["content-type: text/event-stream", "transfer-encoding: chunked"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        start = ("\r\n".join(head) + "\r\n\r\n").encode()
        if reply.events is None:
            handler.wfile.write(start + payload)
            return
        handler.wfile.write(start)
        for event in reply.events:
            data = event.encode()
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        handler.wfile.write(b"0\r\n\r\n")


def anthropic_checker():
    """A function from a Messages body to what is wrong with it, or None without the package."""
    try:
        from anthropic.types import message_create_params as params

        from typed import faults
    except ImportError:
        return None

    def check(body):
        streams = isinstance(body, dict) and body.get("stream") is True
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if name not in UNTYPED}
        return faults(body, params.MessageCreateParamsStreaming if streams else params.MessageCreateParamsNonStreaming)

    return check


# ---- the usual answers -------------------------------------------------
def usual(seen):
    """What a provider says when no test wants something else."""
    path = seen.path.split("?")[0]
    body = seen.body if isinstance(seen.body, dict) else {}
    told = json.dumps({"model": body.get("model"), "key": seen.key, "path": path})
    streams = body.get("stream") is True
    if path.endswith("/chat/completions"):
        return Reply(events=chat_events(body, [told])) if streams else Reply(chat(body, told))
    if path.endswith("/completions"):
        return Reply(events=text_events(body, told)) if streams else Reply(text(body, told))
    if path.endswith("/embeddings"):
        return Reply(embeddings(body), headers={"x-request-id": told})
    if path.endswith("/messages"):
        block = {"type": "text", "text": told}
        return Reply(events=message_events(body, [block])) if streams else Reply(message(body, [block]))
    if path.endswith("/responses"):
        return Reply(response(body, told))
    return Reply({"error": {"message": f"no such path {path}", "type": "invalid_request_error"}}, status=404)


def data(value):
    """One event of OpenAI's kind."""
    return f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n"


def named(value):
    """One event of Anthropic's kind."""
    return f"event: {value['type']}\n" + data(value)


def usage():
    """Of OpenAI's kind."""
    return {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def chat(body, content, **message_fields):
    """A chat.completion."""
    message = {"role": "assistant", "content": content, **message_fields}
    finish = "tool_calls" if message_fields.get("tool_calls") else "stop"
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": body.get("model"),
            "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage()}


def chat_events(body, pieces):
    """The same in chunks, with a usage chunk when it was asked for."""
    def chunk(choices, **more):
        return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
                     "model": body.get("model"), "choices": choices, **more})

    def delta(value, finish=None):
        return chunk([{"index": 0, "delta": value, "finish_reason": finish}])

    events = [delta({"role": "assistant", "content": ""}), *(delta({"content": p}) for p in pieces), delta({}, "stop")]
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append(chunk([], usage=usage()))
    return [*events, data("[DONE]")]


def text(body, content):
    """A text_completion."""
    return {"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": body.get("model"),
            "choices": [{"index": 0, "text": content, "logprobs": None, "finish_reason": "stop"}], "usage": usage()}


def text_events(body, content):
    """The same in chunks."""
    return [data({k: v for k, v in text(body, content).items() if k != "usage"}), data("[DONE]")]


def embeddings(body):
    """One vector for each input."""
    given = body.get("input")
    many = given if isinstance(given, list) else [given]
    return {"object": "list", "model": body.get("model"), "usage": {"prompt_tokens": 3, "total_tokens": 3},
            "data": [{"object": "embedding", "index": n, "embedding": [0.25, -0.5]} for n in range(len(many))]}


def message(body, blocks, stop="end_turn"):
    """An Anthropic message."""
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": body.get("model"), "content": blocks,
            "stop_reason": stop, "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 5}}


def message_events(body, blocks, stop="end_turn"):
    """The same in events; the input of a tool_use block goes out in small pieces."""
    start = {**message(body, []), "stop_reason": None}
    events = [named({"type": "message_start", "message": start}), named({"type": "ping"})]
    for index, block in enumerate(blocks):
        if block["type"] == "tool_use":
            opening, whole = {**block, "input": {}}, json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": p} for p in ["", *re.findall(r".{1,4}", whole)]]
        else:
            opening = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": p} for p in re.findall(r"(?s).{1,9}", block["text"])]
        events.append(named({"type": "content_block_start", "index": index, "content_block": opening}))
        events += [named({"type": "content_block_delta", "index": index, "delta": d}) for d in deltas]
        events.append(named({"type": "content_block_stop", "index": index}))
    delta = {"stop_reason": stop, "stop_sequence": None}
    events.append(named({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5}}))
    return [*events, named({"type": "message_stop"})]


def response(body, content):
    """An OpenAI response object."""
    part = {"type": "output_text", "text": content, "annotations": []}
    item = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}
    return {"id": "resp_1", "object": "response", "created_at": 1700000000, "status": "completed",
            "model": body.get("model"), "output": [item], "parallel_tool_calls": True, "tool_choice": "auto",
            "tools": [], "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
            "temperature": 1.0, "top_p": 1.0,
            "usage": {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5,
                      "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 12}}
