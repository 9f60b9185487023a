"""Money holds against callers at the same time, callers that leave, and upstreams that count wrongly."""

import concurrent.futures
import json
import socket
import struct
import threading
import time
import urllib.parse

import httpx
import pytest

from conftest import deployment
from upstream import Reply

INPUT, OUTPUT = 1e-6, 2e-6
# The longest answer of gpt-4o by the catalogue, tokens.
MOST = 16_384


def header(key):
    return {"authorization": f"Bearer {key}"}


def chat(model="gpt-4o", **more):
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}


def reply(input, output, text="Hello"):
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "up",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}}


def poll(look, what, seconds=60):
    """Asks until the answer is true, and gives it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(what)


def rows_of(gateway, key, count):
    def look():
        rows = gateway.admin.get("/spend/logs", api_key=key, limit=500)
        return rows if len(rows) >= count else None

    return poll(look, f"fewer than {count} rows")


class Slow:
    """An upstream that keeps its answers back until it is let go, whoever waits for them."""

    def __init__(self, answer):
        self.answer = answer
        self.go = threading.Event()
        self.asked = 0
        self.lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as file:
            while line := file.readline():
                length = 0
                while (line := file.readline().strip().lower()):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = json.loads(file.read(length))
                with self.lock:
                    self.asked += 1
                try:
                    self.answer(self, connection, body)
                except OSError:
                    return

    def close(self):
        self.go.set()
        self.socket.close()


def whole(connection, body):
    data = json.dumps(body).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data) + data)


@pytest.fixture
def slow():
    servers = []

    def slow(answer):
        servers.append(Slow(answer))
        return servers[-1]

    yield slow
    for server in servers:
        server.close()


def test_60_callers_at_once_overshoot_by_one_estimate_at_most(slow, start):
    def answer(server, connection, body):
        server.go.wait(30)
        whole(connection, reply(9, MOST))

    upstream = slow(answer)
    gateway = start({"model_list": [deployment("gpt-4o", upstream.url)]})
    estimate = MOST * OUTPUT + 1_000 * INPUT
    budget = 3 * estimate
    key = gateway.admin.key(max_budget=budget)
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        calls = [pool.submit(httpx.post, f"{gateway.url}/v1/chat/completions", json=chat(), headers=header(key),
                             timeout=60) for _ in range(60)]
        poll(lambda: upstream.asked + sum(call.done() for call in calls) == 60, "60 calls")
        asked = upstream.asked
        upstream.go.set()
        statuses = [call.result().status_code for call in calls]
    served = statuses.count(200)
    assert 1 <= served == asked <= 4 and statuses.count(429) == 60 - served, statuses
    poll(lambda: sum(row["spend"] > 0 for row in rows_of(gateway, key, served)) == served, "served calls without a row")
    spent = sum(row["spend"] for row in rows_of(gateway, key, served))
    assert served * MOST * OUTPUT <= spent <= budget + estimate


def test_500_prompts_are_reserved_for_500_answers(slow, start):
    def answer(server, connection, body):
        server.go.wait(30)
        output = len(body["prompt"]) * body["max_tokens"]
        whole(connection, {"id": "c", "object": "text_completion", "model": "up", "choices": [],
                           "usage": {"prompt_tokens": 500, "completion_tokens": output, "total_tokens": output}})

    upstream = slow(answer)
    gateway = start({"model_list": [deployment("gpt-4o", upstream.url)]})
    body = {"model": "gpt-4o", "prompt": ["x"] * 500, "max_tokens": 100}
    one = 500 * 100 * OUTPUT
    key = gateway.admin.key(max_budget=2.5 * one)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(httpx.post, f"{gateway.url}/v1/completions", json=body, headers=header(key), timeout=60)
                 for _ in range(20)]
        poll(lambda: upstream.asked + sum(call.done() for call in calls) == 20, "20 calls")
        assert upstream.asked <= 2
        upstream.go.set()
        assert [call.result().status_code for call in calls].count(429) >= 18
    limited = gateway.admin.key(tpm_limit=10_000)
    asked = upstream.asked
    answer = httpx.post(f"{gateway.url}/v1/completions", json=body, headers=header(limited))
    assert answer.status_code == 429 and upstream.asked == asked, answer.text


def test_100_whole_answers_left_early_are_charged(slow, start):
    def answer(server, connection, body):
        server.go.wait(60)
        whole(connection, reply(9, 5_000))

    upstream = slow(answer)
    gateway = start({"model_list": [deployment("gpt-4o", upstream.url)]})
    key = gateway.admin.key()
    address = urllib.parse.urlsplit(gateway.url)
    body = json.dumps(chat(max_tokens=5_000)).encode()
    request = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
               f"content-length: {len(body)}\r\n\r\n").encode() + body
    for count in range(1, 101):
        with socket.create_connection((address.hostname, address.port)) as client:
            # A reset, which cannot be taken for the end of a request.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(request)
            poll(lambda: upstream.asked >= count, f"call {count} has not arrived")
    # Those that are not read on are in the books already: 64 at most are.
    assert all(row["spend"] >= 5_000 * OUTPUT for row in rows_of(gateway, key, 36))
    upstream.go.set()
    rows = rows_of(gateway, key, 100)
    assert len(rows) == 100
    assert all(row["completion_tokens"] == 5_000 and row["spend"] >= 5_000 * OUTPUT for row in rows)


def test_a_stream_left_behind_its_answer_is_charged_by_its_usage(slow, start):
    def frame(connection, value):
        data = f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode()
        connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def answer(server, connection, body):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up"}
        frame(connection, {**chunk, "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]})
        frame(connection, {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        server.go.wait(30)
        frame(connection, {**chunk, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 7_000}})
        frame(connection, "[DONE]")
        connection.sendall(b"0\r\n\r\n")

    upstream = slow(answer)
    gateway = start({"model_list": [deployment("gpt-4o", upstream.url)]})
    key = gateway.admin.key()
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=chat(stream=True), headers=header(key)) as stream:
        for line in stream.iter_lines():
            if '"stop"' in line:
                break
    threading.Timer(0.5, upstream.go.set).start()
    row = rows_of(gateway, key, 1)[0]
    assert (row["prompt_tokens"], row["completion_tokens"]) == (9, 7_000), row
    assert row["spend"] == pytest.approx(9 * INPUT + 7_000 * OUTPUT)


@pytest.mark.parametrize("usage", [
    {"prompt_tokens": 9, "completion_tokens": 10**17},
    {"prompt_tokens": 10**17, "completion_tokens": 3},
    {"prompt_tokens": -9, "completion_tokens": -3},
    {"prompt_tokens": 9.5, "completion_tokens": "3"},
    {"prompt_tokens": 1e30, "completion_tokens": 1e30, "prompt_tokens_details": {"cached_tokens": 1e30}},
    {"prompt_tokens": 9},
])
def test_absurd_usage_is_bounded_and_passed_on(provider, start, usage):
    body = {**reply(9, 3), "usage": usage}
    provider.answer = lambda seen: Reply(body)
    gateway = start({"model_list": [deployment("gpt-4o", provider.url)]})
    key = gateway.admin.key(max_budget=1.0)
    answers = [httpx.post(f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=100), headers=header(key))
               for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[1].text
    assert answers[0].json()["usage"] == usage
    for row in rows_of(gateway, key, 2):
        assert 0 < row["prompt_tokens"] < 5_000 and 0 < row["completion_tokens"] < 200, row
        assert 0 < row["spend"] < 0.01
