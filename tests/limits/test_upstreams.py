"""Upstreams that close connections behind their answers, and upstreams that send without end."""

import concurrent.futures
import json
import socket
import struct
import threading
import time

import httpx
import pytest

from conftest import MASTER, deployment

ANSWER = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o",
                     "choices": [{"index": 0, "finish_reason": "stop",
                                  "message": {"role": "assistant", "content": "Hello"}}],
                     "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode()
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}


class Raw:
    """An upstream whose every connection is `serve(connection, read)`; `read()` reads one request, or gives None."""

    def __init__(self, serve):
        self.serve, self.requests, self.lock = serve, 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.run, args=(connection,), daemon=True).start()

    def run(self, connection):
        buffer = b""

        def read():
            nonlocal buffer
            while b"\r\n\r\n" not in buffer:
                more = connection.recv(65536)
                if not more:
                    return None
                buffer += more
            head, _, rest = buffer.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            while len(rest) < length:
                rest += connection.recv(65536)
            buffer = rest[length:]
            with self.lock:
                self.requests += 1
            return rest[:length]

        with connection:
            try:
                self.serve(connection, read)
            except OSError:
                pass


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answer_and(end):
    def serve(connection, read):
        read()
        connection.sendall(REPLY)
        end(connection)
    return serve


def client(gateway):
    headers = {"authorization": f"Bearer {MASTER}"}
    return httpx.Client(base_url=gateway.url, headers=headers, timeout=60)


def chat(client, model="gpt-4o"):
    return client.post("/v1/chat/completions", json={**BODY, "model": model})


ENDINGS = {
    "at once": lambda connection: None,
    "a little later": lambda connection: time.sleep(0.005),
    "after a while": lambda connection: time.sleep(0.05),
    "by a reset": reset,
    "by halves": lambda connection: (connection.shutdown(socket.SHUT_WR), time.sleep(0.05)),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_call_fails_where_an_upstream_closes_behind_each_answer(start, ending):
    with Raw(answer_and(ENDINGS[ending])) as upstream:
        models = [deployment("gpt-4o", upstream.url)]
        gateway = start({"model_list": models, "router_settings": {"num_retries": 0}})
        calls = client(gateway)
        statuses = [chat(calls).status_code for _ in range(100)]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses += pool.map(lambda _: chat(calls).status_code, range(200))
        assert statuses.count(200) == 300, {status: statuses.count(status) for status in set(statuses)}
        assert upstream.requests == 300


@pytest.mark.parametrize("end", [lambda connection: None, reset], ids=["close", "reset"])
def test_a_request_that_was_read_is_sent_once(start, end):
    def serve(connection, read):
        read()
        connection.sendall(REPLY.replace(b"\r\n\r\n", b"\r\nconnection: keep-alive\r\n\r\n", 1))
        if read() is not None:
            end(connection)

    with Raw(serve) as upstream:
        models = [deployment("gpt-4o", upstream.url)]
        gateway = start({"model_list": models, "router_settings": {"num_retries": 0}})
        # One connection of the client stays on one core, so that the second call finds the first one's upstream.
        calls = client(gateway)
        assert [chat(calls).status_code for _ in range(2)] == [200, 500]
        assert upstream.requests == 2


CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
FLOODS = {
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 400),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"x-more: yes\r\n" * 400),
    "chunk extensions": (CHUNKED + b"5;a=", b"b" * 8192),
    "blanks in a chunk's size": (CHUNKED + b"5", b" " * 8192),
    "trailers": (CHUNKED + b"0\r\n", b"x-more: yes\r\n" * 400),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_an_upstream_that_sends_without_end_is_left(provider, start, flood):
    first, again = FLOODS[flood]
    sent, left = [0], threading.Event()

    def serve(connection, read):
        read()
        try:
            connection.sendall(first)
            while True:
                connection.sendall(again)
                sent[0] += len(again)
        finally:
            left.set()

    with Raw(serve) as upstream:
        models = [deployment("flood", upstream.url), deployment("gpt-4o", provider.url)]
        gateway = start({"model_list": models, "router_settings": {"num_retries": 0}})
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            flooded = [pool.submit(lambda: chat(client(gateway), "flood")) for _ in range(4)]
            calls = client(gateway)
            assert all(chat(calls).status_code == 200 for _ in range(50))
            answers = [answer.result() for answer in flooded]
        assert [answer.status_code for answer in answers] == [500] * 4, answers[0].text
        assert left.wait(30)
        # What the gateway reads, and what the system buffers on both sides.
        assert sent[0] < 4 * (16 << 20)
