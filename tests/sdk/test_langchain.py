"""LangChain's OpenAI chat model as a client."""

import json

from langchain_openai import ChatOpenAI


def test_tags_in_metadata(gateway, upstream):
    chat = ChatOpenAI(model="gpt-4", base_url=f"{gateway.url}/v1", api_key="sk-1234", max_retries=0,
                      extra_body={"metadata": {"tags": ["free"]}})
    reply = chat.invoke("Hello")
    assert json.loads(reply.content)["key"] == "free"
    streamed = "".join(chunk.content for chunk in chat.stream("Hello"))
    assert json.loads(streamed)["key"] == "free"


def test_tools_on_an_anthropic_deployment(gateway, upstream):
    from test_anthropic import CALLS, uses_tools

    def weather(place: str) -> str:
        """The weather of a place."""
        return place

    upstream.answer = uses_tools
    chat = ChatOpenAI(model="anthropic/claude-opus-4-1", base_url=f"{gateway.url}/v1", api_key="sk-1234",
                      max_retries=0).bind_tools([weather])
    assert [call["args"] for call in chat.invoke("Hello").tool_calls] == [c["input"] for c in CALLS]
