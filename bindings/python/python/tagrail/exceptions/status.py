"""LiteLLM's exceptions for what an upstream, or the router in its place, answers: one for each status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import openai_classes as openai
from .failure import Failure


class BadRequestError(Failure, openai.BadRequestError):
    """The request cannot be answered as it is (400; 422 where the upstream says so)."""

    _prefix = "litellm.BadRequestError: "
    _status = 400

    def __init__(
        self,
        message: str,
        model: str | None,
        llm_provider: str | None,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        body: Any = None,
    ) -> None:
        status = getattr(response, "status_code", None)
        self._say(
            message, model, llm_provider, status_code=status, response=response, body=body,
            litellm_debug_info=litellm_debug_info, max_retries=max_retries, num_retries=num_retries,
        )  # fmt: skip


class UnsupportedParamsError(BadRequestError):
    """The provider has no such parameter."""

    _prefix = "litellm.UnsupportedParamsError: "

    def __init__(
        self,
        message: str,
        llm_provider: str | None = None,
        model: str | None = None,
        status_code: int = 400,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        self._say(
            message, model, llm_provider, status_code=status_code, response=response,
            litellm_debug_info=litellm_debug_info, max_retries=max_retries, num_retries=num_retries,
        )  # fmt: skip


class ContextWindowExceededError(BadRequestError):
    """More tokens than the model takes."""

    _prefix = "litellm.ContextWindowExceededError: "

    def __init__(
        self,
        message: str,
        model: str | None,
        llm_provider: str | None,
        response: Any = None,
        litellm_debug_info: str | None = None,
    ) -> None:
        self._say(message, model, llm_provider, response=response, litellm_debug_info=litellm_debug_info)


class ContentPolicyViolationError(BadRequestError):
    """The provider's filter refuses the content."""

    _prefix = "litellm.ContentPolicyViolationError: "

    provider_specific_fields: dict[str, Any] | None

    def __init__(
        self,
        message: str,
        model: str | None,
        llm_provider: str | None,
        response: Any = None,
        litellm_debug_info: str | None = None,
        provider_specific_fields: dict[str, Any] | None = None,
        body: Any = None,
    ) -> None:
        self._say(message, model, llm_provider, response=response, litellm_debug_info=litellm_debug_info, body=body)
        self.provider_specific_fields = provider_specific_fields

    def _told(self, details: Mapping[str, Any]) -> None:
        self.provider_specific_fields = None


class RejectedRequestError(BadRequestError):
    """Refused before it was sent."""

    _prefix = "litellm.RejectedRequestError: "

    def __init__(
        self,
        message: str,
        model: str | None,
        llm_provider: str | None,
        request_data: dict[str, Any],
        litellm_debug_info: str | None = None,
    ) -> None:
        self._say(message, model, llm_provider, litellm_debug_info=litellm_debug_info)
        self.request_data = request_data


class ImageFetchError(BadRequestError):
    """An image of the request cannot be fetched."""

    def __init__(self, message: str, model: str | None = None, llm_provider: str | None = None, **options: Any) -> None:
        super().__init__(message, model, llm_provider, **options)


class LiteLLMUnknownProvider(BadRequestError):
    """There is no provider of that name."""

    def __init__(self, model: str, custom_llm_provider: str | None = None) -> None:
        text = f"no provider is known for model={model}, custom_llm_provider={custom_llm_provider}"
        self._say(text, model, custom_llm_provider)


class InvalidRequestError(Failure, openai.BadRequestError):
    """The old name of `BadRequestError`."""

    _status = 400

    def __init__(self, message: str, model: str | None, llm_provider: str | None) -> None:
        self._say(message, model, llm_provider)


class _OfProvider(Failure):
    """Those whose constructors name the provider before the model."""

    def __init__(
        self,
        message: str,
        llm_provider: str | None,
        model: str | None,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        self._say(
            message, model, llm_provider, response=response, litellm_debug_info=litellm_debug_info,
            max_retries=max_retries, num_retries=num_retries,
        )  # fmt: skip


class AuthenticationError(_OfProvider, openai.AuthenticationError):
    """The provider does not know the key."""

    _prefix = "litellm.AuthenticationError: "
    _status = 401


class PermissionDeniedError(_OfProvider, openai.PermissionDeniedError):
    """The key, or the caller, may not do this."""

    _prefix = "litellm.PermissionDeniedError: "
    _status = 403


class NotFoundError(Failure, openai.NotFoundError):
    """The provider has no such thing."""

    _prefix = "litellm.NotFoundError: "
    _status = 404

    def __init__(
        self,
        message: str,
        model: str | None,
        llm_provider: str | None,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        self._say(
            message, model, llm_provider, response=response, litellm_debug_info=litellm_debug_info,
            max_retries=max_retries, num_retries=num_retries,
        )  # fmt: skip


class UnprocessableEntityError(Failure, openai.UnprocessableEntityError):
    """The request has the right shape and makes no sense."""

    _prefix = "litellm.UnprocessableEntityError: "
    _status = 422

    def __init__(
        self, message: str, model: str | None, llm_provider: str | None, response: Any = None, **options: Any
    ) -> None:
        self._say(message, model, llm_provider, response=response, **options)


class RateLimitError(Failure, openai.RateLimitError):
    """Too many calls; `retry_after` says for how long, where the upstream did."""

    _prefix = "litellm.RateLimitError: "
    _status = 429

    category: str
    rate_limit_type: str | None
    headers: dict[str, str] | None
    detail: Any

    def __init__(
        self,
        message: str,
        llm_provider: str | None,
        model: str | None,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        category: str = "vendor_rate_limit",
        rate_limit_type: str | None = None,
        headers: dict[str, str] | None = None,
        detail: Any = None,
    ) -> None:
        self._say(
            message, model, llm_provider, response=response, litellm_debug_info=litellm_debug_info,
            max_retries=max_retries, num_retries=num_retries,
        )  # fmt: skip
        self.code, self.type = "429", "throttling_error"
        self.category, self.rate_limit_type, self.headers = category, rate_limit_type, headers
        self.detail = self.message if detail is None else detail

    def _told(self, details: Mapping[str, Any]) -> None:
        own = details.get("kind") == "over_limit"
        self.category, self.rate_limit_type = "litellm_rate_limit" if own else "vendor_rate_limit", None
        self.headers, self.detail = None, self.message
        self.code, self.type = self.code or "429", self.type or "throttling_error"


class InternalServerError(_OfProvider, openai.InternalServerError):
    """The provider failed, or could not be reached."""

    _prefix = "litellm.InternalServerError: "
    _status = 500


class BadGatewayError(_OfProvider, openai.APIStatusError):
    """Something in front of the provider failed."""

    _prefix = "litellm.BadGatewayError: "
    _status = 502


class ServiceUnavailableError(_OfProvider, openai.APIStatusError):
    """The provider does not serve at the moment."""

    _prefix = "litellm.ServiceUnavailableError: "
    _status = 503


class MidStreamFallbackError(ServiceUnavailableError):
    """A stream that broke off after it had begun."""

    _prefix = "litellm.MidStreamFallbackError: "

    def __init__(
        self,
        message: str,
        model: str | None,
        llm_provider: str | None,
        original_exception: Exception | None = None,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        generated_content: str = "",
        is_pre_first_chunk: bool = False,
    ) -> None:
        self._say(
            message, model, llm_provider, response=response, litellm_debug_info=litellm_debug_info,
            max_retries=max_retries, num_retries=num_retries,
        )  # fmt: skip
        self.original_exception, self.generated_content = original_exception, generated_content
        self.is_pre_first_chunk = is_pre_first_chunk
