"""/v1/responses through the openai SDK, streams by its own accumulating helper among them."""

import json

import openai
import pytest

QUESTION = "What is the capital of France?"
WEATHER = {"type": "function", "name": "get_weather", "description": "Get the current weather for a city.",
           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
           "strict": False}


def respond(client, **options):
    options.setdefault("input", QUESTION)
    return client.responses.create(model="demo", temperature=0, **options)


def test_answers(client):
    response = respond(client)
    assert response.output_text == "The capital of France is Paris."
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.status == "completed"
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.usage.output_tokens_details.reasoning_tokens > 0


def test_stream_in_the_right_order(client):
    whole = respond(client)
    with client.responses.stream(model="demo", input=QUESTION, temperature=0) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    types = [event.type for event in events]
    assert types[0] == "response.created" and types[1] == "response.in_progress"
    assert types[-1] == "response.completed"
    assert final.output_text == whole.output_text
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text


def test_previous_response_goes_on(client):
    first = respond(client)
    second = respond(client, input="And Spain?", previous_response_id=first.id)
    assert "Madrid" in second.output_text
    assert client.responses.retrieve(first.id).output_text == first.output_text
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_unstored_and_unknown_are_named(client):
    unstored = respond(client, store=False)
    for name in (unstored.id, "resp_nothing"):
        with pytest.raises((openai.NotFoundError, openai.BadRequestError)) as caught:
            respond(client, previous_response_id=name)
        assert "previous_response_id" in caught.value.message


def test_calls_a_function(client):
    first = respond(client, input="What is the weather like in Paris?", tools=[WEATHER],
                    tool_choice="required")
    call = first.output[-1]
    assert call.type == "function_call" and call.name == "get_weather"
    assert json.loads(call.arguments) == {"city": "Paris"}
    second = respond(client, previous_response_id=first.id, tools=[WEATHER], tool_choice="none",
                     max_output_tokens=200,
                     input=[{"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}])
    assert second.status in ("completed", "incomplete")


def test_streamed_arguments_add_up(client):
    with client.responses.stream(model="demo", input="What is the weather like in Paris?", temperature=0,
                                 tools=[WEATHER], tool_choice="required") as stream:
        events = list(stream)
    deltas = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
    done = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert len(done) == 1 and done[0].arguments == deltas and json.loads(deltas) == {"city": "Paris"}


def test_too_few_tokens_is_incomplete(client):
    response = respond(client, max_output_tokens=3)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
