"""A server for the tests: the built program with the demo model on a free port, ended with the tests."""

import os
import re
import signal
import subprocess
import time
import urllib.request

import openai
import pytest

PROGRAM = os.environ["GOSSAMER_PROGRAM"]


class Server:
    """`gossamer serve demo` with further options. Its log is on `log_path`."""

    def __init__(self, log_path, *options, model="demo", wait=True):
        self.log_path = log_path
        with open(log_path, "wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", model, *(() if "--port" in options else ("--port", "0")),
                 "--max-model-len", "4096", *options],
                stderr=log, stdin=subprocess.DEVNULL)
        self.url = self._find_url()
        if wait:
            self.wait_until_ready()

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def _find_url(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = re.search(r"listening on (\S+)", self.log())
            if found:
                return found.group(1)
            assert self.process.poll() is None, self.log()
            time.sleep(0.01)
        raise AssertionError("no address in the log: " + self.log())

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            return response.read().decode()

    def wait_until_ready(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                self.get("/health/ready")
                return
            except OSError:
                assert self.process.poll() is None, self.log()
                time.sleep(0.02)
        raise AssertionError("never ready: " + self.log())

    def metric(self, name):
        """The sum over a metric's labels."""
        values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", self.get("/metrics"), re.MULTILINE)
        return sum(float(value) for value in values)

    def client(self, **options):
        options.setdefault("api_key", "none")
        options.setdefault("max_retries", 0)
        return openai.OpenAI(base_url=self.url + "/v1", **options)

    def stop(self, signal_number=signal.SIGTERM, timeout=30):
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.wait(timeout)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server") / "log")
    yield running
    assert running.process.poll() is None, "the server died:\n" + running.log()
    assert running.stop() == 0, running.log()


@pytest.fixture(scope="session")
def client(server):
    return server.client()


@pytest.fixture
def start(tmp_path):
    """Starts servers of a test's own."""
    started = []

    def start_one(*options, **more):
        started.append(Server(tmp_path / f"log{len(started)}", *options, **more))
        return started[-1]

    yield start_one
    for one in started:
        one.kill()
