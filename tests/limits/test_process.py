"""The process: its log, signals, standard streams."""

import http.client
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest
import yaml

from conftest import MASTER, deployment
from gateway import BINARY

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
KEY = {"authorization": f"Bearer {MASTER}"}


def eventually(holds, seconds=20):
    """Polls until something holds."""
    end = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < end, "it never held"
        time.sleep(0.02)
    return value


class Process:
    """`tagrail` with standard streams of the test's choice."""

    def __init__(self, folder, config, env=None, **streams):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = {**config, "general_settings": {"master_key": MASTER, **config.get("general_settings", {})}}
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        command = [BINARY, "--config", str(file), "--host", "127.0.0.1", "--port", str(self.port)]
        kept = {k: v for k, v in os.environ.items() if not k.upper().endswith(("_API_KEY", "_API_BASE", "_PROXY", "DATABASE_URL"))}
        env = {**kept, "NO_PROXY": "127.0.0.1", "TAGRAIL_DATA_DIR": str(folder), **(env or {})}
        self.process = subprocess.Popen(command, env=env, start_new_session=True, **streams)

    def ready(self):
        def answers():
            assert self.process.poll() is None, "it has ended"
            try:
                return httpx.get(f"{self.url}/health/liveliness", timeout=5).status_code == 200
            except httpx.HTTPError:
                return False

        eventually(answers)
        return self

    def metric(self, name):
        text = httpx.get(f"{self.url}/metrics", headers=KEY, timeout=30).text
        return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        return self.process.returncode


@pytest.fixture
def launch(tmp_path):
    running = []

    def launch(config, **more):
        running.append(Process(tmp_path, config, **more))
        return running[-1]

    yield launch
    for process in running:
        if process.process.poll() is None:
            process.process.kill()
            process.process.wait()


def broken():
    """A provider that cannot be reached, so that calls fail and log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    return {"model_list": [deployment("gpt-4o", url)], "router_settings": {"num_retries": 0, "disable_cooldowns": True}}


def failing_calls(process, count):
    statuses = set()
    with httpx.Client(timeout=30, headers=KEY) as client:
        for _ in range(count):
            statuses.add(client.post(f"{process.url}/v1/chat/completions", json=BODY).status_code)
    assert statuses and all(status >= 400 for status in statuses)


def test_a_log_that_is_not_read_costs_lines_and_no_calls(launch):
    reader, writer = os.pipe()
    process = launch(broken(), stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, env={"TAGRAIL_LOG": "trace"}).ready()
    os.close(writer)
    failing_calls(process, 1000)
    with httpx.Client(timeout=30, headers=KEY) as client:
        for _ in range(300):
            # Each is a line as long as its path.
            assert client.get(f"{process.url}/{'x' * 7000}").status_code == 404
    dropped = eventually(lambda: process.metric("tagrail_log_lines_dropped_total"))
    assert dropped > 0
    assert process.metric("tagrail_panics_total") == 0
    seen = bytearray()
    threading.Thread(target=lambda: [seen.extend(piece) for piece in iter(lambda: os.read(reader, 1 << 16), b"")], daemon=True).start()
    eventually(lambda: re.search(rb"\d+ log lines were dropped", bytes(seen)))
    assert process.stop() == 0
    os.close(reader)


def test_a_log_that_is_not_read_does_not_keep_the_process(launch):
    reader, writer = os.pipe()
    process = launch(broken(), stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, env={"TAGRAIL_LOG": "trace"}).ready()
    os.close(writer)
    failing_calls(process, 500)
    assert process.stop() == 0
    os.close(reader)


def test_a_log_whose_reader_is_gone_costs_lines_and_no_calls(launch):
    reader, writer = os.pipe()
    process = launch(broken(), stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, env={"TAGRAIL_LOG": "debug"}).ready()
    os.close(writer)
    os.close(reader)
    failing_calls(process, 1000)
    assert process.metric("tagrail_panics_total") == 0
    assert eventually(lambda: process.metric("tagrail_log_lines_dropped_total")) > 0
    assert httpx.get(f"{process.url}/health/readiness").status_code == 200
    assert process.stop() == 0


def test_closed_standard_streams_are_not_taken_for_files_and_sockets(launch, tmp_path):
    def close():
        for number in (0, 1, 2):
            os.close(number)

    process = launch(broken(), preexec_fn=close, env={"TAGRAIL_LOG": "debug"}).ready()
    for number in (0, 1, 2):
        assert os.readlink(f"/proc/{process.process.pid}/fd/{number}") == "/dev/null"
    failing_calls(process, 50)
    assert process.stop() == 0
    assert (tmp_path / "tagrail.db").read_bytes().startswith(b"SQLite format 3")


def test_signals_that_mean_nothing_here_do_not_kill(launch, tmp_path):
    with open(tmp_path / "log", "wb") as log:
        process = launch(broken(), stdin=subprocess.DEVNULL, stdout=log, stderr=log).ready()
    for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGPIPE", "SIGXFSZ"):
        process.process.send_signal(getattr(signal, name))
    logged = tmp_path / "log"
    eventually(lambda: all(name in logged.read_text() for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGXFSZ")))
    assert httpx.get(f"{process.url}/health/readiness").status_code == 200
    assert process.stop() == 0


@pytest.mark.parametrize("again", ["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_the_drain(launch, provider, again, tmp_path):
    gate, arrived = threading.Event(), threading.Event()

    def held(_):
        arrived.set()
        gate.wait(60)

    provider.answer = held
    with open(tmp_path / "log", "wb") as log:
        process = launch({"model_list": [deployment("gpt-4o", provider.url)]}, stdin=subprocess.DEVNULL, stdout=log, stderr=log).ready()
    client = http.client.HTTPConnection("127.0.0.1", process.port, timeout=60)
    client.request("POST", "/v1/chat/completions", '{"model": "gpt-4o", "messages": []}', KEY)
    assert arrived.wait(20)
    process.process.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping: " in (tmp_path / "log").read_text())
    assert process.process.poll() is None, "it waits for the call"
    process.process.send_signal(getattr(signal, again))
    # The drain alone would take 25 s.
    assert process.process.wait(15) == 0
    gate.set()


def test_the_limit_on_open_files_is_raised(launch, tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    lower = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))  # noqa: E731
    process = launch(broken(), preexec_fn=lower, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).ready()
    assert resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE)[0] == hard
