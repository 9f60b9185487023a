"""The `openai` package as a client: plain and streamed, sync and async, tags, errors."""

import openai
import pytest

from upstream import Reply

SAY = [{"role": "user", "content": "Hello"}]


def test_plain(client, upstream, told):
    reply = client.chat.completions.create(model="gpt-4", messages=SAY)
    assert told(reply.choices[0].message.content)["key"] == "rest"
    assert reply.model == "gpt-4"
    assert reply.usage.total_tokens == 12
    assert reply.choices[0].finish_reason == "stop"


def test_streamed(client, upstream, told):
    chunks = list(client.chat.completions.create(model="gpt-4", messages=SAY, stream=True))
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert told(text)["model"] == "gpt-4o"
    assert {c.model for c in chunks} == {"gpt-4"}
    assert chunks[-1].choices[0].finish_reason == "stop"
    # The gateway asks for usage, and keeps it to itself unless the client asked too.
    assert upstream.seen[-1].body["stream_options"] == {"include_usage": True}
    assert all(c.usage is None for c in chunks)


def test_streamed_with_usage(client, upstream):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model="gpt-4", messages=SAY, stream=True, stream_options=options))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 12


async def test_async_plain(aclient, upstream, told):
    reply = await aclient.chat.completions.create(model="gpt-4", messages=SAY, extra_body={"tags": ["paid"]})
    assert told(reply.choices[0].message.content)["key"] == "paid"


async def test_async_streamed(aclient, upstream, told):
    stream = await aclient.chat.completions.create(model="gpt-4", messages=SAY, stream=True)
    text = "".join([c.choices[0].delta.content or "" async for c in stream])
    assert told(text)["path"] == "/v1/chat/completions"


@pytest.mark.parametrize("how", [
    {"extra_body": {"tags": ["free"]}},
    {"extra_headers": {"x-litellm-tags": "free,my-custom-tag"}},
    {"extra_body": {"metadata": {"tags": ["free"]}}},
    {"extra_body": {"litellm_metadata": {"tags": ["free"]}}},
])
def test_tags(client, upstream, told, how):
    raw = client.chat.completions.with_raw_response.create(model="gpt-4", messages=SAY, **how)
    assert raw.headers["x-litellm-model-id"] == "free"
    assert raw.headers["x-litellm-model-api-base"] == f"{upstream.url}/v1"
    assert told(raw.parse().choices[0].message.content) == {
        "model": "fake", "key": "free", "path": "/v1/chat/completions"}
    assert not {"tags", "metadata", "litellm_metadata"} & set(upstream.seen[-1].body)


def test_unknown_fields_reach_the_provider(client, upstream):
    client.chat.completions.create(model="gpt-4", messages=SAY, seed=7, extra_body={"vendor_knob": {"deep": [1, 2]}})
    assert upstream.seen[-1].body["vendor_knob"] == {"deep": [1, 2]}
    assert upstream.seen[-1].body["seed"] == 7


def test_embeddings(client, upstream):
    reply = client.embeddings.create(model="gpt-4", input=["a", "b"], extra_body={"tags": ["paid"]},
                                     encoding_format="float")
    assert [item.embedding for item in reply.data] == [[0.25, -0.5], [0.25, -0.5]]
    assert upstream.seen[-1].key == "paid"
    assert reply.model == "gpt-4"


def test_completions(client, upstream, told):
    reply = client.completions.create(model="gpt-4", prompt="Hello", extra_body={"tags": ["paid"]})
    assert told(reply.choices[0].text) == {"model": "gpt-4o", "key": "paid", "path": "/v1/completions"}
    streamed = client.completions.create(model="gpt-4", prompt="Hello", stream=True)
    assert told("".join(c.choices[0].text for c in streamed))["key"] == "rest"


def test_responses_pass_through(client, upstream, told):
    reply = client.responses.create(model="gpt-4", input="Hello", extra_body={"tags": ["free"]})
    assert told(reply.output_text) == {"model": "fake", "key": "free", "path": "/v1/responses"}
    assert reply.model == "gpt-4"


def test_models(client):
    assert {"gpt-4", "claude", "tagged"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("gpt-4").id == "gpt-4"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_wrong_key(gateway, upstream):
    stranger = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as caught:
        stranger.chat.completions.create(model="gpt-4", messages=SAY)
    assert caught.value.code == "401"
    assert upstream.seen == []


def test_unknown_model(client, upstream):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="nobody", messages=SAY)
    assert "model=nobody" in caught.value.message
    assert upstream.seen == []


def test_tags_that_fit_nothing(client, upstream):
    with pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model="tagged", messages=SAY, extra_body={"tags": ["us"]})
    assert "Not allowed to access model due to tags configuration" in caught.value.message
    assert upstream.seen == []


def test_tags_of_the_wrong_type(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-4", messages=SAY, extra_body={"tags": "free"})
    assert "tags" in caught.value.message


@pytest.mark.parametrize("status, error", [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (409, openai.ConflictError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
])
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_the_provider(client, upstream, status, error, stream):
    body = {"error": {"message": "the provider says no", "type": "some_error", "code": "some_code", "param": None}}
    upstream.answer = lambda _: Reply(body, status=status, headers={"retry-after": "7"})
    with pytest.raises(error) as caught:
        client.chat.completions.create(model="gpt-4", messages=SAY, stream=stream)
    assert caught.value.status_code == status
    assert "the provider says no" in caught.value.message
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"


def test_a_client_that_retries_gets_there(gateway, upstream, told):
    patient = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-1234", max_retries=1)
    upstream.answer = lambda _: Reply({"error": {"message": "later"}}, status=503) if len(upstream.seen) == 1 else None
    reply = patient.chat.completions.create(model="gpt-4", messages=SAY)
    assert told(reply.choices[0].message.content)["key"] == "rest"
    assert len(upstream.seen) == 2
