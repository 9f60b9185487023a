"""LiteLLM's exceptions for calls that got no answer, or none that has a class of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import openai_classes as openai
from .failure import Failure


class Timeout(Failure, openai.APITimeoutError):
    """No answer in time (408; 504 where the upstream says so)."""

    _prefix = "litellm.Timeout: "
    _status = 408
    _answered = False

    headers: dict[str, str] | None

    def __init__(
        self,
        message: str,
        model: str | None,
        llm_provider: str | None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        headers: dict[str, str] | None = None,
        exception_status_code: int | None = None,
        response: Any = None,
    ) -> None:
        self._say(
            message, model, llm_provider, status_code=exception_status_code, response=response,
            litellm_debug_info=litellm_debug_info, max_retries=max_retries, num_retries=num_retries,
        )  # fmt: skip
        self.headers = headers

    def _told(self, details: Mapping[str, Any]) -> None:
        self.headers = None


class APIConnectionError(Failure, openai.APIConnectionError):
    """The connection broke."""

    _prefix = "litellm.APIConnectionError: "
    _answered = False

    def __init__(
        self,
        message: str,
        llm_provider: str | None,
        model: str | None,
        request: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        self._say(
            message, model, llm_provider, litellm_debug_info=litellm_debug_info,
            max_retries=max_retries, num_retries=num_retries,
        )  # fmt: skip


class APIError(Failure, openai.APIError):
    """A status that has no class of its own (403, 409, 413, 529, ...)."""

    _prefix = "litellm.APIError: "
    _answered = False

    def __init__(
        self,
        status_code: int,
        message: str,
        llm_provider: str | None,
        model: str | None,
        request: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        self._say(
            message, model, llm_provider, status_code=status_code, litellm_debug_info=litellm_debug_info,
            max_retries=max_retries, num_retries=num_retries,
        )  # fmt: skip


class APIResponseValidationError(Failure, openai.APIResponseValidationError):
    """An answer that is none."""

    def __init__(
        self,
        message: str,
        llm_provider: str | None,
        model: str | None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        self._say(
            message, model, llm_provider, litellm_debug_info=litellm_debug_info,
            max_retries=max_retries, num_retries=num_retries,
        )  # fmt: skip


class JSONSchemaValidationError(APIResponseValidationError):
    """An answer that is not of the schema asked for."""

    def __init__(self, model: str, llm_provider: str, raw_response: str, schema: str) -> None:
        text = (
            f"litellm.JSONSchemaValidationError: model={model}, returned an invalid response={raw_response}, "
            f"for schema={schema}.\nAccess raw response with `e.raw_response`"
        )
        super().__init__(text, llm_provider, model)
        self.raw_response, self.schema = raw_response, schema
