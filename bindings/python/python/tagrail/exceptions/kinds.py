"""Which exception a failure is. The compiled part calls these two, and knows no classes itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .failure import Failure
from .router import (
    BudgetExceededError,
    ClosedError,
    ConfigurationError,
    ForkError,
    RouterRateLimitError,
    TagMismatchError,
    UnknownProviderError,
)
from .status import (
    AuthenticationError,
    BadGatewayError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
    UnsupportedParamsError,
)
from .transport import APIConnectionError, APIError, Timeout

# What the router says in place of an upstream.
_OWN: dict[str, type[Failure]] = {
    "body": BadRequestError,
    "missing_model": BadRequestError,
    "missing_field": BadRequestError,
    "unknown_model": BadRequestError,
    "no_deployments": BadRequestError,
    "wildcard_id": BadRequestError,
    "model_denied": PermissionDeniedError,
    "unpriced": PermissionDeniedError,
    "reservations_unknown": ServiceUnavailableError,
    "not_served": APIError,
    "over_limit": RateLimitError,
}
_OF_UPSTREAM: dict[str, type[Failure]] = {
    "bad_request": BadRequestError,
    "context_window": ContextWindowExceededError,
    "content_policy": ContentPolicyViolationError,
    "authentication": AuthenticationError,
    # LiteLLM has a class for Anthropic's 403 (below), and none for that of an OpenAI-compatible upstream.
    "permission_denied": APIError,
    "other": APIError,
    "not_found": NotFoundError,
    "timeout": Timeout,
    # It keeps its status, 422.
    "unprocessable": BadRequestError,
    "rate_limit": RateLimitError,
    "internal": InternalServerError,
    "bad_gateway": BadGatewayError,
    "unavailable": ServiceUnavailableError,
    # Nothing came back: the upstream's fault, as LiteLLM sees it. What broke off is another class below.
    "connection": InternalServerError,
}

def of_failure(details: Mapping[str, Any]) -> BaseException:
    """The exception for a call that failed."""
    kind, message = details.get("kind", "other"), details.get("message") or ""
    if kind == "tag_mismatch":
        return TagMismatchError(message, details.get("model"), details.get("tags") or ())
    if kind == "cooling":
        return _cooling(message, details)
    if kind == "forked":
        return ForkError(message)
    if kind == "closed":
        return ClosedError(message)
    if kind == "over_limit" and details.get("max_budget") is not None:
        return BudgetExceededError(details.get("current_cost") or 0.0, details["max_budget"], message)
    if kind in _OWN:
        made = _OWN[kind]
    elif kind == "connection" and details.get("mid_stream"):
        made = APIConnectionError
    elif kind == "bad_request" and _named(message) == "UnsupportedParamsError":
        made = UnsupportedParamsError
    elif kind == "permission_denied" and details.get("provider") == "anthropic":
        made = PermissionDeniedError
    else:
        made = _OF_UPSTREAM.get(kind, APIError)
    return made._of(_headed(made, message), details)


def _named(message: str) -> str:
    """The class that a message begins with."""
    head = message.partition(":")[0]
    return head.removeprefix("litellm.") if head.startswith("litellm.") else ""


def _headed(made: type[Failure], message: str) -> str:
    """The message, with the name of the class that is raised in front."""
    named = _named(message)
    if not named:
        return f"{made._prefix}{message}"
    name = made.__name__
    if named == name:
        return message
    rest = message.removeprefix(f"litellm.{named}: ")
    if rest.startswith(f"{named}: "):
        rest = f"{name}: {rest.removeprefix(f'{named}: ')}"
    return f"litellm.{name}: {rest}"


def _cooling(message: str, details: Mapping[str, Any]) -> RouterRateLimitError:
    seconds = details.get("cooldown_time") or 0.0
    error = RouterRateLimitError(
        details.get("model") or "",
        int(seconds) if seconds == int(seconds) else seconds,
        bool(details.get("enable_pre_call_checks")),
        details.get("cooldown_list") or (),
    )
    if message:
        error.message, error.args = message, (message,)
    return error


def of_configuration(diagnostics: Sequence[Mapping[str, Any]]) -> BaseException:
    """The exception for a configuration of which nothing runs."""
    wrong = [found for found in diagnostics if found.get("severity") == "error"] or list(diagnostics)
    lines = "\n".join(map(_line, wrong))
    if wrong and _unknown_provider(wrong[0]):
        asked = "LLM Provider NOT provided. Pass in the LLM provider you are trying to call."
        return UnknownProviderError(f"litellm.BadRequestError: {asked}\n{lines}", diagnostics)
    return ConfigurationError(f"nothing of this configuration can run:\n{lines}", diagnostics)


def _line(found: Mapping[str, Any]) -> str:
    place = found.get("path")
    if not place and found.get("file"):
        place = f"{found['file']}:{found.get('line')}:{found.get('column')}"
    text = f"{place}: {found['message']}" if place else str(found["message"])
    return f"{text} ({found['help']})" if found.get("help") else text


def _unknown_provider(found: Mapping[str, Any]) -> bool:
    return found.get("code") == "bad-target" and "has no known provider" in found["message"]
