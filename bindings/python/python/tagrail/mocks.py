"""Failures that a program asks for, to see what it does about them: LiteLLM's `mock_testing_...` and `mock_response`.

They are those of one call, and happen here: nothing is retried, and no deployment cools down for a failure that was
made up. A text as `mock_response` is answered by the compiled part, as that of a deployment is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# Keywords that make a failure, and which of the fallbacks are tried then, the first that there are.
_ON_PURPOSE: dict[str, tuple[str, tuple[str, ...]]] = {
    "mock_testing_fallbacks": ("InternalServerError", ("general", "default")),
    "mock_testing_context_fallbacks": ("ContextWindowExceededError", ("context_window", "general", "default")),
    "mock_testing_content_policy_fallbacks": (
        "ContentPolicyViolationError", ("content_policy", "general", "default"),
    ),
    # Made up for the first try alone: where there is another, that answers.
    "mock_testing_rate_limit_error": ("RateLimitError", ("general", "default")),
}  # fmt: skip
# By which keyword a call has fallbacks of its own.
_OWN = {
    "general": "fallbacks",
    "context_window": "context_window_fallbacks",
    "content_policy": "content_policy_fallbacks",
}
# Texts that LiteLLM takes for failures.
_NAMED = ("RateLimitError", "ContextWindowExceededError", "InternalServerError")

# LiteLLM's mocks that have no like here: the provider would be asked, which nobody expects of a mock.
_NOT_HERE = ("mock_tool_calls", "mock_delay")


def refuse(keywords: Mapping[str, Any]) -> None:
    """Raises what `mock_response` and `mock_timeout` say, where they say a failure."""
    for name in _NOT_HERE:
        if keywords.get(name):
            from warnings import warn

            from .arguments import TagrailWarning

            message = f"`{name}` has no effect: `mock_response` is answered without a provider"
            warn(message, TagrailWarning, stacklevel=5)
    if keywords.get("mock_timeout") is True and keywords.get("timeout") is not None:
        raise _made("Timeout", "`mock_timeout` of this call is True", keywords)
    said = keywords.get("mock_response")
    named = failure(said)
    if named:
        raise _made(named, f"`mock_response` of this call is {said!r}", keywords)
    if isinstance(said, BaseException):
        from .exceptions import OpenAIError

        if isinstance(said, OpenAIError) or not isinstance(said, Exception):
            raise said
        raise _made("InternalServerError", str(said), keywords) from said


def failure(said: Any) -> str | None:
    """The failure that a text names, where that is one of LiteLLM's."""
    package, _, name = said.partition(".") if isinstance(said, str) else ("", "", "")
    return name if package in ("litellm", "tagrail") and name in _NAMED else None


def redirect(
    keywords: dict[str, Any], retries: int, fallbacks: Callable[[dict[str, Any]], Mapping[str, list[Any]]]
) -> dict[str, Any]:
    """The call as it goes on when its model has failed on purpose; raises that failure where nothing is left.

    `retries`: how often the router tries again where a call does not say. `fallbacks`: what a call with these
    keywords would fall back to.
    """
    asked = {name: value for name, value in keywords.items() if name not in _ON_PURPOSE}
    for name, (failure, kinds) in _ON_PURPOSE.items():
        if keywords.get(name) is True:
            again = asked.get("num_retries")
            if name == "mock_testing_rate_limit_error" and (retries if again is None else again):
                continue
            instead = _instead(asked, kinds, fallbacks)
            if not instead:
                raise _made(failure, f"`{name}` of this call is True, and `{asked['model']}` has no fallback", asked)
            first, *rest = instead
            said = dict(first) if isinstance(first, Mapping) else {"model": first}
            return {**asked, **said, "fallbacks": rest}
    return asked


def _instead(
    asked: dict[str, Any], kinds: tuple[str, ...], fallbacks: Callable[[dict[str, Any]], Mapping[str, list[Any]]]
) -> list[Any]:
    if asked.get("disable_fallbacks"):
        return []
    of_router: Mapping[str, list[Any]] | None = None
    for kind in kinds:
        own = asked.get(_OWN.get(kind, ""))
        if own is not None:
            found = _listed(own, asked["model"])
        else:
            of_router = fallbacks(asked) if of_router is None else of_router
            found = of_router.get(kind) or []
        if found:
            return found
    return []


def _listed(own: Any, model: str) -> list[Any]:
    """A call's own fallbacks: names and calls, or tables by name as the router has them."""
    found: list[Any] = []
    for one in [own] if isinstance(own, (str, Mapping)) else own:
        if isinstance(one, Mapping) and "model" not in one:
            names = one.get(model) or one.get("*") or ()
            found += [names] if isinstance(names, str) else names
        else:
            found.append(one)
    return found


def _made(name: str, message: str, keywords: Mapping[str, Any]) -> Exception:
    from . import exceptions

    made: Exception = getattr(exceptions, name)(message=message, model=keywords.get("model"), llm_provider="")
    return made
