"""What programs take for granted: arguments with their defaults, exceptions with their bases and statuses."""

from __future__ import annotations

import inspect

import pytest

# Ours alone; see the package's documentation.
OURS = {"routing_mode", "reserved_tags", "tag_grants"}
# Methods that the first release has, by the arguments that LiteLLM's programs name.
METHODS = ["completion", "acompletion", "embedding", "aembedding", "text_completion", "atext_completion",
           "get_available_deployment", "async_get_available_deployment", "get_model_list", "get_model_names",
           "get_model_ids", "get_deployment", "set_model_list", "add_deployment", "upsert_deployment",
           "delete_deployment", "get_model_group_info", "update_settings", "get_settings", "flush_cache", "reset", "discard"]
EXCEPTIONS = ["BadRequestError", "UnsupportedParamsError", "ContextWindowExceededError", "ContentPolicyViolationError",
              "RejectedRequestError", "AuthenticationError", "PermissionDeniedError", "NotFoundError", "Timeout",
              "UnprocessableEntityError", "RateLimitError", "InternalServerError", "BadGatewayError",
              "ServiceUnavailableError", "APIConnectionError", "APIError", "APIResponseValidationError",
              "JSONSchemaValidationError", "BudgetExceededError"]


def arguments(callable):
    """Names and defaults, in order."""
    return {name: one.default for name, one in inspect.signature(callable).parameters.items() if name != "self"}


def test_the_constructor_takes_the_same_with_the_same_defaults(litellm):
    import tagrail

    theirs, ours = arguments(litellm.module.Router), arguments(tagrail.Router)
    # Positions count up to the last argument of LiteLLM's.
    assert [name for name in ours if name not in OURS] == list(theirs)
    differ = {name: (theirs[name], ours[name]) for name in theirs if plain(theirs[name]) != plain(ours[name])}
    assert differ == {}


def plain(value):
    """A default without its class: LiteLLM has enumerations, and a model of which nothing is switched on."""
    if hasattr(value, "model_dump"):
        return value.model_dump() if any(value.model_dump().values()) else None
    return getattr(value, "value", value)


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_what_litellm_takes(name, litellm):
    import tagrail

    theirs, ours = (inspect.signature(getattr(one, name)).parameters for one in (litellm.module.Router, tagrail.Router))
    takes_all = any(one.kind is one.VAR_KEYWORD for one in ours.values())
    assert takes_all or set(theirs) <= set(ours), sorted(set(theirs) - set(ours))
    positions = [one for one, given in theirs.items() if given.kind is given.POSITIONAL_OR_KEYWORD and one != "self"]
    required = [one for one in positions if theirs[one].default is inspect.Parameter.empty]
    assert [one for one in ours if one in required] == required


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exceptions_are_of_the_same_names_and_bases(name, litellm):
    import tagrail

    theirs, ours = getattr(litellm.module.exceptions, name), getattr(tagrail.exceptions, name)
    of_openai = lambda one: [base for base in one.__mro__ if base.__module__.startswith("openai")]  # noqa: E731
    assert of_openai(theirs) == of_openai(ours)
    named = {base.__name__ for base in theirs.__mro__ if base.__module__.startswith("litellm")}
    assert named <= {base.__name__ for base in ours.__mro__}
    assert getattr(tagrail, name, ours) is ours
