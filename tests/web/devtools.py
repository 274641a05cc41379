"""A headless Chromium driven over its DevTools pipe: the standard library is enough, so the test needs nothing but
python3 and chromium. Used by page_test.py."""

import base64
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time


def find_chromium():
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        if name and shutil.which(name):
            return shutil.which(name)
    return None


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="page-test-")
        page_to_browser, to_browser = os.pipe()
        from_browser, browser_to_page = os.pipe()
        arguments = [
            find_chromium(), "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self.profile}",
            "--no-first-run", "--no-default-browser-check", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
            "--force-color-profile=srgb", "--hide-scrollbars", "--mute-audio", "about:blank",
        ]
        if os.geteuid() == 0:
            arguments.insert(1, "--no-sandbox")
        # Chromium reads descriptor 3 and writes 4; a shell puts them there.
        script = f'exec "$@" 3<&{page_to_browser} 4>&{browser_to_page}'
        self.process = subprocess.Popen(["bash", "-c", script, "bash", *arguments],
                                        pass_fds=(page_to_browser, browser_to_page),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(page_to_browser)
        os.close(browser_to_page)
        self.output = to_browser
        self.input = from_browser
        self.lock = threading.Lock()
        self.next_id = 0
        self.answers = {}
        self.pages = {}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        pending = b""
        while True:
            piece = os.read(self.input, 1 << 16)
            if not piece:
                return
            pending += piece
            *messages, pending = pending.split(b"\0")
            for raw in messages:
                message = json.loads(raw)
                if "id" in message:
                    self.answers[message["id"]].put(message)
                elif message.get("sessionId") in self.pages:
                    self.pages[message["sessionId"]].on_event(message["method"], message["params"])

    def call(self, method, session=None, **parameters):
        with self.lock:
            self.next_id += 1
            message = {"id": self.next_id, "method": method, "params": parameters}
            if session:
                message["sessionId"] = session
            answer = self.answers[self.next_id] = queue.Queue()
            data = json.dumps(message).encode() + b"\0"
            while data:
                data = data[os.write(self.output, data):]
        result = answer.get(timeout=60)
        if "error" in result:
            raise RuntimeError(f"{method}: {result['error']['message']}")
        return result["result"]

    def open(self, url, width=1280, height=800):
        context = self.call("Target.createBrowserContext")["browserContextId"]  # an empty profile of its own
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, context)
        self.pages[session] = page
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        page.go(url)
        return page

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(timeout=10)
        except Exception:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    def __init__(self, browser, session, context):
        self.browser = browser
        self.session = session
        self.context = context
        self.requests = []  # addresses
        self.problems = []  # exceptions, and what the console and the policy complain about
        self.loaded = threading.Event()

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def on_event(self, method, parameters):
        if method == "Page.loadEventFired":
            self.loaded.set()
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(a.get("value", a.get("description"))) for a in parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["source"] in ("security", "violation", "javascript"):
            self.problems.append(parameters["entry"]["text"])

    def close(self):
        del self.browser.pages[self.session]
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)

    def go(self, url):
        self.loaded.clear()
        self.call("Page.navigate", url=url)
        if not self.loaded.wait(60):
            raise TimeoutError(f"{url} did not load")

    def reload(self):
        self.loaded.clear()
        self.call("Page.reload")
        if not self.loaded.wait(60):
            raise TimeoutError("the page did not reload")

    def resize(self, width, height, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                  mobile=width < 600)

    def prefer(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def js(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails'].get('exception', {}).get('description')}")
        return result["result"].get("value")

    def wait(self, expression, seconds=30):
        """Until the expression is true."""
        end = time.monotonic() + seconds
        while True:
            if self.js(f"Boolean({expression})"):
                return
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {expression}\nmessages: {self.js('messages.innerText.slice(-300)')}")
            time.sleep(0.02)

    def text(self, selector):
        return self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def click(self, selector):
        self.js(f"document.querySelector({json.dumps(selector)}).click()")

    def fill(self, selector, text):
        """Types as a person does: focus, select what is there, insert."""
        field = f"document.querySelector({json.dumps(selector)})"
        self.js(f"{field}.focus(); {field}.select()")
        if text:
            self.call("Input.insertText", text=text)
        else:
            self.key("Backspace")
        self.wait(f"{field}.value === {json.dumps(text)}")  # the call answers before the page has seen it

    def key(self, key, code=None, modifiers=0, text=None):
        codes = {"Enter": 13, "Escape": 27, "ArrowUp": 38, "Tab": 9, "Backspace": 8, "k": 75}
        common = {"key": key, "code": code or key, "windowsVirtualKeyCode": codes[key], "modifiers": modifiers}
        if key == "Enter" and text is None:
            text = "\r"
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
