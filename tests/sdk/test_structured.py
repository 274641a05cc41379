"""Structured outputs: what the schema says holds, judged by Python's jsonschema."""

import json

import jsonschema
import openai
import pytest
from pydantic import BaseModel

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]


class Step(BaseModel):
    explanation: str
    confidence: float


class Answer(BaseModel):
    steps: list[Step]
    capital: str


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "kind": {"enum": ["city", "country"]},
        "population": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 3},
    },
    "required": ["name", "kind", "population", "tags"],
    "additionalProperties": False,
}


def test_json_schema_holds_at_any_temperature(client):
    complete = 0
    for seed in range(12):
        choice = client.chat.completions.create(
            model="demo", messages=CAPITAL, temperature=1.5, seed=seed, max_tokens=1500,
            response_format={"type": "json_schema",
                             "json_schema": {"name": "place", "strict": True, "schema": SCHEMA}}).choices[0]
        if choice.finish_reason == "stop":
            jsonschema.validate(json.loads(choice.message.content), SCHEMA)
            complete += 1
    assert complete > 0


def test_json_object(client):
    choice = client.chat.completions.create(
        model="demo", messages=CAPITAL, temperature=0, max_tokens=3000,
        response_format={"type": "json_object"}).choices[0]
    if choice.finish_reason == "stop":
        assert isinstance(json.loads(choice.message.content), dict)
    else:
        assert choice.finish_reason == "length"


def test_parse_gives_a_pydantic_model(client):
    for seed in range(20):
        try:
            completion = client.chat.completions.parse(
                model="demo", messages=CAPITAL, temperature=1.0, seed=seed, max_tokens=3000,
                response_format=Answer)
        except openai.LengthFinishReasonError:
            continue
        assert isinstance(completion.choices[0].message.parsed, Answer)
        return
    pytest.fail("no answer was complete")


def test_strict_arguments_hold(client):
    tool = {"type": "function", "function": {"name": "store", "strict": True, "parameters": SCHEMA}}
    complete = 0
    for seed in range(12):
        choice = client.chat.completions.create(
            model="demo", messages=CAPITAL, temperature=1.5, seed=seed, max_tokens=1500, tools=[tool],
            tool_choice="required").choices[0]
        if choice.finish_reason == "tool_calls":
            jsonschema.validate(json.loads(choice.message.tool_calls[0].function.arguments), SCHEMA)
            complete += 1
    assert complete > 0


def test_what_is_not_supported_is_refused_with_its_path(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="demo", messages=CAPITAL,
            response_format={"type": "json_schema", "json_schema": {
                "name": "x", "schema": {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}}})
    assert "not" in caught.value.message and "a" in caught.value.message
