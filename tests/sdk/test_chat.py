"""/v1/chat/completions through the openai SDK."""

import json
import math

import openai
import pytest

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def ask(client, messages=CAPITAL, **options):
    return client.chat.completions.create(model="demo", messages=messages, temperature=0, **options)


def collect(stream):
    """The chunks of a stream, put together as a client does."""
    text, reasoning, calls, finish, usage = "", "", [], None, None
    heads = set()
    for chunk in stream:
        heads.add((chunk.id, chunk.created, chunk.model))
        usage = chunk.usage or usage
        for choice in chunk.choices:
            delta = choice.delta
            text += delta.content or ""
            reasoning += getattr(delta, "reasoning_content", None) or ""
            for call in delta.tool_calls or []:
                if call.index == len(calls):
                    assert call.id and call.function.name and call.type == "function"
                    calls.append({"id": call.id, "name": call.function.name, "arguments": ""})
                else:
                    assert not call.id and not call.function.name, "said twice"
                calls[call.index]["arguments"] += call.function.arguments or ""
            if choice.finish_reason:
                assert finish is None
                finish = choice.finish_reason
    assert len(heads) == 1
    return text, reasoning, calls, finish, usage


def test_answers(client):
    response = ask(client)
    message = response.choices[0].message
    assert message.content == "The capital of France is Paris."
    assert message.reasoning == message.reasoning_content != ""
    assert response.choices[0].finish_reason == "stop"
    usage = response.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens
    assert response.id.startswith("chatcmpl-") and response.object == "chat.completion"


def test_stream_equals_whole_answer(client):
    whole = ask(client)
    text, reasoning, calls, finish, usage = collect(
        ask(client, stream=True, stream_options={"include_usage": True}))
    assert text == whole.choices[0].message.content
    assert reasoning == whole.choices[0].message.reasoning
    assert calls == [] and finish == "stop"
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_content_parts_equal_their_text(client):
    parts = [{"role": "user", "content": [{"type": "text", "text": "What is the capital "},
                                          {"type": "text", "text": "of France?"}]}]
    assert ask(client, parts).usage.prompt_tokens == ask(client).usage.prompt_tokens


def test_max_tokens_gives_length(client):
    response = ask(client, max_completion_tokens=3)
    assert response.choices[0].finish_reason == "length"
    assert response.usage.completion_tokens == 3


def test_stop_string_is_not_returned(client):
    response = ask(client, stop=["Paris"])
    assert response.choices[0].message.content == "The capital of France is "
    text, _, _, finish, _ = collect(ask(client, stop=["Paris"], stream=True))
    assert text == "The capital of France is " and finish == "stop"


def test_same_seed_same_answer(client):
    def sample(seed):
        return client.chat.completions.create(
            model="demo", messages=CAPITAL, temperature=2, seed=seed, max_tokens=40).choices[0].message

    assert sample(1) == sample(1)
    assert len({str(sample(seed)) for seed in range(6)}) > 1


def test_n_choices_have_their_indices(client):
    response = client.chat.completions.create(
        model="demo", messages=CAPITAL, n=3, temperature=1.0, seed=3)
    assert [choice.index for choice in response.choices] == [0, 1, 2]
    texts = {}
    for chunk in client.chat.completions.create(
            model="demo", messages=CAPITAL, n=3, temperature=1.0, seed=3, stream=True):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    assert [texts[i] for i in range(3)] == [choice.message.content or "" for choice in response.choices]


def test_logprobs_add_up(client):
    response = ask(client, logprobs=True, top_logprobs=3)
    tokens = response.choices[0].logprobs.content
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == response.choices[0].message.content
    for token in tokens:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3
        assert token.top_logprobs[0].token == token.token  # greedy
        assert sum(math.exp(other.logprob) for other in token.top_logprobs) <= 1.0001
    streamed = [token for chunk in ask(client, logprobs=True, top_logprobs=3, stream=True)
                for choice in chunk.choices if choice.logprobs for token in choice.logprobs.content]
    assert streamed == tokens


def test_reasoning_makes_the_round_trip(client):
    first = ask(client).choices[0].message
    conversation = CAPITAL + [
        {"role": "assistant", "content": first.content, "reasoning_content": first.reasoning},
        {"role": "user", "content": "And Spain?"}]
    assert "Madrid" in ask(client, conversation).choices[0].message.content


def test_calls_a_tool_and_uses_its_result(client):
    """An agent's loop, as the documentation shows it."""
    messages = [{"role": "user", "content": "What is the weather like in Paris?"}]
    response = ask(client, messages, tools=[WEATHER], tool_choice="required")
    choice = response.choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    call = choice.message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    messages += [choice.message.model_dump(exclude_none=True),
                 {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 21}'}]
    last = ask(client, messages, tools=[WEATHER], tool_choice="none", max_tokens=200)
    assert last.choices[0].message.tool_calls is None
    assert last.choices[0].finish_reason in ("stop", "length")


def test_streamed_call_equals_whole_call(client):
    messages = [{"role": "user", "content": "What is the weather like in Rome?"}]
    options = {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}}
    whole = ask(client, messages, **options).choices[0].message.tool_calls[0]
    text, _, calls, finish, _ = collect(ask(client, messages, stream=True, **options))
    assert finish == "tool_calls" and text == ""
    assert [(call["name"], call["arguments"]) for call in calls] == [
        (whole.function.name, whole.function.arguments)]


def test_tool_choice_none_calls_nothing(client):
    messages = [{"role": "user", "content": "What is the weather like in Rome?"}]
    response = ask(client, messages, tools=[WEATHER], tool_choice="none", max_tokens=300)
    assert response.choices[0].message.tool_calls is None


@pytest.mark.parametrize("body, param", [
    ({"messages": None}, "messages"),
    ({"messages": "string"}, "messages"),
    ({"messages": [123]}, "messages[0]"),
    ({"messages": [{}]}, "messages[0].role"),
    ({"messages": [{"role": 123}]}, "messages[0].role"),
    ({"messages": [{"role": "system", "content": 123}]}, "messages[0].content"),
    ({"messages": CAPITAL + [{}]}, "messages[1].role"),
    ({"messages": CAPITAL, "temperature": "hot"}, "temperature"),
    ({"messages": CAPITAL, "temperature": -1}, "temperature"),
    ({"messages": CAPITAL, "top_p": 2}, "top_p"),
    ({"messages": CAPITAL, "n": 0}, "n"),
    ({"messages": CAPITAL, "max_tokens": 10**9}, "max_tokens"),
    ({"messages": CAPITAL, "response_format": {"type": "sound"}}, "response_format.type"),
    ({"messages": CAPITAL, "response_format": {"type": "json_schema", "json_schema": 123}}, None),
    ({"messages": CAPITAL, "response_format":
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 123}}}}, None),
    ({"messages": CAPITAL, "response_format":
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "hiccup"}}}}, None),
])
def test_refuses_bad_bodies_by_name(client, body, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", body={"model": "demo", **body}, cast_to=object)
    error = caught.value.body
    assert set(error) == {"message", "type", "param", "code"}
    if param:
        assert error["param"] == param, error


def test_too_long_a_prompt_is_refused_with_the_counts(client):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, [{"role": "user", "content": "word " * 9000}])
    assert caught.value.code == "context_length_exceeded"
    assert "4096" in caught.value.message
    assert ask(client).choices[0].message.content == "The capital of France is Paris."


def test_unknown_model_is_404(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nobody", messages=CAPITAL)
    assert caught.value.code == "model_not_found"


def test_timings_on_request(client):
    response = ask(client, extra_body={"include_timings": True})
    assert response.timings["decode_ms"] > 0
