"""What the exceptions derive from: openai's classes where that package is installed, else classes like them.

With it `except openai.RateLimitError` catches ours, which is how programs for LiteLLM are written. Without it
nothing is missing but that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


class _OpenAIError(Exception):
    """The base of all that openai's package raises."""


class _APIError(_OpenAIError):
    message: str
    body: Any
    code: str | None
    param: str | None
    type: str | None


class _APIStatusError(_APIError):
    status_code: int
    request_id: str | None


class _APIResponseValidationError(_APIError):
    status_code: int


class _APIConnectionError(_APIError):
    pass


class _APITimeoutError(_APIConnectionError):
    pass


class _BadRequestError(_APIStatusError):
    pass


class _AuthenticationError(_APIStatusError):
    pass


class _PermissionDeniedError(_APIStatusError):
    pass


class _NotFoundError(_APIStatusError):
    pass


class _UnprocessableEntityError(_APIStatusError):
    pass


class _RateLimitError(_APIStatusError):
    pass


class _InternalServerError(_APIStatusError):
    pass


# Type checkers see these; which ones there are is known only where the program runs.
OpenAIError = _OpenAIError
APIError = _APIError
APIStatusError = _APIStatusError
APIResponseValidationError = _APIResponseValidationError
APIConnectionError = _APIConnectionError
APITimeoutError = _APITimeoutError
BadRequestError = _BadRequestError
AuthenticationError = _AuthenticationError
PermissionDeniedError = _PermissionDeniedError
NotFoundError = _NotFoundError
UnprocessableEntityError = _UnprocessableEntityError
RateLimitError = _RateLimitError
InternalServerError = _InternalServerError

if not TYPE_CHECKING:
    try:
        from openai import (
            APIConnectionError,
            APIError,
            APIResponseValidationError,
            APIStatusError,
            APITimeoutError,
            AuthenticationError,
            BadRequestError,
            InternalServerError,
            NotFoundError,
            OpenAIError,
            PermissionDeniedError,
            RateLimitError,
            UnprocessableEntityError,
        )
    except ImportError:
        pass
