"""Exceptions: LiteLLM's names, bases, status codes, attributes and texts, and which failure is which of them."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

from tagrail import exceptions

# Name, openai's base, status code.
CLASSES = [
    ("BadRequestError", "BadRequestError", 400),
    ("UnsupportedParamsError", "BadRequestError", 400),
    ("ContextWindowExceededError", "BadRequestError", 400),
    ("ContentPolicyViolationError", "BadRequestError", 400),
    ("InvalidRequestError", "BadRequestError", 400),
    ("AuthenticationError", "AuthenticationError", 401),
    ("PermissionDeniedError", "PermissionDeniedError", 403),
    ("NotFoundError", "NotFoundError", 404),
    ("Timeout", "APITimeoutError", 408),
    ("UnprocessableEntityError", "UnprocessableEntityError", 422),
    ("RateLimitError", "RateLimitError", 429),
    ("InternalServerError", "InternalServerError", 500),
    ("APIConnectionError", "APIConnectionError", 500),
    ("APIResponseValidationError", "APIResponseValidationError", 500),
    ("BadGatewayError", "APIStatusError", 502),
    ("ServiceUnavailableError", "APIStatusError", 503),
    ("MidStreamFallbackError", "APIStatusError", 503),
]
UNNAMED = ("InvalidRequestError", "APIResponseValidationError")

# Kind, what it is raised as, its status.
KINDS = [
    ("body", "BadRequestError", 413),
    ("missing_model", "BadRequestError", 400),
    ("missing_field", "BadRequestError", 400),
    ("unknown_model", "BadRequestError", 400),
    ("no_deployments", "BadRequestError", 400),
    ("wildcard_id", "BadRequestError", 400),
    ("model_denied", "PermissionDeniedError", 403),
    ("unpriced", "PermissionDeniedError", 403),
    ("reservations_unknown", "ServiceUnavailableError", 503),
    ("not_served", "APIError", 501),
    ("over_limit", "RateLimitError", 429),
    ("bad_request", "BadRequestError", 400),
    ("context_window", "ContextWindowExceededError", 400),
    ("content_policy", "ContentPolicyViolationError", 400),
    ("authentication", "AuthenticationError", 401),
    ("permission_denied", "APIError", 403),
    ("not_found", "NotFoundError", 404),
    ("timeout", "Timeout", 504),
    ("unprocessable", "BadRequestError", 422),
    ("rate_limit", "RateLimitError", 429),
    ("internal", "InternalServerError", 500),
    ("bad_gateway", "BadGatewayError", 502),
    ("unavailable", "ServiceUnavailableError", 503),
    ("other", "APIError", 529),
    ("connection", "InternalServerError", 500),
]


def failure(kind, message="litellm.X: no", **details):
    return exceptions.of_failure({"kind": kind, "message": message, "status": 400, "model": "g", **details})


@pytest.mark.parametrize(("name", "base", "status"), CLASSES)
def test_names_bases_and_statuses(name, base, status):
    openai = pytest.importorskip("openai")
    kind = getattr(exceptions, name)
    error = kind("no", model="m", llm_provider="p")
    assert issubclass(kind, getattr(openai, base)) and issubclass(kind, exceptions.OpenAIError)
    assert (error.status_code, error.model, error.llm_provider) == (status, "m", "p")
    text = "no" if name in UNNAMED else f"litellm.{name}: no"
    assert str(error) == error.message == repr(error) == text
    with pytest.raises(getattr(openai, base)):
        raise error


def test_positions_of_arguments_are_litellms():
    """Some name the model before the provider, some after it."""
    for name in ("BadRequestError", "NotFoundError", "Timeout", "ContextWindowExceededError"):
        error = getattr(exceptions, name)("no", "m", "p")
        assert (error.model, error.llm_provider) == ("m", "p"), name
    for name in ("AuthenticationError", "RateLimitError", "InternalServerError", "ServiceUnavailableError",
                 "BadGatewayError", "APIConnectionError", "PermissionDeniedError"):  # fmt: skip
        error = getattr(exceptions, name)("no", "p", "m")
        assert (error.model, error.llm_provider) == ("m", "p"), name
    error = exceptions.APIError(529, "no", "p", "m")
    assert (error.status_code, error.model, error.llm_provider) == (529, "m", "p")


def test_retries_are_told_in_the_text():
    error = exceptions.BadRequestError("no", "m", "p", num_retries=1, max_retries=2, body={"code": "c", "param": "q"})
    assert str(error) == "litellm.BadRequestError: no LiteLLM Retried: 1 times, LiteLLM Max Retries: 2"
    assert (error.message, error.code, error.param) == ("litellm.BadRequestError: no", "c", "q")


@pytest.mark.parametrize(("kind", "name", "status"), KINDS)
def test_kinds_of_failures(kind, name, status):
    error = failure(
        kind, f"litellm.{name}: no", status=status, provider="openai", deployment_id="dep", code="c", type="t", param="q",
        retry_after=7.0, num_retries=1, max_retries=2, timeout=3.0, headers={"retry-after": "7", "x-request-id": "r"},
    )  # fmt: skip
    assert type(error) is getattr(exceptions, name)
    assert (error.status_code, error.message) == (status, f"litellm.{name}: no")
    assert (error.model, error.llm_provider, error.failed_deployment_id) == ("g", "openai", "dep")
    assert (error.code, error.type, error.param, error.retry_after, error.timeout) == ("c", "t", "q", 7.0, 3.0)
    assert (error.num_retries, error.max_retries, error.request_id) == (1, 2, "r")
    assert error.litellm_response_headers["retry-after"] == "7"
    assert str(error) == f"litellm.{name}: no LiteLLM Retried: 1 times, LiteLLM Max Retries: 2"


def test_the_text_names_what_is_raised():
    told = "litellm.APIConnectionError: APIConnectionError: OpenAIException - refused"
    error = failure("connection", told, status=500)
    assert error.message == "litellm.InternalServerError: InternalServerError: OpenAIException - refused"
    broke_off = failure("connection", told, status=500, mid_stream=True)
    assert type(broke_off) is exceptions.APIConnectionError and broke_off.message == told
    anthropic = failure("permission_denied", "litellm.APIError: APIError: x", provider="anthropic", upstream_model="claude")
    assert type(anthropic) is exceptions.PermissionDeniedError and anthropic.model == "claude"
    assert anthropic.message == "litellm.PermissionDeniedError: PermissionDeniedError: x"
    assert failure("unprocessable", "litellm.UnprocessableEntityError: a: b").message == "litellm.BadRequestError: a: b"
    assert failure("body", "is no JSON").message == "litellm.BadRequestError: is no JSON"


def test_what_litellm_puts_in_rate_limits():
    error = failure("rate_limit", "litellm.RateLimitError: no", status=429)
    assert (error.code, error.type, error.category) == ("429", "throttling_error", "vendor_rate_limit")
    assert error.detail == error.message
    assert failure("over_limit", "no", status=429).category == "litellm_rate_limit"


def test_refusals_of_the_router():
    cooling = failure("cooling", "", cooldown_time=60.0, cooldown_list=["a"], retry_after=60.0)
    assert isinstance(cooling, exceptions.RouterRateLimitError) and isinstance(cooling, ValueError)
    assert str(cooling) == cooling.message == (
        "No deployments available for selected model, Try again in 60 seconds. Passed model=g. "
        "pre-call-checks=False, cooldown_list=['a']"
    )  # fmt: skip
    assert (cooling.cooldown_time, cooling.cooldown_list, cooling.status_code, cooling.retry_after) == (60, ["a"], 429, 60)
    assert str(failure("cooling", "in our words", cooldown_time=1.5)) == "in our words"
    tags = failure("tag_mismatch", "Not allowed", tags=["x"])
    assert isinstance(tags, ValueError) and str(tags) == "Not allowed"
    assert (tags.status_code, tags.model, tags.tags) == (401, "g", ["x"])
    for kind, name in [("forked", "ForkError"), ("closed", "ClosedError")]:
        error = failure(kind, "why")
        assert type(error) is getattr(exceptions, name) and isinstance(error, RuntimeError) and str(error) == "why"
    spent = failure("over_limit", "spent", max_budget=1.0, current_cost=2.0)
    assert isinstance(spent, exceptions.BudgetExceededError) and (spent.current_cost, spent.max_budget) == (2.0, 1.0)
    assert str(exceptions.BudgetExceededError(2.0, 1.0)) == "Budget has been exceeded! Current cost: 2.0, Max budget: 1.0"


def test_configurations():
    diagnostics = [
        {"severity": "warning", "code": "unknown-key", "message": "hm", "path": "x", "help": None, "stops": False},
        {"severity": "error", "code": "wrong-type", "message": "is no list", "path": "model_list", "help": "write [...]",
         "stops": True},
    ]  # fmt: skip
    error = exceptions.of_configuration(diagnostics)
    assert type(error) is exceptions.ConfigurationError and isinstance(error, ValueError)
    assert error.diagnostics == diagnostics
    assert str(error) == "nothing of this configuration can run:\nmodel_list: is no list (write [...])"


def test_unknown_providers():
    found = {"severity": "error", "code": "bad-target", "message": '`model` "zork/x" has no known provider; write ...',
             "path": "model_list[0].litellm_params.model"}  # fmt: skip
    error = exceptions.of_configuration([found])
    assert isinstance(error, exceptions.ConfigurationError) and isinstance(error, exceptions.BadRequestError)
    assert isinstance(error, exceptions.OpenAIError) and (error.status_code, error.diagnostics) == (400, [found])
    assert str(error).startswith("litellm.BadRequestError: LLM Provider NOT provided.") and "zork/x" in str(error)


def every_error():
    for name, _, _ in CLASSES:
        yield getattr(exceptions, name)("no", model="m", llm_provider="p")
    for kind, name, status in KINDS:
        yield failure(kind, f"litellm.{name}: no", status=status, headers={"a": "b"}, num_retries=1)
    yield failure("cooling", "", cooldown_time=1.0, cooldown_list=["a"])
    yield failure("tag_mismatch", tags=["x"])
    yield failure("forked")
    yield failure("closed")
    yield exceptions.APIError(529, "no", "p", "m")
    yield exceptions.BudgetExceededError(2.0, 1.0)
    yield exceptions.RouterRateLimitErrorBasic("m")
    yield exceptions.JSONSchemaValidationError("m", "p", "raw", "schema")
    yield exceptions.RejectedRequestError("no", "m", "p", {"a": 1})
    yield exceptions.LiteLLMUnknownProvider("m")
    yield exceptions.of_configuration([{"severity": "error", "code": "x", "message": "y"}])
    yield exceptions.of_configuration([{"severity": "error", "code": "bad-target", "message": "has no known provider"}])


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: type(error).__name__)
def test_pickles_and_copies(error):
    # Made lazily, and not taken along.
    if getattr(error, "response", None) is not None:
        assert error.response.status_code == error.status_code
    said = {name: value for name, value in vars(error).items() if name != "_response"}
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error) and other.args == error.args and str(other) == str(error)
        assert {name: value for name, value in vars(other).items() if name != "_response"} == said
        assert getattr(other, "status_code", None) == getattr(error, "status_code", None)


def test_response():
    httpx = pytest.importorskip("httpx")
    error = failure("rate_limit", "litellm.RateLimitError: no", status=429, code="c", headers={
        "Retry-After": "7", "content-length": "9", "content-encoding": "gzip"
    })  # fmt: skip
    assert isinstance(error.response, httpx.Response) and error.response is error.response
    assert error.response.status_code == 429 and error.response.headers["retry-after"] == "7"
    assert error.response.json()["error"]["code"] == "c" and error.response.request is not None
    assert error.request is not None
    given = httpx.Response(422, request=httpx.Request("POST", "http://x"))
    own = exceptions.BadRequestError("no", "m", "p", response=given)
    assert own.response is given and own.status_code == 422
    for name in ("Timeout", "APIConnectionError"):
        assert not hasattr(getattr(exceptions, name)("no", model="m", llm_provider="p"), "response")


def test_without_openai_and_httpx():
    """The package needs neither: the classes are then of our own bases."""
    program = """
import sys
sys.modules["openai"] = sys.modules["httpx"] = None
import pickle
from tagrail import exceptions
error = exceptions.of_failure({"kind": "rate_limit", "message": "litellm.RateLimitError: no", "status": 429})
assert isinstance(error, exceptions.APIStatusError) and isinstance(error, exceptions.OpenAIError)
assert error.response is None and error.request is None and error.status_code == 429
assert str(pickle.loads(pickle.dumps(error))) == "litellm.RateLimitError: no"
assert not isinstance(error, exceptions.BadRequestError)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
