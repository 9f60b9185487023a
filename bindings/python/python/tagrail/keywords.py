"""Keywords of a call, as the body that the compiled part reads.

Most calls pass through as they are. Only what JSON has no value for, and what means something to Python alone, is
looked at more closely.
"""

from __future__ import annotations

from typing import Any

from .limits import seconds

# Values that are sent as they are; also None, which stands for a keyword that was not given.
_SENT = frozenset({str, int, float, bool, dict, list, tuple, type(None)})
# The calls of which the provider gets to see `metadata`. In all others it is the router's, and only its tags count.
_TELLS_METADATA = ("responses", "messages")
# What a router reads of its metadata: tags, and the agent that `tag_regex` looks at.
_READ = ("tags", "user_agent")
# LiteLLM's classes of its own arguments, and openai's for a keyword that was not given.
_NOT_GIVEN = ("NotGiven", "Omit")


def body(operation: str, given: dict[str, Any]) -> dict[str, Any]:
    """The body of a call with these keywords; the same dict where nothing has to change."""
    if "metadata" in given or "litellm_metadata" in given:
        return _rewritten(operation, given)
    for value in given.values():
        if value.__class__ not in _SENT:
            return _rewritten(operation, given)
    return given


def _rewritten(operation: str, given: dict[str, Any]) -> dict[str, Any]:
    rewritten: dict[str, Any] = {}
    for name, value in given.items():
        if value.__class__ not in _SENT:
            if type(value).__name__ in _NOT_GIVEN:
                continue
            value = _converted(name, value)
        elif isinstance(value, dict) and (
            name == "litellm_metadata" or name == "metadata" and operation not in _TELLS_METADATA
        ):
            # Programs keep objects of their own here.
            value = {name: value[name] for name in _READ if value.get(name) is not None}
        rewritten[name] = value
    return rewritten


def _converted(name: str, value: Any) -> Any:
    if name == "response_format" and isinstance(value, type):
        from .response_format import of_model

        return of_model(value)
    if name in ("timeout", "request_timeout", "stream_timeout"):
        return seconds(value)
    return value
