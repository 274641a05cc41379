"""/v1/completions, models, tokens: through the openai SDK."""

import openai
import pytest

PROMPT = "The capital of France is"


def complete(client, prompt=PROMPT, **options):
    options.setdefault("max_tokens", 8)
    return client.completions.create(model="demo", prompt=prompt, temperature=0, **options)


def test_stream_equals_whole_text(client):
    whole = complete(client)
    streamed = "".join(chunk.choices[0].text for chunk in complete(client, stream=True))
    assert streamed == whole.choices[0].text != ""
    assert whole.object == "text_completion" and whole.id.startswith("cmpl-")


def test_token_ids_equal_text(client, server):
    ids = server.client().post("/../tokenize", body={"prompt": PROMPT}, cast_to=object)["tokens"]
    assert complete(client, ids).choices[0].text == complete(client).choices[0].text
    text = server.client().post("/../detokenize", body={"tokens": ids}, cast_to=object)["prompt"]
    assert text == PROMPT


def test_lists_of_prompts_keep_their_order(client):
    prompts = [PROMPT, "The capital of Spain is", "The capital of Italy is"]
    together = complete(client, prompts)
    assert [choice.index for choice in together.choices] == [0, 1, 2]
    assert [choice.text for choice in together.choices] == [
        complete(client, prompt).choices[0].text for prompt in prompts]


def test_echo_gives_what_lm_eval_reads(client):
    response = complete(client, echo=True, logprobs=1, max_tokens=1)
    logprobs = response.choices[0].logprobs
    assert response.choices[0].text.startswith(PROMPT)
    assert logprobs.token_logprobs[0] is None and logprobs.top_logprobs[0] is None
    assert all(value <= 0 for value in logprobs.token_logprobs[1:])
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset)
    streamed_tokens, streamed_text, offsets = [], "", []
    for chunk in complete(client, echo=True, logprobs=1, max_tokens=1, stream=True):
        streamed_text += chunk.choices[0].text
        streamed_tokens += chunk.choices[0].logprobs.tokens
        offsets += chunk.choices[0].logprobs.text_offset
    assert streamed_text == response.choices[0].text
    assert streamed_tokens == logprobs.tokens and offsets == logprobs.text_offset


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert "demo" in names
    model = client.models.retrieve("demo")
    assert model.id == "demo" and model.max_model_len == 4096
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no/body")
