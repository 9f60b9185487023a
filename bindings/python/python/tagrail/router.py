"""`Router`: LiteLLM's constructor and methods over the compiled part.

`operations.py` has the calls. Here is what is deployed and how it is set: every change is put together beside what
is in use, handed over whole, and kept only when it was accepted, so that a change that fails has changed nothing
and calls on other threads never see half of one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import arguments, deployments
from ._core import Core
from .deployments import Deployment, Fleet
from .mocks import failure
from .operations import Operations
from .policies import AllowedFailsPolicy as AllowedFailsPolicy, RetryPolicy as RetryPolicy


class _Setting:
    """A constructor's argument as an attribute. Setting it is `update_settings`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, router: Router | None, owner: type[Router]) -> Any:
        return self if router is None else arguments.value(router._settings, self.name)

    def __set__(self, router: Router, value: Any) -> None:
        router.update_settings(**{self.name: value})


class Router(Operations):
    """Sends every call to the right deployment, by name, tags and what its caller may use.

    The arguments are LiteLLM's, and `routing_mode` ("tagrail" or "litellm"), `reserved_tags` and `tag_grants` as
    in a configuration. What has no effect here is said with a `TagrailWarning`.
    """

    num_retries = _Setting("num_retries")
    max_fallbacks = _Setting("max_fallbacks")
    timeout = _Setting("timeout")
    stream_timeout = _Setting("stream_timeout")
    retry_after = _Setting("retry_after")
    retry_policy = _Setting("retry_policy")
    model_group_retry_policy = _Setting("model_group_retry_policy")
    fallbacks = _Setting("fallbacks")
    default_fallbacks = _Setting("default_fallbacks")
    context_window_fallbacks = _Setting("context_window_fallbacks")
    content_policy_fallbacks = _Setting("content_policy_fallbacks")
    allowed_fails = _Setting("allowed_fails")
    allowed_fails_policy = _Setting("allowed_fails_policy")
    cooldown_time = _Setting("cooldown_time")
    disable_cooldowns = _Setting("disable_cooldowns")
    routing_strategy = _Setting("routing_strategy")
    routing_strategy_args = _Setting("routing_strategy_args")
    model_group_alias = _Setting("model_group_alias")
    enable_pre_call_checks = _Setting("enable_pre_call_checks")
    enable_tag_filtering = _Setting("enable_tag_filtering")
    tag_filtering_match_any = _Setting("tag_filtering_match_any")
    tag_routing_prefix = _Setting("tag_routing_prefix")
    enable_weighted_failover = _Setting("enable_weighted_failover")
    default_litellm_params = _Setting("default_litellm_params")
    default_max_parallel_requests = _Setting("default_max_parallel_requests")
    routing_groups = _Setting("routing_groups")
    routing_mode = _Setting("routing_mode")

    def __init__(
        self,
        model_list: Sequence[Any] | None = None,
        assistants_config: Any = None,
        search_tools: Any = None,
        guardrail_list: Any = None,
        redis_url: str | None = None,
        redis_host: str | None = None,
        redis_port: int | None = None,
        redis_password: str | None = None,
        redis_db: int | None = None,
        cache_responses: bool | None = False,
        cache_kwargs: Mapping[str, Any] | None = {},
        caching_groups: Any = None,
        client_ttl: int = 3600,
        polling_interval: float | None = None,
        default_priority: int | None = None,
        num_retries: int | None = None,
        max_fallbacks: int | None = None,
        timeout: float | None = None,
        stream_timeout: float | None = None,
        default_litellm_params: Mapping[str, Any] | None = None,
        default_max_parallel_requests: int | None = None,
        set_verbose: bool = False,
        debug_level: str = "INFO",
        default_fallbacks: Sequence[str] | None = None,
        fallbacks: Sequence[Any] | None = [],
        context_window_fallbacks: Sequence[Any] | None = [],
        content_policy_fallbacks: Sequence[Any] | None = [],
        model_group_alias: Mapping[str, Any] | None = {},
        enable_pre_call_checks: bool = False,
        enable_tag_filtering: bool = False,
        tag_filtering_match_any: bool = True,
        tag_routing_prefix: str = "",
        plugins: Any = None,
        retry_after: float = 0,
        retry_policy: Any = None,
        model_group_retry_policy: Mapping[str, Any] | None = {},
        allowed_fails: int | None = None,
        allowed_fails_policy: Any = None,
        cooldown_time: float | None = None,
        disable_cooldowns: bool | None = None,
        routing_strategy: str = "simple-shuffle",
        optional_pre_call_checks: Any = None,
        routing_strategy_args: Mapping[str, Any] | None = {},
        routing_groups: Any = None,
        provider_budget_config: Any = None,
        alerting_config: Any = None,
        router_general_settings: Any = None,
        deployment_affinity_ttl_seconds: int = 3600,
        model_group_affinity_config: Any = None,
        ignore_invalid_deployments: bool = False,
        enable_health_check_routing: bool = False,
        health_check_staleness_threshold: int | None = None,
        health_check_ignore_transient_errors: bool = False,
        background_health_check_model_groups: Any = None,
        enable_weighted_failover: bool = False,
        fallback_access_check: Any = None,
        auto_router_capability_limit: Any = None,
        *,
        routing_mode: str = "tagrail",
        reserved_tags: Sequence[str] | None = None,
        tag_grants: bool | None = None,
    ) -> None:
        # The lists and maps above are LiteLLM's defaults, and nothing here changes one.
        given = dict(locals())
        del given["self"]
        arguments.warn_of_arguments(given, stacklevel=2)
        self._base: dict[str, Any] = {}
        self._strict = not ignore_invalid_deployments
        documents = _documents(model_list or ())
        settings = arguments.taken(given)
        _prepare_failures()
        self._begin(_core(self._document(documents, settings)), documents, settings)

    @property
    def model_list(self) -> list[dict[str, Any]]:
        """All deployments in use. Setting it is `set_model_list`."""
        return [deployments.plain(one) for one in self._fleet.entries]

    @model_list.setter
    def model_list(self, model_list: Iterable[Any]) -> None:
        self.set_model_list(model_list)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Router:
        """The router of a `config.yaml`. What the file says is where it begins: it is read once, and what is
        changed later is not written back. A deployment with a mistake is left out, with a warning."""
        router = cls.__new__(cls)
        _prepare_failures()
        core = Core.from_file(os.fspath(path), os.environ)
        document = core.document()
        settings = arguments.settings_of(document)
        router._base, router._strict = document, False
        router._begin(core, document.get("model_list") or [], settings)
        return router

    def _begin(self, core: Core, documents: list[dict[str, Any]], settings: dict[str, Any]) -> None:
        self._core, self._settings = core, settings
        self._reserved: Sequence[str] | None = ()
        self._fleet = self._deployed(core, documents)
        arguments.warn_of_findings(core.diagnostics(), stacklevel=3)

    def __repr__(self) -> str:
        fleet = self._fleet
        return f"<Router of {len(fleet.entries)} deployments under {len(self.model_names)} names>"

    # ---- change ------------------------------------------------------------
    def set_model_list(self, model_list: Iterable[Any]) -> None:
        """Replaces all deployments."""
        self._change(documents=_documents(model_list))

    def add_deployment(self, deployment: Any) -> Deployment | None:
        """Adds a deployment; None where its id is in use already."""
        document = deployments.document(deployment)
        with self._lock:
            known = self._fleet
            if deployments.repeats([*known.documents, document]):
                return None
            self._change(documents=[*known.documents, document])
            added = self._fleet.at(len(known.documents))
            return None if added is None else Deployment(**deployments.plain(added))

    def upsert_deployment(self, deployment: Any) -> Deployment | None:
        """Adds a deployment, or puts it in the place of the one with its id; None where nothing differs."""
        document = deployments.document(deployment)
        id = deployments.id_of(document)
        with self._lock:
            known = self._fleet
            if id is None or known.find(id) is None:
                return self.add_deployment(document)
            if known.find(id) == deployments.entry(document, id, 0, os.environ):
                return None
            self._change(documents=[*known.without(id), document])
            return self.get_deployment(id)

    def delete_deployment(self, id: str) -> dict[str, Any] | None:
        """Takes a deployment away, and returns it; None where there is none of this id."""
        with self._lock:
            gone = self._fleet.find(id)
            if gone is not None:
                self._change(documents=self._fleet.without(id))
            return None if gone is None else dict(gone)

    def update_settings(self, **settings: Any) -> None:
        """Sets arguments of the constructor anew: all of these, or, where one is refused, none."""
        with self._lock:
            merged = dict(self._settings)
            for name, value in settings.items():
                if name not in arguments.SETTINGS:
                    arguments.warn_of_setting(name, stacklevel=2)
                    continue
                merged.pop(name, None)
                merged.update(arguments.taken({name: arguments.number(name, value)}))
            self._change(settings=merged)

    def reserve(self, tags: Sequence[str] | None) -> None:
        """Which tags are reserved for callers that hold them, beside those of `reserved_tags`. `None`: that is
        not known, and until it is, callers reach nothing that carries tags."""
        with self._lock:
            self._reserved = None if tags is None else list(tags)
            self._core.reserve(self._reserved)

    def flush_cache(self) -> None:
        """Forgets which deployments are cooling, and connections."""
        with self._lock:
            core = self._anew()
            if self._reserved != ():
                core.reserve(self._reserved)
            self._core = core

    def reset(self) -> None:
        """As `flush_cache`."""
        self.flush_cache()

    def discard(self) -> None:
        """Nothing has to be done: a router is in no list of the process."""

    def _anew(self) -> Core:
        return _core(self._document(self._fleet.documents, self._settings))

    def _document(self, documents: Sequence[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
        return arguments.document(documents, settings, strict=self._strict, base=self._base)

    def _deployed(self, core: Core, documents: Sequence[dict[str, Any]]) -> Fleet:
        """What the compiled part made of the documents."""
        return Fleet(documents, core.deployments(), {**os.environ, **(self._base.get("environment_variables") or {})})

    def _change(
        self, documents: list[dict[str, Any]] | None = None, settings: dict[str, Any] | None = None
    ) -> None:
        """Puts another configuration in use, or raises and has changed nothing."""
        with self._lock:
            listed = self._fleet.documents if documents is None else documents
            settings = self._settings if settings is None else settings
            known = self._core.diagnostics()
            document = self._document(listed, settings)
            try:
                self._core.replace(document)
            except TypeError as error:
                raise arguments.refused(error, document) from None
            self._settings, self._fleet = settings, self._deployed(self._core, listed)
            new = [found for found in self._core.diagnostics() if found not in known]
        arguments.warn_of_findings(new, stacklevel=3)


def _core(document: dict[str, Any]) -> Core:
    try:
        return Core(document, os.environ)
    except TypeError as error:
        raise arguments.refused(error, document) from None


def _prepare_failures() -> None:
    """Imports what failures are made of, openai's classes among it: the first failure should not have to wait."""
    from . import exceptions as exceptions


def _documents(model_list: Iterable[Any]) -> list[dict[str, Any]]:
    """The documents of a list, without what is in it twice: an id names one deployment."""
    given = deployments.documents(model_list)
    for place, one in enumerate(given):
        params = one.get("litellm_params")
        if isinstance(params, dict) and failure(params.get("mock_response")):
            where = f"model_list[{place}].litellm_params.mock_response"
            message = f"{where}: it is answered as a text (give it to a call, and that fails)"
            warnings.warn(message, arguments.TagrailWarning, stacklevel=3)
    again = deployments.repeats(given)
    for place in again:
        name = given[place].get("model_name")
        message = f"model_list[{place}] ({name}) is there before under the same id, and is left out"
        warnings.warn(message, arguments.TagrailWarning, stacklevel=3)
    return [one for place, one in enumerate(given) if place not in again]
