"""Clients that connect and do not behave: too many, too slow, too early gone, or gone with half a connection."""

import json
import re
import resource
import shutil
import socket
import subprocess
import threading
import time

import httpx
import pytest

from conftest import MASTER, deployment, peak_memory
from test_process import BODY, KEY, broken, eventually, launch  # noqa: F401
from upstream import Reply

HEAD = f"host: x\r\nauthorization: Bearer {MASTER}\r\ncontent-type: application/json\r\n"


def connect(gateway, **options):
    client = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
    return client


def request(body, path="/v1/chat/completions", head=HEAD):
    body = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body


def read_all(client):
    seen = b""
    while piece := client.recv(1 << 16):
        seen += piece
    return seen


def read_reply(client):
    """One reply with a content-length: head and body."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        piece = client.recv(1 << 16)
        assert piece, f"closed after {seen!r}"
        seen += piece
    head, _, body = seen.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head.lower())[1])
    while len(body) < length:
        piece = client.recv(1 << 16)
        assert piece, "closed in the body"
        body += piece
    return head, body


def is_closed(client):
    client.settimeout(0.01)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


# ---- descriptors -------------------------------------------------------
def files(count):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def quiet():
    return {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def test_idle_connections_without_a_key_do_not_keep_others_out(launch, provider):  # noqa: F811
    gateway = launch({"model_list": [deployment("gpt-4o", provider.url)]}, preexec_fn=files(256), **quiet()).ready()
    with httpx.Client(timeout=30, headers=KEY) as known:
        assert known.post(f"{gateway.url}/v1/chat/completions", json=BODY).status_code == 200
        idle = [connect(gateway) for _ in range(400)]
        assert known.post(f"{gateway.url}/v1/chat/completions", json=BODY).status_code == 200
        assert httpx.post(f"{gateway.url}/v1/chat/completions", json=BODY, headers=KEY, timeout=30).status_code == 200
        assert httpx.get(f"{gateway.url}/health", headers=KEY, timeout=30).status_code == 200
        assert httpx.get(f"{gateway.url}/health/readiness", timeout=30).status_code == 200
        key = httpx.post(f"{gateway.url}/key/generate", json={}, headers=KEY, timeout=30)
        assert key.status_code == 200, key.text
    left = [number for number, client in enumerate(idle) if not is_closed(client)]
    assert 0 < len(left) <= 80, "most make room"
    # Each core accepts its own, so that the order holds for most and not for each.
    assert 0 not in left and sum(left) / len(left) > 200, f"the oldest go first: {left}"


def test_connections_that_have_shown_a_key_go_last(launch, provider):  # noqa: F811
    config = {"model_list": [deployment("gpt-4o", provider.url)], "general_settings": {"max_connections": 8}}
    gateway = launch(config, **quiet()).ready()
    known = connect(gateway)
    known.sendall(request(BODY))
    assert b"200 OK" in read_reply(known)[0]
    probing = connect(gateway)
    probing.sendall(b"GET /health/liveliness HTTP/1.1\r\nhost: x\r\n\r\n")
    read_reply(probing)
    refused = connect(gateway)
    refused.sendall(request(BODY, head="host: x\r\nauthorization: Bearer sk-wrong\r\n"))
    assert b" 401 " in read_reply(refused)[0]
    crowd = []
    for _ in range(20):
        crowd.append(connect(gateway))
    eventually(lambda: is_closed(crowd[8]))
    assert is_closed(probing) and is_closed(refused)
    known.settimeout(30)
    known.sendall(request(BODY))
    assert b"200 OK" in read_reply(known)[0]


def test_when_all_connections_are_busy_a_new_one_is_told_so(launch, provider):  # noqa: F811
    gate, busy = threading.Event(), []
    arrived = threading.Semaphore(0)

    def held(_):
        arrived.release()
        gate.wait(60)

    provider.answer = held
    config = {"model_list": [deployment("gpt-4o", provider.url)], "general_settings": {"max_connections": 3}}
    gateway = launch(config, **quiet()).ready()
    for _ in range(3):
        busy.append(connect(gateway))
        busy[-1].sendall(request(BODY))
    for _ in busy:
        assert arrived.acquire(timeout=20)
    more = connect(gateway)
    more.sendall(request(BODY))
    head, body = read_reply(more)
    assert b" 503 " in head and b"retry-after: 1" in head and b"connection: close" in head
    assert json.loads(body)["error"]["code"] == "503"
    gate.set()
    for client in busy:
        assert b"200 OK" in read_reply(client)[0]
    # Idle now, they make room.
    more = connect(gateway)
    more.sendall(request(BODY))
    assert b"200 OK" in read_reply(more)[0]


# ---- half a connection, and none ---------------------------------------
def test_a_client_that_ends_its_side_gets_its_answer(start, provider):
    gateway = start({"model_list": [deployment("gpt-4o", provider.url)]})
    for stream in (False, True):
        client = connect(gateway)
        client.sendall(request({**BODY, "stream": stream}))
        client.shutdown(socket.SHUT_WR)
        seen = read_all(client)
        assert seen.startswith(b"HTTP/1.1 200 OK"), seen
        assert (b"[DONE]" if stream else b'"choices"') in seen
    client = connect(gateway)
    client.sendall(b"GET /v1/models HTTP/1.1\r\n" + HEAD.encode() + b"\r\n")
    client.shutdown(socket.SHUT_WR)
    assert b'"gpt-4o"' in read_all(client)


def test_a_slow_answer_reaches_a_client_that_ended_its_side_long_before(start, provider):
    gate, arrived = threading.Event(), threading.Event()

    def held(_):
        arrived.set()
        gate.wait(60)

    provider.answer = held
    gateway = start({"model_list": [deployment("gpt-4o", provider.url)]})
    client = connect(gateway)
    client.sendall(request(BODY))
    client.shutdown(socket.SHUT_WR)
    assert arrived.wait(20)
    client.settimeout(1.5)
    with pytest.raises(TimeoutError):
        client.recv(1)
    gate.set()
    client.settimeout(30)
    assert read_all(client).startswith(b"HTTP/1.1 200 OK")


class Endless:
    """A provider whose stream never ends; counts what the gateway takes of it."""

    def __init__(self):
        self.server = socket.socket()
        # What waits in the sender's own socket is not the gateway's.
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.server.bind(("127.0.0.1", 0))
        self.server.listen()
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.sent, self.ended = 0, threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        connection, _ = self.server.accept()
        while b"\r\n\r\n" not in connection.recv(1 << 16):
            pass
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        delta = {"index": 0, "delta": {"content": "x" * 1000}, "finish_reason": None}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [delta]}
        event = f"data: {json.dumps(chunk)}\n\n".encode()
        try:
            while True:
                self.sent += connection.send(event)
        except OSError:
            self.ended.set()


def test_a_client_that_never_reads_holds_little(launch, tmp_path):  # noqa: F811
    upstream = Endless()
    gateway = launch({"model_list": [deployment("gpt-4o", upstream.url)]}, **quiet()).ready()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", gateway.port))
    client.sendall(request({**BODY, "stream": True}))

    def stalled():
        before = upstream.sent
        time.sleep(0.5)
        return before == upstream.sent > 0

    eventually(stalled)
    assert upstream.sent < 768 * 1024, f"{upstream.sent} bytes are held somewhere"
    client.close()
    assert upstream.ended.wait(20), "a client that has left ends the call"


# ---- refusals of requests with a body ----------------------------------
CASES = {
    "an unknown route": ("/nowhere", HEAD, 404),
    "a wrong key": ("/v1/chat/completions", "host: x\r\nauthorization: Bearer sk-wrong\r\n", 401),
    "no key": ("/v1/chat/completions", "host: x\r\n", 401),
    "a wrong method": ("/v1/models", HEAD, 405),
    "a management route and a wrong key": ("/key/generate", "host: x\r\nauthorization: Bearer sk-wrong\r\n", 401),
    "a body that is too long": ("/team/new", HEAD, 413),
    "two hosts": ("/v1/chat/completions", HEAD + "host: y\r\n", 400),
}


@pytest.fixture
def refusing(start, provider):
    return start({"model_list": [deployment("gpt-4o", provider.url)]})


@pytest.mark.parametrize("case", CASES)
def test_a_refused_upload_is_read_and_the_connection_stays(refusing, case):
    path, head, status = CASES[case]
    client = connect(refusing)
    size = 10 << 20
    client.sendall(f"POST {path} HTTP/1.1\r\n{head}content-length: {size}\r\n\r\n".encode())
    for _ in range(size >> 20):
        client.sendall(b"x" * (1 << 20))
    seen, _ = read_reply(client)
    assert f" {status} ".encode() in seen
    if b"connection: close" not in seen.lower():
        client.sendall(b"GET /health/liveliness HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 200 " in read_reply(client)[0]


@pytest.mark.parametrize("case", ["an unknown route", "a wrong key", "a wrong method"])
def test_a_refusal_comes_before_the_upload_is_over(refusing, case):
    path, head, status = CASES[case]
    client = connect(refusing)
    client.sendall(f"POST {path} HTTP/1.1\r\n{head}content-length: 1000000\r\n\r\n".encode() + b"x" * 1000)
    assert f" {status} ".encode() in read_reply(client)[0]
    client.sendall(b"x" * 999_000 + b"GET /health/liveliness HTTP/1.1\r\nhost: x\r\n\r\n")
    assert b" 200 " in read_reply(client)[0]


@pytest.mark.parametrize("case", ["an unknown route", "a wrong key"])
def test_a_client_that_waits_for_100_continue_is_refused_without_it(refusing, case):
    path, head, status = CASES[case]
    client = connect(refusing)
    client.sendall(f"POST {path} HTTP/1.1\r\n{head}expect: 100-continue\r\ncontent-length: 1000000\r\n\r\n".encode())
    seen, _ = read_reply(client)
    assert f"HTTP/1.1 {status} ".encode() == seen[:13] and b"connection: close" in seen.lower()
    # One that sends it nevertheless is not reset.
    client.sendall(b"x" * 1_000_000)
    client.settimeout(30)
    assert client.recv(1) == b""


def test_an_unreadable_head_is_refused_and_the_refusal_arrives(refusing):
    client = connect(refusing)
    client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"x" * 900_000)
    assert b" 431 " in read_all(client)


NODE = """
const http = require('http');
const [url, path, method, key] = process.argv.slice(1);
const body = Buffer.alloc(10 << 20, 120);
const headers = {authorization: `Bearer ${key}`, 'content-type': 'application/json'};
const agent = new http.Agent({keepAlive: true, maxSockets: 1});
const byRequest = () => new Promise((resolve, reject) => {
  const request = http.request(url + path, {method, headers, agent}, (response) => {
    response.resume().on('end', () => resolve(response.statusCode)).on('error', reject);
  });
  request.on('error', reject);
  request.end(body);
});
(async () => {
  const statuses = [];
  for (let i = 0; i < 3; i++) {
    statuses.push(await byRequest());
    const response = await fetch(url + path, {method, headers, body});
    await response.text();
    statuses.push(response.status);
  }
  console.log(JSON.stringify(statuses));
  process.exit(0);
})().catch((error) => { console.log(String(error), String(error.cause)); process.exit(1); });
"""


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node")
@pytest.mark.parametrize("path, method, key, status", [
    ("/nowhere", "POST", MASTER, 404),
    ("/v1/chat/completions", "POST", "sk-wrong", 401),
    ("/v1/chat/completions", "PUT", MASTER, 405),
    ("/health/liveliness", "POST", MASTER, 405),
    ("/team/new", "POST", MASTER, 413),
])
def test_a_node_client_that_uploads_sees_the_refusal(refusing, path, method, key, status):
    ended = subprocess.run(["node", "-e", NODE, "--", refusing.url, path, method, key], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads(ended.stdout) == [status] * 6
