"""Tagrail in one's own process: LiteLLM's Router, compiled.

    from tagrail import Router

    key = "os.environ/ANTHROPIC_API_KEY"
    router = Router(model_list=[
        {"model_name": "anthropic/*", "litellm_params": {"model": "anthropic/*", "api_key": key}},
    ])
    answer = router.completion("anthropic/claude-3-sonnet-20240229", [{"role": "user", "content": "Hello"}])

`completion`, `acompletion` and their like call a provider without a router. `Router.explain` and `check` say why a
call goes where it goes, and what is wrong with a configuration.

Names are looked up when they are asked for: importing the package costs next to nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

# Where each name lives.
_HOMES: dict[str, tuple[str, ...]] = {
    "router": ("Router",),
    "caller": ("Caller",),
    "deployments": ("Deployment", "LiteLLM_Params", "ModelGroupInfo", "ModelInfo"),
    "policies": ("AllowedFailsPolicy", "RetryPolicy"),
    "report": ("Explanation", "Report", "check"),
    "arguments": ("TagrailWarning",),
    "calls": (
        "acompletion", "aembedding", "atext_completion", "completion", "embedding", "text_completion",
    ),
    "batch": ("batch_completion", "batch_completion_models_all_responses"),
    "responses": (
        "ChatCompletionMessageToolCall", "Choices", "Delta", "Embedding", "EmbeddingResponse", "Function", "Message",
        "ModelResponse", "ModelResponseStream", "StreamingChoices", "TextChoices", "TextCompletionResponse", "Usage",
        "stream_chunk_builder",
    ),
    "streams": ("CustomStreamWrapper",),
    "exceptions": (
        "APIConnectionError", "APIError", "APIResponseValidationError", "AuthenticationError", "BadGatewayError",
        "BadRequestError", "BudgetExceededError", "ContentPolicyViolationError", "ContextWindowExceededError",
        "InternalServerError", "InvalidRequestError", "JSONSchemaValidationError", "MidStreamFallbackError",
        "NotFoundError", "OpenAIError", "PermissionDeniedError", "RateLimitError", "RejectedRequestError",
        "RouterRateLimitError", "ServiceUnavailableError", "Timeout", "UnprocessableEntityError",
        "UnsupportedParamsError",
    ),
    "_core": ("__version__",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("exceptions", "responses", "streams", "types")

__all__ = [*_HOME_OF, "exceptions"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    # The next time it is found without coming here.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The package: LiteLLM's is set up by assigning to it, and what is assigned here would be lost without a word."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name.startswith("_") or name in globals() or name in __all__ or isinstance(value, ModuleType)):
            from warnings import warn

            message = f"`{__name__}.{name}` has no effect: say it to the Router, or in the call"
            warn(message, import_module(f"{__name__}.arguments").TagrailWarning, stacklevel=2)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


if TYPE_CHECKING:
    from . import exceptions as exceptions
    from ._core import __version__ as __version__
    from .arguments import TagrailWarning as TagrailWarning
    from .batch import (
        batch_completion as batch_completion,
        batch_completion_models_all_responses as batch_completion_models_all_responses,
    )
    from .caller import Caller as Caller
    from .calls import (
        acompletion as acompletion,
        aembedding as aembedding,
        atext_completion as atext_completion,
        completion as completion,
        embedding as embedding,
        text_completion as text_completion,
    )
    from .deployments import (
        Deployment as Deployment,
        LiteLLM_Params as LiteLLM_Params,
        ModelGroupInfo as ModelGroupInfo,
        ModelInfo as ModelInfo,
    )
    from .exceptions import (
        APIConnectionError as APIConnectionError,
        APIError as APIError,
        APIResponseValidationError as APIResponseValidationError,
        AuthenticationError as AuthenticationError,
        BadGatewayError as BadGatewayError,
        BadRequestError as BadRequestError,
        BudgetExceededError as BudgetExceededError,
        ContentPolicyViolationError as ContentPolicyViolationError,
        ContextWindowExceededError as ContextWindowExceededError,
        InternalServerError as InternalServerError,
        InvalidRequestError as InvalidRequestError,
        JSONSchemaValidationError as JSONSchemaValidationError,
        MidStreamFallbackError as MidStreamFallbackError,
        NotFoundError as NotFoundError,
        OpenAIError as OpenAIError,
        PermissionDeniedError as PermissionDeniedError,
        RateLimitError as RateLimitError,
        RejectedRequestError as RejectedRequestError,
        RouterRateLimitError as RouterRateLimitError,
        ServiceUnavailableError as ServiceUnavailableError,
        Timeout as Timeout,
        UnprocessableEntityError as UnprocessableEntityError,
        UnsupportedParamsError as UnsupportedParamsError,
    )
    from .policies import AllowedFailsPolicy as AllowedFailsPolicy, RetryPolicy as RetryPolicy
    from .report import Explanation as Explanation, Report as Report, check as check
    from .responses import (
        ChatCompletionMessageToolCall as ChatCompletionMessageToolCall,
        Choices as Choices,
        Delta as Delta,
        Embedding as Embedding,
        EmbeddingResponse as EmbeddingResponse,
        Function as Function,
        Message as Message,
        ModelResponse as ModelResponse,
        ModelResponseStream as ModelResponseStream,
        StreamingChoices as StreamingChoices,
        TextChoices as TextChoices,
        TextCompletionResponse as TextCompletionResponse,
        Usage as Usage,
        stream_chunk_builder as stream_chunk_builder,
    )
    from .router import Router as Router
    from .streams import CustomStreamWrapper as CustomStreamWrapper
