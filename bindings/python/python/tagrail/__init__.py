"""Tagrail in one's own process: LiteLLM's Router, compiled.

    from tagrail import Router

    router = Router(model_list=[
        {"model_name": "anthropic/*", "litellm_params": {"model": "anthropic/*", "api_key": "os.environ/ANTHROPIC_API_KEY"}},
    ])
    answer = router.completion("anthropic/claude-3-sonnet-20240229", [{"role": "user", "content": "Hello"}])

`completion`, `acompletion` and their like call a provider without a router. `Router.explain` and `check` say why a
call goes where it goes, and what is wrong with a configuration.

Names are looked up when they are asked for: importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# Where each name lives.
_HOMES: dict[str, tuple[str, ...]] = {
    "router": ("Router",),
    "caller": ("Caller",),
    "deployments": ("Deployment", "LiteLLM_Params", "ModelGroupInfo", "ModelInfo"),
    "report": ("Explanation", "Report", "check"),
    "arguments": ("TagrailWarning",),
    "calls": (
        "acompletion", "aembedding", "atext_completion", "completion", "embedding", "text_completion",
    ),
    "responses": (
        "EmbeddingResponse", "ModelResponse", "ModelResponseStream", "TextCompletionResponse", "stream_chunk_builder",
    ),
    "exceptions": (
        "APIConnectionError", "APIError", "APIResponseValidationError", "AuthenticationError", "BadGatewayError",
        "BadRequestError", "BudgetExceededError", "ContentPolicyViolationError", "ContextWindowExceededError",
        "InternalServerError", "InvalidRequestError", "JSONSchemaValidationError", "MidStreamFallbackError",
        "NotFoundError", "PermissionDeniedError", "RateLimitError", "RejectedRequestError", "ServiceUnavailableError",
        "Timeout", "UnprocessableEntityError", "UnsupportedParamsError",
    ),
    "_core": ("__version__",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("exceptions", "responses", "streams")

__all__ = [*_HOME_OF, "exceptions"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

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


if TYPE_CHECKING:
    from . import exceptions as exceptions
    from ._core import __version__ as __version__
    from .arguments import TagrailWarning as TagrailWarning
    from .caller import Caller as Caller
    from .deployments import Deployment as Deployment
    from .deployments import LiteLLM_Params as LiteLLM_Params
    from .deployments import ModelGroupInfo as ModelGroupInfo
    from .deployments import ModelInfo as ModelInfo
    from .report import Explanation as Explanation
    from .report import Report as Report
    from .report import check as check
    from .router import Router as Router
    from .calls import acompletion as acompletion
    from .calls import aembedding as aembedding
    from .calls import atext_completion as atext_completion
    from .calls import completion as completion
    from .calls import embedding as embedding
    from .calls import text_completion as text_completion
