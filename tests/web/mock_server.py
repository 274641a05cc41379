"""A server that speaks as `gossamer serve` does and behaves as the last message asks: what a page must bear from a real
one cannot be had on demand. Used by page_test.py; `python3 mock_server.py PAGE PORT` serves a page to look at."""

import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MARKDOWN = """Three ways, from the plain to the quick.

| Method | Time | Memory |
|:--|--:|--:|
| recursion | exponential | O(n) |
| loop | O(n) | O(1) |

1. The **recursive** form follows the definition.
2. The loop keeps `a` and `b` only:

```python
def fibonacci(n: int) -> int:
    \"\"\"The n-th Fibonacci number.\"\"\"
    a, b = 0, 1
    for _ in range(n):  # n additions
        a, b = b, a + b
    return a
```

- [x] checked
- [ ] open

> Closed forms lose precision: see [the article](https://example.org/fibonacci).
"""

HOSTILE = """<script>window.owned = 1</script>
<img src=x onerror="window.owned = 2">
<iframe srcdoc="<script>parent.owned = 3</script>"></iframe>

[click](javascript:window.owned=4) ![pixel](https://tracker.invalid/p.png) [data](data:text/html,<script>owned=10</script>)
[ref] <javascript:owned=11> H<sub onclick=owned=12>2</sub>O <sub>low</sub> `<script>` &lt;script&gt;

[ref]: javascript:owned=13

<svg onload="window.owned = 5"><a href="javascript:window.owned=6">x</a></svg>
<b onmouseover="window.owned=7" id="messages">bold</b> <style>body{display:none}</style>

```html
</code></pre><script>window.owned = 8</script>
```

```"><img/src=x/onerror=window.owned=9>
code
```
The end of it.
"""

UNICODE = "Grüße, 世界: naïve → “quotes” \U0001f9ea end."


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, page, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.page = page
        self.key = None
        self.loading_until = 0.0
        self.busy_until = 0.0
        self.chat_form = True
        self.bodies = []
        self.gone = threading.Event()  # a client left in the middle of a stream
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *arguments):
        pass

    def answer(self, status, body, content_type="application/json", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def fail(self, status, message, code=None, headers=()):
        self.answer(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}},
                    headers=headers)

    def authorized(self):
        if not self.server.key or self.headers.get("Authorization") == f"Bearer {self.server.key}":
            return True
        self.fail(401, "Incorrect API key provided.", "invalid_api_key")
        return False

    def do_GET(self):
        if self.path == "/":
            with open(self.server.page, "rb") as file:
                self.answer(200, file.read(), "text/html; charset=utf-8")
        elif self.path == "/v1/models":
            if self.authorized():
                names = ["gpt-oss-demo", "gpt2-demo"]
                self.answer(200, {"object": "list", "data": [{"id": name, "object": "model", "created": 1, "owned_by": "x"}
                                                             for name in names]})
        elif self.path == "/health/ready":
            left = self.server.loading_until - time.monotonic()
            if left > 0:
                self.answer(503, {"status": "loading", "percent": max(0.0, 100 - 40 * left), "seconds_left": left})
            else:
                self.answer(200, {"status": "ready"})
        else:
            self.fail(404, f"there is no {self.path}")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        if not self.authorized():
            return
        if time.monotonic() < self.server.loading_until:
            self.fail(503, "the model is loading", "model_loading", [("Retry-After", "1")])
        elif self.path == "/v1/completions":
            self.complete(body)
        elif not self.server.chat_form:
            self.fail(400, "the model gpt2-demo has no chat form: use /v1/completions, which continues a text",
                      "model_without_chat_form")
        else:
            self.chat(body)

    # --- streams

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send(self, data):
        try:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
        except OSError:
            self.server.gone.set()
            raise

    def event(self, value, pieces=False):
        data = b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
        if not pieces:
            return self.send(data)
        for byte in data:  # every boundary, inside characters too
            self.send(bytes([byte]))

    def delta(self, delta, finish=None, **more):
        self.event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": None,
                    "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}, **more)

    def end(self, finish, tokens):
        self.delta({}, finish)
        self.event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                    "usage": {"prompt_tokens": 95, "completion_tokens": tokens, "total_tokens": 95 + tokens,
                              "prompt_tokens_details": {"cached_tokens": 64},
                              "completion_tokens_details": {"reasoning_tokens": 5}},
                    "timings": {"queue_ms": 0.2, "prefill_ms": 21.0, "decode_ms": 20.0 * (tokens - 1)}})
        self.send(b": a comment\n\ndata: [DONE]\n\n")
        self.send(b"")

    def think(self, text, pause=0.01):
        for word in text.split(" "):
            self.delta({"reasoning": word + " ", "reasoning_content": word + " "})
            time.sleep(pause)

    def say(self, text, pause=0.004):
        for at in range(0, len(text), 7):
            self.delta({"content": text[at:at + 7]})
            time.sleep(pause)

    def chat(self, body):
        last = body["messages"][-1]
        word = last["content"].split()[0] if last["role"] == "user" else "tool"
        if word == "refuse":
            return self.fail(400, "top_p: expected a number above 0 and at most 1, found 7", "invalid_value")
        if word == "busy" and time.monotonic() < self.server.busy_until:
            return self.fail(429, "the queue is full", "rate_limit", [("Retry-After", "1")])
        self.begin()
        self.delta({"role": "assistant", "content": ""})
        if word == "lost":
            self.say("What came before the cable was cut")
            time.sleep(0.7)  # a browser drops what it has not handed out when a connection breaks
            self.connection.shutdown(socket.SHUT_RDWR)
        elif word == "break":
            self.say("Half of it")
            self.event({"error": {"message": "the worker ran out of memory", "type": "server_error", "param": None,
                                  "code": None}})
        elif word == "slow":
            for number in range(2000):
                self.delta({"content": f"word{number} "})
                time.sleep(0.02)
        elif word == "bytes":
            self.delta({"reasoning": "ä→\U0001f9ea"}, pieces=True)
            self.delta({"content": UNICODE}, pieces=True)
            self.end("stop", 8)
        elif word == "long":
            self.delta({"content": MARKDOWN * 40})
            self.end("length", 4000)
        elif word == "hostile":
            self.say(HOSTILE)
            self.end("stop", 60)
        elif word == "weather":
            self.think("The user wants the weather, so the tool is called.")
            for index, city in enumerate(("Paris", "Oslo")):
                self.delta({"tool_calls": [{"index": index, "id": f"call_{index}", "type": "function",
                                            "function": {"name": "get_weather", "arguments": ""}}]})
                for piece in ('{"city": ', f'"{city}", "unit"', ': "celsius"}'):
                    self.delta({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
            self.end("tool_calls", 40)
        elif word == "tool":
            results = [m["content"] for m in body["messages"] if m["role"] == "tool"]
            self.say(f"The tools said: {', '.join(results)}.")
            self.end("stop", 12)
        else:
            self.think("The user asks for three ways; a table, a list and **code** will do.", 0.02)
            self.say(MARKDOWN)
            self.end("stop", 182)

    def complete(self, body):
        self.begin()
        for piece in (" and", " so", " <b>it</b>", " went", " on."):
            self.event({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "usage": None,
                        "choices": [{"index": 0, "text": piece, "logprobs": None, "finish_reason": None}]})
        self.event({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [],
                    "usage": {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}})
        self.send(b"data: [DONE]\n\n")
        self.send(b"")


def start(page, port=0):
    server = Server(page, port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    server = start(sys.argv[1], int(sys.argv[2]))
    print(server.url, flush=True)
    threading.Event().wait()
