"""What operators rely on: keys, limits, cancelling, draining, health, metrics."""

import concurrent.futures
import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import time

import openai
import pytest
from conftest import PROGRAM

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
LONG = {"model": "demo", "prompt": "The capital of France is", "max_tokens": 3000, "ignore_eos": True,
        "temperature": 0}
# Random text, which speculation does not guess: greedily the model repeats itself, 30,000 tokens a second.
ENDLESS = {"temperature": 2, "extra_body": {"ignore_eos": True}}


def raw(server, data, timeout=10):
    """What comes back for bytes that no client library would send."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        connection.sendall(data)
        received = b""
        while True:
            piece = connection.recv(65536)
            if not piece:
                return received
            received += piece


def post(server, path, body, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, data, {"Content-Type": "application/json", **(headers or {})})
    response = connection.getresponse()
    return response, response.read()


def test_keys(start, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# team a\nkey-a\n\nkey-b\n")
    server = start("--api-key", "key-1", "--api-key-file", str(keys))
    for key in ("key-1", "key-a", "key-b"):
        assert server.client(api_key=key).chat.completions.create(
            model="demo", messages=CAPITAL, max_tokens=2).choices
    for key in ("key", "key-12", "wrong"):
        with pytest.raises(openai.AuthenticationError) as caught:
            server.client(api_key=key).chat.completions.create(model="demo", messages=CAPITAL)
        assert caught.value.code == "invalid_api_key"
    server.get("/health")
    server.get("/v1/models")


def test_errors_have_all_four_keys(server):
    cases = [("POST", "/v1/chat/completions", b"{", 400), ("POST", "/v1/chat/completions", b"", 400),
             ("POST", "/v1/chat/completions", b"[" * 100000, 400),
             ("POST", "/v1/chat/completions", b'{"messages": "\xff"}', 400),
             ("GET", "/v1/nothing", None, 404), ("GET", "/v1/chat/completions", None, 405),
             ("DELETE", "/v1/models", None, 405)]
    for method, path, body, status in cases:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request(method, path, body, {"x-request-id": "mine"})
        response = connection.getresponse()
        error = json.loads(response.read())["error"]
        assert (response.status, set(error)) == (status, {"message", "type", "param", "code"}), path
        assert response.getheader("x-request-id") == "mine"
        assert "application/json" in response.getheader("content-type")


def test_broken_http_is_4xx(server):
    assert raw(server, b"NONSENSE\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(server, b"GET / HTTP/1.1\r\nA: " + b"a" * 100000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431")
    assert raw(server, b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n"
               ).startswith(b"HTTP/1.1 413")
    server.get("/health/ready")


def test_client_that_goes_frees_its_slot(start):
    server = start("--max-num-seqs", "1")
    body = json.dumps({**LONG, "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
                           + body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + 1
    while json.loads(server.get("/health"))["engine"]["running_sequences"] > 0:
        assert time.monotonic() < deadline, "the slot is still taken after a second"
        time.sleep(0.01)
    assert server.metric("gossamer_client_disconnects_total") == 1


def test_full_queue_is_429_with_retry_after(start):
    server = start("--max-num-seqs", "1", "--max-waiting-requests", "1")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(server, "/v1/completions", {**LONG, "max_tokens": 600}), range(8)))
    statuses = sorted(response.status for response, _ in answers)
    assert set(statuses) == {200, 429}, statuses
    for response, body in answers:
        if response.status == 429:
            assert int(response.getheader("Retry-After")) >= 1
            assert json.loads(body)["error"]["code"] == "rate_limit_exceeded"
    # The SDK tries again by itself.
    assert server.client(max_retries=5).completions.create(model="demo", prompt="a", max_tokens=1).choices


def test_requests_together_equal_requests_alone(server):
    questions = [f"What is the capital of {country}?" for country in
                 ("France", "Spain", "Italy", "Norway", "Chile", "Japan", "Kenya", "Peru")] * 6

    def ask(question):
        return server.client().chat.completions.create(
            model="demo", messages=[{"role": "user", "content": question}], temperature=0).choices[0].message.content

    alone = {question: ask(question) for question in set(questions)}
    with concurrent.futures.ThreadPoolExecutor(48) as pool:
        for question, answer in zip(questions, pool.map(ask, questions)):
            assert answer == alone[question]


def test_term_lets_streams_end_and_refuses_new_calls(start):
    server = start()
    client = server.client()
    streams = [client.completions.create(model="demo", prompt=LONG["prompt"], max_tokens=1500, temperature=0,
                                         stream=True, extra_body={"ignore_eos": True}) for _ in range(4)]
    first = [next(stream) for stream in streams]
    assert all(chunk.choices for chunk in first)
    server.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 2
    while "shutting down" not in server.log() and time.monotonic() < deadline:
        time.sleep(0.01)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/health/ready")
    response = connection.getresponse()
    assert response.status == 503 and json.loads(response.read())["status"] == "draining"
    response, body = post(server, "/v1/completions", LONG)
    assert response.status == 503 and json.loads(body)["error"]["code"] == "shutting_down"
    for stream in streams:
        last = None
        for chunk in stream:
            last = chunk
        assert last.choices[0].finish_reason == "length"
    assert server.process.wait(30) == 0


def test_term_under_load_loses_no_accepted_request(start):
    server = start("--max-num-seqs", "8")
    accepted, whole, refused = [], [], []

    def keep_asking(number):
        while True:
            body = json.dumps({**LONG, "max_tokens": 60 + number, "stream": number % 2 == 0})
            try:
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
                connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
            except OSError:
                return  # nothing was accepted
            if response.status != 200:
                refused.append(response.status)
                return
            accepted.append(number)
            if b'"finish_reason":"length"' in response.read():
                whole.append(number)

    with concurrent.futures.ThreadPoolExecutor(48) as pool:
        clients = [pool.submit(keep_asking, number) for number in range(48)]
        time.sleep(1.0)
        server.process.send_signal(signal.SIGTERM)
        for client in clients:
            client.result(60)
    assert server.process.wait(30) == 0
    assert len(accepted) > 48 and len(whole) == len(accepted)
    assert refused and set(refused) == {503}


def test_killed_server_leaves_nothing_to_clean_up(start):
    server = start("--port", "0")
    stream = server.client().completions.create(
        model="demo", prompt="a", max_tokens=4000, stream=True, **ENDLESS)
    next(stream)
    port = server.port
    server.kill()
    with pytest.raises(Exception):
        for _ in stream:
            pass
    again = start("--port", str(port))
    assert again.port == port
    assert again.client().completions.create(model="demo", prompt="a", max_tokens=1).choices


def test_tls(start, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    server = start("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key), wait=False)
    assert server.url.startswith("https://")
    trusted = ssl.create_default_context(cafile=str(certificate))

    def ask(context):
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=context)
        connection.request("POST", "/v1/chat/completions",
                           json.dumps({"model": "demo", "messages": CAPITAL, "temperature": 0}))
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    status, answer = ask(trusted)
    while status == 503:  # still loading
        time.sleep(0.05)
        status, answer = ask(trusted)
    assert answer["choices"][0]["message"]["content"] == "The capital of France is Paris."
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(ssl.create_default_context())
    assert not raw(server, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_other_origins_only_where_allowed(start):
    server = start("--allowed-origins", "https://a.example")

    def preflight(origin):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("OPTIONS", "/v1/chat/completions", headers={
            "Origin": origin, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type"})
        return connection.getresponse()

    allowed = preflight("https://a.example")
    assert allowed.getheader("Access-Control-Allow-Origin") == "https://a.example"
    assert "authorization" in allowed.getheader("Access-Control-Allow-Headers").lower()
    assert preflight("https://b.example").getheader("Access-Control-Allow-Origin") is None


def test_second_signal_ends_at_once(start):
    server = start()
    stream = server.client().completions.create(
        model="demo", prompt="a", max_tokens=4000, stream=True, **ENDLESS)
    next(stream)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(openai.APIError):
        for _ in stream:
            pass
    server.process.wait(10)
    assert time.monotonic() - began < 4


def test_deadline_of_a_request(server):
    response, body = post(server, "/v1/completions", {**LONG, "max_tokens": 4000}, {"X-Request-Timeout": "0.02"})
    assert response.status == 408
    assert json.loads(body)["error"]["code"] == "deadline_exceeded"
    response, _ = post(server, "/v1/completions", LONG, {"X-Request-Timeout": "soon"})
    assert response.status == 400


def test_metrics_are_what_prometheus_reads(server):
    server.client().completions.create(model="demo", prompt="a", max_tokens=4)
    text = server.get("/metrics")
    families = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in families, "declared twice"
            families[name] = kind
        elif not line.startswith("#"):
            match = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*",?)*\})? '
                                 r'(-?[0-9.eE+-]+|\+Inf|NaN)', line)
            assert match, line
            base = re.sub(r"_(bucket|sum|count)$", "", match.group(1))
            assert match.group(1) in families or families.get(base) == "histogram", line
    for name in ("gossamer_time_to_first_token_seconds", "gossamer_time_per_output_token_seconds",
                 "gossamer_queue_seconds", "gossamer_request_seconds"):
        assert families[name] == "histogram"
    assert server.metric("gossamer_generated_tokens_total") > 0


def test_log_has_no_prompts(server):
    server.client().chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "secret-word-in-a-prompt"}], max_tokens=5)
    time.sleep(0.1)
    assert "secret-word-in-a-prompt" not in server.log()
    assert "prompt_tokens=" in server.log()


def test_loads_and_unloads_without_restart(start):
    server = start("--admin-key", "boss")
    admin = {"Authorization": "Bearer boss"}
    assert post(server, "/admin/unload", {})[0].status == 401
    assert post(server, "/admin/load", {"model": "/nowhere"}, admin)[0].status == 400
    assert server.client().completions.create(model="demo", prompt="a", max_tokens=1).choices
    assert post(server, "/admin/unload", {}, admin)[0].status == 202
    deadline = time.monotonic() + 10
    while json.loads(server.get("/health"))["status"] != "no model" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert post(server, "/v1/completions", LONG)[0].status == 503
    assert post(server, "/admin/load", {"model": "demo", "weights": "w8"}, admin)[0].status == 202
    server.wait_until_ready()
    answer = server.client().chat.completions.create(model="demo", messages=CAPITAL, temperature=0)
    assert answer.choices[0].message.content == "The capital of France is Paris."


def test_refuses_what_does_not_fit_in_one_line():
    result = subprocess.run([PROGRAM, "serve", "synth:gpt-oss-120b", "--port", "0"], capture_output=True,
                            text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
