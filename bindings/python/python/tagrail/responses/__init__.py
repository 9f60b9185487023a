"""What calls answer with: LiteLLM's response objects, over what the provider said.

    record.py     fields with attribute and item access; `dump.py` writes them out, `fields.py` are dicts
    answer.py     what whole answers know of their call: `_hidden_params`, `_response_headers`
    chat.py       chat completions (`tool.py`, `usage.py`), `text.py` text completions, `embedding.py` embeddings,
                  `items.py` OpenAI's responses, `messages.py` Anthropic's messages
    assemble.py   a whole answer of a stream's chunks
"""

from __future__ import annotations

from typing import Any

from .assemble import stream_chunk_builder
from .chat import (
    ChatCompletionTokenLogprob,
    ChoiceLogprobs,
    Choices,
    Delta,
    Message,
    ModelResponse,
    ModelResponseStream,
    StreamingChoices,
    TopLogprob,
)
from .embedding import Embedding, EmbeddingResponse
from .items import Item, ResponseAPIUsage, ResponsesAPIResponse, ResponsesAPIStreamEvent
from .messages import AnthropicMessagesResponse, AnthropicMessagesStreamEvent
from .text import Logprobs, TextChoices, TextCompletionResponse
from .tool import (
    ChatCompletionAudioResponse,
    ChatCompletionDeltaToolCall,
    ChatCompletionMessageToolCall,
    Function,
    FunctionCall,
)
from .usage import CompletionTokensDetailsWrapper, PromptTokensDetailsWrapper, ServerToolUse, Usage

# By operation, as `_core` names them: what a whole answer is, and what a chunk is.
WHOLE: dict[str, Any] = {
    "chat": ModelResponse,
    "completions": TextCompletionResponse,
    "embeddings": EmbeddingResponse,
    "responses": ResponsesAPIResponse,
    "messages": AnthropicMessagesResponse,
}
CHUNK: dict[str, Any] = {
    "chat": ModelResponseStream,
    "completions": TextCompletionResponse,
    "responses": ResponsesAPIStreamEvent,
    "messages": AnthropicMessagesStreamEvent,
}

__all__ = [
    "CHUNK",
    "WHOLE",
    "AnthropicMessagesResponse",
    "AnthropicMessagesStreamEvent",
    "ChatCompletionAudioResponse",
    "ChatCompletionDeltaToolCall",
    "ChatCompletionMessageToolCall",
    "ChatCompletionTokenLogprob",
    "ChoiceLogprobs",
    "Choices",
    "CompletionTokensDetailsWrapper",
    "Delta",
    "Embedding",
    "EmbeddingResponse",
    "Function",
    "FunctionCall",
    "Item",
    "Logprobs",
    "Message",
    "ModelResponse",
    "ModelResponseStream",
    "PromptTokensDetailsWrapper",
    "ResponseAPIUsage",
    "ResponsesAPIResponse",
    "ResponsesAPIStreamEvent",
    "ServerToolUse",
    "StreamingChoices",
    "TextChoices",
    "TextCompletionResponse",
    "TopLogprob",
    "Usage",
    "stream_chunk_builder",
]
