"""What the chat page does, in headless Chromium. Run by run.sh:
    page_test.py --page FILE   against the server in mock_server.py, which misbehaves on request
    page_test.py --url URL     against a running `gossamer serve`: what must hold with any model that chats
Names of tests are claims; each has an empty profile of its own."""

import argparse
import json
import sys
import time
import unittest

import devtools
import mock_server

DONE = ("(messages.querySelector('.message.assistant:last-child')?.getAttribute('aria-busy') === 'false' && "
        "!document.getElementById('send').hidden)")
ANSWER = ".message.assistant:last-child .markdown"
NOTICE = "(document.querySelector('#messages .notice')?.innerText ?? '')"


class PageTest(unittest.TestCase):
    browser: devtools.Browser
    url: str

    def setUp(self):
        self.page = self.browser.open(self.url)
        self.page.wait("!['no model', undefined].includes(document.getElementById('model').dataset.names)")

    def tearDown(self):
        self.assertEqual([p for p in self.page.problems if "Failed to load resource" not in p], [])
        outside = [r for r in self.page.requests if not r.startswith((self.url, "data:", "blob:"))]
        self.assertEqual(outside, [], "the page asked somebody else")
        self.page.close()

    def send(self, text, wait=DONE):
        self.page.fill("#text", text)
        self.page.key("Enter")
        self.page.wait("messages.querySelector('.message.assistant')")
        if wait:
            self.page.wait(wait)


class AnyServer(PageTest):
    """What holds against the mock and against the real program alike."""

    question = "What is the capital of France?"

    def test_sends_and_shows_the_answer_with_its_figures(self):
        self.send(self.question)
        self.assertEqual(self.page.text(".message.user .bubble"), self.question)
        self.assertGreater(len(self.page.text(ANSWER)), 5)
        self.assertRegex(self.page.text(".message.assistant .figures"), r"(?s)\d+ tokens?.*first after.*prompt \d+ tokens")
        self.assertIn(self.question, self.page.text("#title"))

    def test_keeps_the_conversation_over_a_reload(self):
        self.send(self.question)
        before = self.page.text(ANSWER)
        self.page.reload()
        self.page.wait("messages.querySelector('.message.assistant')")
        self.assertEqual(self.page.text(ANSWER), before)
        self.assertEqual(self.page.text(".message.user .bubble"), self.question)
        self.assertIn(self.question, self.page.text(".entry.current"))

    def test_is_readable_on_a_phone_with_the_list_as_a_drawer(self):
        self.page.resize(390, 844)
        self.send(self.question)
        self.assertTrue(self.page.js("document.documentElement.scrollWidth <= 390"), "the page is wider than the screen")
        self.assertTrue(self.page.js("messages.scrollWidth <= messages.clientWidth"))
        hidden = "getComputedStyle(sidebar).visibility === 'hidden'"
        self.page.wait(hidden)
        self.page.click("#open-sidebar")
        self.page.wait("sidebar.getBoundingClientRect().left === 0")
        self.assertTrue(self.page.js("main.inert && sidebar.contains(document.activeElement)"))
        self.page.key("Escape")
        self.page.wait(hidden)
        self.assertFalse(self.page.js("main.inert"))

    def test_follows_the_systems_theme_until_one_is_chosen(self):
        brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)[0]"
        self.page.prefer("dark")
        self.page.wait(f"{brightness} < 60")
        self.page.prefer("light")
        self.page.wait(f"{brightness} > 200")
        self.page.click("#theme")
        self.page.click("#theme")  # system -> light -> dark
        self.page.wait(f"{brightness} < 60")
        self.page.reload()
        self.page.wait(f"{brightness} < 60")
        self.page.click("#theme")
        self.page.wait(f"{brightness} > 200")

    def test_shows_the_servers_refusal_in_place_and_tries_again(self):
        self.page.click("#toggle-panel")
        self.page.fill("[name=top_p]", "7")
        self.page.fill("#text", "refuse " + self.question)
        self.page.key("Enter")
        self.page.wait(NOTICE)
        self.assertIn("top_p", self.page.js(NOTICE))
        self.page.fill("[name=top_p]", "")
        edit = "[...messages.querySelectorAll('.user [aria-label^=Edit]')].at(-1)"
        self.page.js(f"{edit}.click()")
        self.page.fill(".editor textarea", self.question)
        self.page.key("Enter")
        self.page.wait(DONE)
        self.assertEqual(self.page.js(NOTICE), "")
        self.assertGreater(len(self.page.text(ANSWER)), 5)


class Mock(AnyServer):
    """What a server must be asked to do."""

    server: mock_server.Server

    def setUp(self):
        self.server.key = None
        self.server.chat_form = True
        self.server.loading_until = self.server.busy_until = 0.0
        self.server.gone.clear()
        super().setUp()

    def test_streams_while_the_answer_is_made_and_stops_on_escape(self):
        self.send("slow", None)
        self.page.wait("messages.innerText.includes('word5')")
        self.assertTrue(self.page.js("document.getElementById('send').hidden"))
        self.page.key("Escape")
        self.page.wait(DONE)
        kept = self.page.text(ANSWER)
        self.assertIn("word5", kept)
        self.assertIn("stopped", self.page.text(".message.assistant .figures"))
        self.assertTrue(self.server.gone.wait(5), "the server was not told")
        self.page.reload()
        self.page.wait("messages.innerText.includes('word5')")
        self.assertEqual(self.page.text(ANSWER), kept)

    def test_keeps_what_came_when_the_page_is_reloaded_in_mid_stream(self):
        self.send("slow", None)
        self.page.wait("messages.innerText.includes('word90')")
        self.page.reload()
        self.page.wait("messages.innerText.includes('word5')")
        self.assertIn("stopped", self.page.text(".message.assistant .figures"))

    def test_goes_on_in_the_background_when_another_conversation_is_opened(self):
        self.send("three ways", None)
        self.page.click("#new-conversation")
        self.assertNotIn("Three ways", self.page.text("#messages"))
        self.page.wait("document.querySelector('.entry.running') === null")
        self.page.click(".entry .open")
        self.page.wait("messages.innerText.includes('the article')")

    def test_reads_events_that_are_cut_at_any_byte(self):
        self.send("bytes")
        self.assertEqual(self.page.text(ANSWER), mock_server.UNICODE)
        self.page.click(".reasoning summary")
        self.page.wait("messages.innerText.includes('ä→\U0001f9ea')")

    def test_folds_reasoning_and_tells_how_long_it_took(self):
        self.send("three ways")
        self.assertRegex(self.page.text(".reasoning summary"), r"^Thought for \d\.\d s$")
        self.assertFalse(self.page.js("document.querySelector('.reasoning').open"))
        self.page.click(".reasoning summary")
        self.page.wait("messages.innerText.includes('The user asks for three ways')")

    def test_renders_markdown_and_highlighted_code_that_can_be_copied(self):
        self.send("three ways")
        self.assertEqual(self.page.js("messages.querySelectorAll('.markdown table tr').length"), 3)
        self.assertEqual(self.page.js("messages.querySelectorAll('.markdown ol > li').length"), 2)
        self.assertEqual(self.page.js("messages.querySelectorAll('.markdown .box.done').length"), 1)
        self.assertEqual(self.page.js("messages.querySelector('.code-box .hljs-keyword').textContent"), "def")
        self.assertEqual(self.page.js("messages.querySelector('.markdown a').rel"), "noopener noreferrer")
        code = mock_server.MARKDOWN.split("```python\n")[1].split("\n```")[0]
        self.assertEqual(self.page.js("messages.querySelector('.code-box pre').textContent"), code)
        self.page.js("window.copied = null; Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => { copied = text; }}})")
        self.page.click(".code-head button")
        self.page.wait("copied !== null")
        self.assertEqual(self.page.js("copied"), code)

    def test_hostile_output_stays_text(self):
        self.send("hostile")
        self.page.wait("messages.innerText.includes('The end of it.')")
        time.sleep(0.2)
        self.assertIsNone(self.page.js("window.owned ?? null"))
        made = "script, img, iframe, style, svg:not(summary svg, button svg), [onerror], [onload], [onmouseover], a[href^=javascript]"
        self.assertEqual(self.page.js(f"messages.querySelectorAll({json.dumps(made)}).length"), 0)
        self.assertEqual(self.page.js("document.querySelectorAll('#messages').length"), 1)
        self.assertEqual(self.page.js("[...messages.querySelectorAll('a')].map((link) => link.href)"), ["https://tracker.invalid/p.png"])
        self.assertEqual(self.page.js("messages.querySelector('.markdown sub').textContent"), "low")
        self.assertIn('<img src=x onerror="window.owned = 2">', self.page.text(ANSWER))
        # And were there a hole: neither HTML nor scripts out of text are let through.
        self.assertTrue(self.page.js("(() => { try { messages.innerHTML = '<b>x</b>'; return false; } catch { return true; } })()"))
        self.page.problems.clear()  # that one was ours

    def test_shows_tool_calls_and_goes_on_with_typed_results(self):
        tool = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
        self.page.click("#toggle-panel")
        self.page.fill("[name=tools]", "[{]")
        self.assertEqual(self.page.js("settings.elements.tools.getAttribute('aria-invalid')"), "true")
        self.page.fill("[name=tools]", json.dumps([tool]))
        self.send("weather in Paris and Oslo")
        self.assertEqual(self.server.bodies[-1]["tools"], [{"type": "function", "function": tool}])
        self.assertEqual(self.page.js("messages.querySelectorAll('.call').length"), 2)
        self.assertIn('"city": "Paris"', self.page.text(".call pre"))
        self.page.fill("#text", "never mind")
        self.page.key("Enter")
        self.assertIn("waits for the result of get_weather", self.page.text("#hint"))
        self.page.fill("#text", "")
        self.page.fill(".call textarea", "18 degrees")
        self.page.click(".calls-row button")
        self.page.wait("messages.innerText.includes('The tools said: 18 degrees, .')")
        sent = self.server.bodies[-1]["messages"]
        self.assertEqual([m["role"] for m in sent], ["user", "assistant", "tool", "tool"])
        self.assertEqual(sent[1]["tool_calls"][0]["id"], sent[2]["tool_call_id"])
        self.assertIn("The user wants the weather", sent[1]["reasoning"])

    def test_sends_the_settings_that_are_set_and_no_others(self):
        self.send("three ways")
        plain = {"model", "messages", "stream", "stream_options", "include_timings"}
        self.assertEqual(set(self.server.bodies[-1]), plain)
        self.page.click("#toggle-panel")
        for name, value in (("temperature", "0.5"), ("top_p", "0.9"), ("max_tokens", "50"), ("seed", "7"), ("system", "Be brief.")):
            self.page.fill(f"[name={name}]", value)
        self.page.click("[name=reasoning_effort][value=high]")
        self.page.click("[aria-label=Regenerate]:not([hidden])")
        self.page.wait(DONE)
        body = self.server.bodies[-1]
        self.assertEqual({k: body[k] for k in set(body) - plain},
                         {"temperature": 0.5, "top_p": 0.9, "max_tokens": 50, "seed": 7, "reasoning_effort": "high"})
        self.assertEqual(body["messages"], [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "three ways"}])

    def test_editing_a_message_forgets_what_came_after_it(self):
        self.send("three ways")
        self.send("bytes")
        self.page.js("messages.querySelector('.user [aria-label^=Edit]').click()")
        self.page.fill(".editor textarea", "bytes again")
        self.page.key("Enter")
        self.page.wait("messages.querySelectorAll('.message').length === 2")
        self.page.wait(DONE)
        self.assertEqual([m["content"] for m in self.server.bodies[-1]["messages"]], ["bytes again"])

    def test_keeps_what_came_when_the_connection_is_lost(self):
        self.send("lost")
        self.assertIn("What came before the cable was cut", self.page.text(ANSWER))
        self.assertIn("The answer broke off", self.page.js(NOTICE))
        self.send_again()

    def test_shows_an_error_inside_a_stream(self):
        self.send("break")
        self.assertIn("Half of it", self.page.text(ANSWER))
        self.assertIn("the worker ran out of memory", self.page.js(NOTICE))

    def send_again(self):
        asked = len(self.server.bodies)
        self.page.click(".notice .primary")
        self.page.wait(DONE)
        self.assertEqual(len(self.server.bodies), asked + 1)

    def test_counts_down_what_a_busy_server_asked_for(self):
        self.server.busy_until = time.monotonic() + 0.9
        self.send("busy")
        self.assertIn("the queue is full", self.page.js(NOTICE))
        self.assertTrue(self.page.js("document.querySelector('.notice .primary').disabled"))
        self.page.wait("!document.querySelector('.notice .primary').disabled")
        self.page.click(".notice .primary")
        self.page.wait(f"{NOTICE} === '' && {DONE}")

    def test_waits_for_a_model_that_loads_and_says_how_far_it_is(self):
        self.server.loading_until = time.monotonic() + 1.5
        self.send("bytes", None)
        self.page.wait(f"/model is loading[^]*\\d+ %/.test({NOTICE})")
        self.page.wait(DONE)
        self.assertEqual(self.page.text(ANSWER), mock_server.UNICODE)

    def test_asks_for_the_key_and_uses_it(self):
        self.server.key = "secret"
        self.send("bytes")
        self.assertIn("Incorrect API key", self.page.js(NOTICE))
        self.page.fill(".notice input", "secret")
        self.page.key("Enter")
        self.page.wait(f"{NOTICE} === '' && {DONE}")
        self.assertEqual(self.page.text(ANSWER), mock_server.UNICODE)
        self.page.js("localStorage.removeItem('gossamer.key')")
        self.page.reload()
        self.page.wait("document.getElementById('server-state').textContent === 'API key needed'")

    def test_offers_plain_completion_where_a_model_does_not_chat(self):
        self.server.chat_form = False
        self.send("Once upon a time")
        self.assertIn("continues text", self.page.js(NOTICE))
        self.page.click(".notice .primary")
        self.page.wait(f"{NOTICE} === '' && {DONE}")
        self.assertEqual(self.server.bodies[-1]["prompt"], "Once upon a time")
        self.send("\nThen")
        self.assertEqual(self.server.bodies[-1]["prompt"], "Once upon a time and so <b>it</b> went on.\nThen")
        self.assertIn("<b>it</b>", self.page.text(".message.assistant:last-child .plain"))

    def test_renames_searches_deletes_and_brings_back(self):
        self.send("bytes of a kind")
        current = "document.querySelector('.entry.current')"
        self.page.js(f"{current}.querySelector('[aria-label^=Rename]').click()")
        self.page.fill(".entry input", "Zebra crossing")
        self.page.key("Enter")
        self.assertEqual(self.page.text(".entry.current .open"), "Zebra crossing")
        self.page.fill("#search", "zebra")
        self.page.wait("document.querySelectorAll('.entry').length === 1")
        self.page.fill("#search", "naïve →")  # words of the answer
        self.page.wait(f"{current}?.innerText.includes('Zebra')")
        self.page.key("Escape")
        before = self.page.js("document.querySelectorAll('.entry').length")
        self.page.js(f"{current}.querySelector('[aria-label^=Delete]').click()")
        self.page.wait(f"document.querySelectorAll('.entry').length === {before - 1}")
        self.page.click("#toast button")
        self.page.wait(f"{current}?.innerText.includes('Zebra')")
        self.page.reload()
        self.page.wait(f"{current}?.innerText.includes('Zebra')")

    def test_imports_what_it_exports(self):
        self.send("bytes for a file")
        self.page.js("""window.file = null; URL.createObjectURL = (blob) => { file = blob; return 'blob:none'; };
                        HTMLAnchorElement.prototype.click = () => {};""")
        self.page.js("document.getElementById('export-one').click()")
        text = self.page.js("file.text()")
        exported = json.loads(text)
        self.assertEqual(exported["conversations"][0]["messages"][1]["content"], mock_server.UNICODE)
        exported["conversations"][0]["title"] = "<b>From a file</b>"
        self.import_text(json.dumps(exported))
        self.page.wait("document.querySelector('.entry.current').innerText.includes('<b>From a file</b>')")
        self.assertEqual(self.page.text(ANSWER), mock_server.UNICODE)
        self.import_text("{}")
        self.page.wait("toast.innerText.includes('holds no conversations')")

    def import_text(self, text):
        self.page.js("""(() => { const list = new DataTransfer(); list.items.add(new File([%s], 'x.json'));
            const input = document.getElementById('import-file'); input.files = list.files;
            input.dispatchEvent(new Event('change')); })()""" % json.dumps(text))

    def test_begins_a_new_conversation_by_keyboard(self):
        self.send("bytes")
        self.page.key("k", "KeyK", modifiers=2)
        self.page.wait("messages.querySelector('.greeting') && document.activeElement.id === 'text'")

    def test_makes_only_the_growing_part_of_an_answer_anew(self):
        self.send("three ways", None)
        self.page.wait("messages.querySelector('.markdown table tr:nth-child(2)')")
        self.page.js("window.first = messages.querySelector('.markdown > div > p')")
        self.page.wait(DONE)
        self.assertTrue(self.page.js("first.isConnected"))

    def test_shows_a_long_answer_and_says_that_it_was_cut(self):
        self.send("long")
        self.assertEqual(self.page.js("messages.querySelectorAll('.code-box').length"), 40)
        self.assertIn("cut at the limit of tokens", self.page.text(".message.assistant .figures"))


class Real(AnyServer):
    """Against the program: with a model that chats."""

    def test_stops_a_long_answer(self):
        self.page.click("#toggle-panel")
        self.page.fill("[name=temperature]", "1.5")
        self.send("Write a long story.", None)
        self.page.wait(f"document.getElementById('send').hidden || {DONE}")
        self.page.key("Escape")
        self.page.wait(DONE)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--page")
    parser.add_argument("--url")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.url:
        case = Real
        PageTest.url = arguments.url.rstrip("/") + "/"
    else:
        case = Mock
        Mock.server = mock_server.start(arguments.page)
        PageTest.url = Mock.server.url
    PageTest.browser = devtools.Browser()
    try:
        loader = unittest.TestLoader()
        if arguments.names:
            loader.testNamePatterns = [f"*{name}*" for name in arguments.names]
        result = unittest.TextTestRunner(verbosity=2).run(loader.loadTestsFromTestCase(case))
    finally:
        PageTest.browser.close()
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
