"""Keywords of a call that are Python's and not JSON's, and several calls at once."""

from __future__ import annotations

import asyncio

import pytest

import tagrail


@pytest.fixture
def one(router, deployment):
    return router([deployment("m", id="one")])


@pytest.fixture
def group(router, deployment):
    """Three names, one deployment each."""
    names = ("bad", "next", "other")
    return lambda **settings: router([deployment(name, f"openai/{name}", id=name) for name in names], **settings)


# ---- one by one ------------------------------------------------------------------------------
def test_a_pydantic_model_as_the_format_of_the_answer(one, hello, upstream):
    pydantic = pytest.importorskip("pydantic")

    class Inner(pydantic.BaseModel):
        x: int
        y: str = "z"

    class Outer(pydantic.BaseModel):
        inner: Inner
        described: Inner = pydantic.Field(description="told")
        many: list[Inner]
        perhaps: Inner | None = None

    one.completion("m", hello, response_format=Outer)
    asked_for = upstream.seen[0].body["response_format"]
    assert (asked_for["type"], asked_for["json_schema"]["name"], asked_for["json_schema"]["strict"]) == (
        "json_schema", "Outer", True)  # fmt: skip
    schema = asked_for["json_schema"]["schema"]
    assert schema["required"] == ["inner", "described", "many", "perhaps"]
    assert schema["additionalProperties"] is schema["$defs"]["Inner"]["additionalProperties"] is False
    assert schema["$defs"]["Inner"]["required"] == ["x", "y"]
    described = schema["properties"]["described"]
    assert (described["description"], described["required"], "$ref" in described) == ("told", ["x", "y"], False)
    assert "default" not in schema["properties"]["perhaps"]
    openai_form = pytest.importorskip("openai.lib._pydantic").to_strict_json_schema(Outer)
    assert schema == openai_form


def test_a_model_that_holds_itself():
    pydantic = pytest.importorskip("pydantic")
    from tagrail.response_format import of_model

    class Tree(pydantic.BaseModel):
        branch: Tree | None = None
        named: Tree = pydantic.Field(description="told")

    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    schema = of_model(Tree)["json_schema"]["schema"]
    assert "#/$defs/Tree" in str(schema)


class NotGiven:
    """As openai's is."""


def test_what_is_not_given_is_not_sent(one, hello, upstream):
    one.completion("m", hello, temperature=NotGiven(), top_p=None, response_format=None)
    assert set(upstream.seen[0].body) == {"model", "messages"}


def test_answers_are_messages_of_the_next_call(one, hello, upstream):
    answer = one.completion("m", hello)
    one.completion("m", [*hello, answer.choices[0].message, {"role": "user", "content": "and?"}])
    assert [message["role"] for message in upstream.seen[1].body["messages"]] == ["user", "assistant", "user"]


def test_what_is_no_json_is_a_type_error(one, hello, upstream):
    with pytest.raises(TypeError, match="temperature"):
        one.completion("m", hello, temperature=object())
    with pytest.raises(TypeError, match="response_format"):
        one.completion("m", hello, response_format=int)
    assert upstream.seen == []


@pytest.mark.parametrize("keywords", [{"model": None, "messages": []}, {"model": "m", "messages": None}])
def test_what_is_missing_is_a_bad_request(one, upstream, keywords):
    with pytest.raises(tagrail.BadRequestError):
        one.completion(**keywords)
    assert upstream.seen == []


def test_the_keywords_of_the_caller_are_not_changed(one, hello, upstream):
    mine = {"temperature": 0.5, "metadata": {"tags": []}, "top_p": None}
    kept = {**mine, "metadata": {"tags": []}}
    one.completion("m", hello, **mine)
    one.chat.completions.create(model="m", messages=hello, **mine)
    assert mine == kept and hello == [{"role": "user", "content": "hello"}]


# ---- several at once ---------------------------------------------------------------------
async def test_a_batch_asks_every_model(group, told, hello, upstream):
    batch = group()
    answers = await batch.abatch_completion(models=["next", "nope", "other"], messages=hello, seed=3)
    assert [told(answers[0])["key"], told(answers[2])["key"]] == ["next", "other"]
    assert isinstance(answers[1], tagrail.BadRequestError)
    assert all(seen.body["seed"] == 3 for seen in upstream.seen)
    rows = await batch.abatch_completion(models=["next", "other"], messages=[hello, hello, hello])
    assert [[told(one)["key"] for one in row] for row in rows] == [["next", "other"]] * 3
    answers = await batch.abatch_completion_one_model_multiple_requests("next", [hello, hello])
    assert [told(one)["key"] for one in answers] == ["next", "next"]


async def test_the_fastest_answer_wins_and_ends_the_others(group, told, hello, upstream):
    stall = upstream.stall()
    waiting = upstream.answer
    upstream.answer = lambda seen: waiting(seen) if seen.body["model"] == "next" else None
    answer = await group().abatch_completion_fastest_response(model="nope, next, other", messages=hello)
    assert told(answer)["key"] == "other"
    await asyncio.to_thread(stall.gone)
    with pytest.raises(tagrail.BadRequestError):
        await group().abatch_completion_fastest_response(model="nope", messages=hello)
