"""LiteLLM's exceptions: its names, bases, status codes, attributes and texts.

    openai_classes.py   openai's classes, or ours like them
    failure.py          what all failures of calls have
    status.py           one class for each status, `transport.py` for calls without an answer
    router.py           what the router refuses, and configurations that do not run
    kinds.py            which of them a failure is

Importing this imports `openai` where it is installed; a Router does so when it is built.
"""

from __future__ import annotations

from .kinds import of_configuration, of_failure
from .openai_classes import APIStatusError, OpenAIError
from .router import (
    BudgetExceededError,
    ClosedError,
    ConfigurationError,
    ForkError,
    RouterRateLimitError,
    RouterRateLimitErrorBasic,
    TagMismatchError,
    UnknownProviderError,
)
from .status import (
    AuthenticationError,
    BadGatewayError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    ImageFetchError,
    InternalServerError,
    InvalidRequestError,
    LiteLLMUnknownProvider,
    MidStreamFallbackError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RejectedRequestError,
    ServiceUnavailableError,
    UnprocessableEntityError,
    UnsupportedParamsError,
)
from .transport import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    JSONSchemaValidationError,
    Timeout,
)

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "BudgetExceededError",
    "ClosedError",
    "ConfigurationError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "ForkError",
    "ImageFetchError",
    "InternalServerError",
    "InvalidRequestError",
    "JSONSchemaValidationError",
    "LiteLLMUnknownProvider",
    "MidStreamFallbackError",
    "NotFoundError",
    "OpenAIError",
    "PermissionDeniedError",
    "RateLimitError",
    "RejectedRequestError",
    "RouterRateLimitError",
    "RouterRateLimitErrorBasic",
    "ServiceUnavailableError",
    "TagMismatchError",
    "Timeout",
    "UnknownProviderError",
    "UnprocessableEntityError",
    "UnsupportedParamsError",
    "of_configuration",
    "of_failure",
]
