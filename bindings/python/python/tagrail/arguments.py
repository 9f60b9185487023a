"""What the constructor takes, as the document that the compiled part reads.

Names and defaults are LiteLLM's. What each argument means is decided where every configuration is read: the
document has the shape of a `config.yaml`, so that a router built in a program and one built from a file cannot
differ. What has no effect here is said with a warning, each argument once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .deployments import plain, without_none

# Arguments and their defaults in LiteLLM, where that is not None.
DEFAULTS: dict[str, Any] = {
    "cache_responses": False,
    "cache_kwargs": {},
    "client_ttl": 3600,
    "set_verbose": False,
    "debug_level": "INFO",
    "fallbacks": [],
    "context_window_fallbacks": [],
    "content_policy_fallbacks": [],
    "model_group_alias": {},
    "enable_pre_call_checks": False,
    "enable_tag_filtering": False,
    "tag_filtering_match_any": True,
    "tag_routing_prefix": "",
    "retry_after": 0,
    "model_group_retry_policy": {},
    "routing_strategy": "simple-shuffle",
    "routing_strategy_args": {},
    "deployment_affinity_ttl_seconds": 3600,
    "ignore_invalid_deployments": False,
    "enable_health_check_routing": False,
    "health_check_ignore_transient_errors": False,
    "enable_weighted_failover": False,
    "routing_mode": "tagrail",
}

# What counts where an argument is None.
STANDS_FOR_NONE: dict[str, Any] = {
    "num_retries": 2,
    "max_fallbacks": 5,
    "timeout": 6000.0,
    "allowed_fails": 3,
    "cooldown_time": 5,
    "default_litellm_params": {},
    "routing_groups": [],
}

# Read as None where they are empty, as LiteLLM's attributes are.
_EMPTY_IS_NONE = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")

# Arguments that are Python objects, or settings of LiteLLM's own machinery: the document has no place for them.
_NO_EFFECT: dict[str, str] = {
    "cache_kwargs": "no reply is cached",
    "caching_groups": "no reply is cached",
    "client_ttl": "connections are kept for as long as they are good",
    "polling_interval": "requests are not queued by priority",
    "set_verbose": "ask `router.explain` why a call went where it went",
    "debug_level": "ask `router.explain` why a call went where it went",
    "router_general_settings": "both kinds of calls are always there, and names are those of the model list",
    "plugins": "no plug-in is loaded",
    "fallback_access_check": "fallbacks are the operator's; `caller=` confines a call",
    "auto_router_capability_limit": "no deployment chooses a model by the prompt",
    "health_check_staleness_threshold": "only calls decide on a deployment's health",
    "health_check_ignore_transient_errors": "only calls decide on a deployment's health",
}

_NOTHING: Mapping[str, Any] = {}

# What is no setting of the document, and what is one of another section.
_APART = frozenset({"model_list", "ignore_invalid_deployments", *_NO_EFFECT})
_GENERAL = ("reserved_tags", "tag_grants")

# Findings that say that something written is not used as written. Advice is left to `router.diagnostics`.
_SAID = frozenset({
    "bad-value", "fallback-text", "no-effect", "not-settable", "not-yet-supported", "string-switch",
    "text-for-number", "tls-unverified", "unknown-key", "unknown-target", "unset-variable", "withheld", "wrong-type",
})  # fmt: skip

# What `update_settings` changes.
SETTINGS = (
    "routing_strategy", "routing_strategy_args", "num_retries", "max_fallbacks", "timeout", "stream_timeout",
    "retry_after", "retry_policy", "model_group_retry_policy", "fallbacks", "context_window_fallbacks",
    "content_policy_fallbacks", "default_fallbacks", "allowed_fails", "allowed_fails_policy", "cooldown_time",
    "disable_cooldowns", "model_group_alias", "enable_pre_call_checks", "optional_pre_call_checks",
    "enable_tag_filtering", "tag_filtering_match_any", "tag_routing_prefix", "enable_weighted_failover",
    "default_litellm_params", "default_max_parallel_requests", "routing_groups", "routing_mode",
    "reserved_tags", "tag_grants",
)  # fmt: skip

# What `get_settings` shows.
SHOWN = (
    "routing_strategy_args", "routing_strategy", "allowed_fails", "cooldown_time", "num_retries", "timeout",
    "retry_after", "fallbacks", "context_window_fallbacks", "model_group_retry_policy", "retry_policy",
    "model_group_alias", "enable_weighted_failover", "enable_tag_filtering", "tag_routing_prefix",
    "routing_groups",
)  # fmt: skip


class TagrailWarning(UserWarning):
    """Something that was asked for is not done, or not as it was written."""


def taken(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that say something to the compiled part, as values of their own."""
    said = {name: value for name, value in given.items() if name not in _APART and says_something(name, value)}
    return {name: without_none(plain(value)) for name, value in said.items()}


def says_something(name: str, value: Any) -> bool:
    """Whether an argument differs from what it is when left out."""
    return value is not None and not _is_default(name, value)


def document(
    model_list: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    *,
    strict: bool,
    base: Mapping[str, Any] = _NOTHING,
) -> dict[str, Any]:
    """The configuration. `strict`: a mistake in one deployment is an error of the whole. `base`: what else a file
    said."""
    router = {name: value for name, value in settings.items() if name not in _GENERAL}
    general = dict(base.get("general_settings") or {})
    general.update((name, settings[name]) for name in _GENERAL if name in settings)
    general["strict_config"] = strict
    return {**base, "model_list": list(model_list), "router_settings": router, "general_settings": general}


def settings_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a configuration stands for, wherever it says them."""
    settings: dict[str, Any] = {}
    for section in ("litellm_settings", "general_settings", "router_settings"):
        said = document.get(section) or {}
        settings.update((name, value) for name, value in said.items() if section == "router_settings" or name in SETTINGS)
    return settings


def value(settings: Mapping[str, Any], name: str) -> Any:
    """An argument as the router's attribute of that name shows it."""
    found = settings.get(name)
    if found is None:
        found = DEFAULTS.get(name, STANDS_FOR_NONE.get(name))
    found = plain(found)
    if name == "fallbacks" and settings.get("default_fallbacks"):
        found = [*(found or []), {"*": plain(settings["default_fallbacks"])}]
    return None if not found and name in _EMPTY_IS_NONE else found


def refused(error: TypeError, document: Mapping[str, Any]) -> TypeError:
    """The error of the compiled part about a value that a configuration cannot hold, with the value's place."""
    for section in ("model_list", "router_settings", "general_settings"):
        place = _unsayable(document.get(section), section)
        if place is not None:
            advice = ""
            if place.endswith(".mock_response"):
                advice = "; a deployment answers with a text, give an exception as `mock_response` of a call"
            return TypeError(f"{place}: {error}{advice}")
    return error


def _unsayable(value: Any, place: str) -> str | None:
    """Where in this something stands that JSON has no value for."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return None
    if isinstance(value, Mapping):
        parts = ((item, f"{place}.{name}") for name, item in value.items())
    elif isinstance(value, (list, tuple)):
        parts = ((item, f"{place}[{index}]") for index, item in enumerate(value))
    else:
        return place
    return next((found for item, there in parts if (found := _unsayable(item, there)) is not None), None)


def warn_of_arguments(given: Mapping[str, Any], *, stacklevel: int) -> None:
    """Says which arguments have no effect."""
    for name, instead in _NO_EFFECT.items():
        if says_something(name, given.get(name)):
            warnings.warn(f"`{name}` has no effect: {instead}", TagrailWarning, stacklevel=stacklevel + 1)


def warn_of_findings(findings: Iterable[Mapping[str, Any]], *, stacklevel: int) -> None:
    """Says what of a configuration is not used as written."""
    for finding in findings:
        if finding["severity"] == "error" or finding["code"] in _SAID:
            place = finding.get("path")
            message = f"{place}: {finding['message']}" if place else str(finding["message"])
            fate = " (it is left out)" if finding["severity"] == "error" else ""
            advice = f" ({finding['help']})" if finding.get("help") else ""
            warnings.warn(message + fate + advice, TagrailWarning, stacklevel=stacklevel + 1)


def warn_of_setting(name: str, *, stacklevel: int) -> None:
    """Says that this is none that can be set anew."""
    warnings.warn(f"`{name}` is no setting that can be changed", TagrailWarning, stacklevel=stacklevel + 1)


def number(name: str, value: Any) -> Any:
    """A number that came as text, as settings from forms and variables do."""
    if name in STANDS_FOR_NONE and isinstance(value, str):
        try:
            as_float = float(value)
        except ValueError:
            raise ValueError(f"`{name}` is a number, and {value!r} is none") from None
        return int(as_float) if as_float.is_integer() else as_float
    return value


def _is_default(name: str, value: Any) -> bool:
    if name == "router_general_settings":
        return not any((plain(value) or {}).values())
    default = DEFAULTS.get(name)
    return default is not None and bool(type(value) is type(default)) and bool(value == default)
