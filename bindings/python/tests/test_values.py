"""Values that a program may hand over and a provider may answer with, and that JSON has no plain words for."""

from __future__ import annotations

import pytest

from tagrail._core import Core, check
from upstream import Reply


class Named(int):
    """Says something else of itself than its number."""

    def __str__(self) -> str:
        return '1, "injected": true'

    __repr__ = __str__


class Dumped:
    """A model that does something while it is written."""

    def __init__(self, meanwhile) -> None:
        self.meanwhile = meanwhile

    def model_dump(self, **_):
        self.meanwhile()
        return {"a": 1}


@pytest.fixture
def one(router, deployment):
    return router([deployment("m")])


@pytest.mark.parametrize("number", [7, -(2**63), 2**64 - 1, 2**70, -(2**70)])
def test_an_integer_is_sent_as_its_number(one, upstream, hello, number):
    one.completion("m", hello, plain=number, named=Named(number))
    body = upstream.seen[-1].body
    assert (body["plain"], body["named"]) == (number, number)
    assert "injected" not in body


@pytest.mark.parametrize("change", [dict.clear, lambda held: held.update(more=1)], ids=["less", "more"])
def test_a_dict_that_changes_while_it_is_written_is_an_error_of_pythons_own(one, upstream, hello, change):
    held: dict = {}
    held.update(first=Dumped(lambda: change(held)), second=2, third=3)
    with pytest.raises(RuntimeError, match="changed size during iteration"):
        one.completion("m", hello, held=held)
    assert upstream.seen == []


def test_a_dict_whose_keys_change_while_it_is_written_ends(one, upstream, hello):
    held: dict = {}

    def exchange():
        del held["first"], held["second"]
        held.update(third=3, fourth=4)

    held.update(first=Dumped(exchange), second=2)
    one.completion("m", hello, held=held)
    assert upstream.seen[-1].body["held"]["first"] == {"a": 1}


def raw(monkeypatch, upstream, pieces):
    """Has the provider answer in exactly these bytes; streamed, in these events."""
    import upstream as module

    def send(handler, reply):
        kind = b"application/json" if len(pieces) == 1 else b"text/event-stream"
        text = pieces[0] if len(pieces) == 1 else b"".join(b"data: %s\n\n" % piece for piece in pieces)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (kind, len(text))
        handler.wfile.write(head + text)

    monkeypatch.setattr(module, "send", send)
    upstream.answer = lambda seen: Reply({})


WHOLE = (b'{"id":"x","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"finish_reason":"stop",'
         b'"message":{"role":"assistant","content":"%s"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,'
         b'"total_tokens":2},"number":%s}')
CHUNK = (b'{"id":"x","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,'
         b'"finish_reason":null,"delta":{"content":"%s"}}],"number":%s}')

NUMBERS = [
    (b"18446744073709551615", 2**64 - 1), (b"18446744073709551616", 2**64), (b"-9223372036854775809", -(2**63) - 1),
    (b"123456789012345678901234567890", 123456789012345678901234567890), (b"1e25", 1e25), (b"1e400", float("inf")),
]


@pytest.mark.parametrize(("written", "number"), NUMBERS)
def test_a_replys_numbers_are_those_that_were_written(one, upstream, hello, monkeypatch, written, number):
    raw(monkeypatch, upstream, [WHOLE % (b"hi", written)])
    found = one.completion("m", hello).model_dump()["number"]
    assert (found, type(found)) == (number, type(number))


def test_a_streams_numbers_are_too(one, upstream, hello, monkeypatch):
    raw(monkeypatch, upstream, [*(CHUNK % (b"hi", written) for written, _ in NUMBERS), b"[DONE]"])
    chunks = list(one.completion("m", hello, stream=True))
    assert [chunk.model_dump()["number"] for chunk in chunks] == [number for _, number in NUMBERS]


def test_bytes_that_are_no_text_do_not_cost_the_answer(one, upstream, hello, monkeypatch):
    raw(monkeypatch, upstream, [WHOLE % (b"caf\xe9 au lait", b"1")])
    assert one.completion("m", hello).choices[0].message.content == "caf\ufffd au lait"
    raw(monkeypatch, upstream, [CHUNK % (b"caf\xe9", b"1"), CHUNK % (b" au lait", b"1"), b"[DONE]"])
    text = [chunk.choices[0].delta.content for chunk in one.completion("m", hello, stream=True)]
    assert "".join(text) == "caf\ufffd au lait"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("the vault is shut")])
def test_what_the_environment_raises_is_raised(error):
    class Environment(dict):
        def get(self, *_):
            raise error

    document = {"model_list": [
        {"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "api_key": "os.environ/KEY"}},
    ]}
    expected = error if isinstance(error, type) else type(error)
    with pytest.raises(expected):
        Core(document, Environment())
    with pytest.raises(expected):
        check(None, document, Environment())


def test_a_change_that_the_environment_interrupts_has_changed_nothing():
    class Environment(dict):
        raises = False

        def get(self, name, *_):
            if self.raises:
                raise KeyboardInterrupt
            return "key" if name == "KEY" else None

    def document(name):
        params = {"model": "openai/gpt-4o", "api_key": "os.environ/KEY"}
        return {"model_list": [{"model_name": name, "litellm_params": params}]}

    environ = Environment()
    core = Core(document("before"), environ)
    environ.raises = True
    with pytest.raises(KeyboardInterrupt):
        core.replace(document("after"))
    assert [one["model_name"] for one in core.deployments()] == ["before"]


def test_a_models_failure_to_say_what_it_is_is_its_own(one, hello):
    def boom():
        raise KeyError("boom")

    with pytest.raises(KeyError, match="boom"):
        one.completion("m", hello, held=Dumped(boom))
    with pytest.raises(ValueError, match="nested more than"):
        deep: list = []
        deep.append(deep)
        one.completion("m", hello, held=deep)
