"""The release binary as a process, for tests in Python."""

import http.client
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("TAGRAIL_BINARY", str(ROOT / "target" / "release" / "tagrail"))
START_SECONDS = 20


class Gateway:
    """`tagrail ARGUMENTS --port PORT`, ready when entered and stopped when left."""

    def __init__(self, binary, *arguments, env=None):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = [binary, *arguments, "--port", str(self.port)]
        kept = {k: v for k, v in os.environ.items() if not k.upper().endswith(("_API_KEY", "_API_BASE", "_PROXY", "DATABASE_URL"))}
        # A store of its own, so that nothing is left over from another gateway.
        self.data = tempfile.TemporaryDirectory()
        self.env = {**kept, "NO_PROXY": "127.0.0.1", "TAGRAIL_DATA_DIR": self.data.name, **(env or {})}

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, start_new_session=True)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and not self.ended(0.02):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/health/liveliness")
                connection.getresponse().read()
                connection.close()
                return self
            except (OSError, http.client.HTTPException):
                continue
        said = self.output()
        self.stop()
        raise RuntimeError(f"{' '.join(self.command)} did not start:\n{said}")

    def __exit__(self, *_):
        self.stop()

    def ended(self, seconds):
        """Whether it has ended, or does so within this time."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def output(self):
        """What it has printed so far."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self):
        """Asks it to end, and makes it when it does not."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(8)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()
        self.data.cleanup()
