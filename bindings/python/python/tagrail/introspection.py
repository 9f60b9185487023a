"""What a router says of itself: its deployments and names, and where a call would go.

Everything returned is the caller's own: changing it changes nothing of the router.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any

from . import arguments
from .caller import held
from .deployments import Deployment, ModelGroupInfo, plain
from .keywords import body
from .report import Explanation

if TYPE_CHECKING:
    from ._core import Core, Operation
    from .caller import Caller
    from .deployments import Fleet


# What LiteLLM says of a name that nothing is called.
_UNKNOWN = "There are no healthy deployments for this model"


class Introspection:
    """The questions that call nobody."""

    _core: Core
    _fleet: Fleet
    _settings: dict[str, Any]
    # Held while something is changed, by one thread at a time: of all routers, so that a child of a fork can be
    # given another, whoever held this one.
    _lock = RLock()

    # ---- what is deployed ------------------------------------------------------
    @property
    def model_names(self) -> set[str]:
        """The names of all groups."""
        return {one["model_name"] for one in self._fleet.entries}

    @property
    def deployment_names(self) -> list[str]:
        """What every deployment calls its model upstream."""
        return [str(one["litellm_params"].get("model")) for one in self._fleet.entries]

    @property
    def model_id_to_deployment_index_map(self) -> dict[str, int]:
        """Where in `model_list` an id stands."""
        return {id: index for index, id in enumerate(self._fleet.ids())}

    @property
    def pattern_router(self) -> Patterns:
        """The wildcards, in the shape in which LiteLLM's router has them."""
        return Patterns([plain(one) for one in self._fleet.entries])

    def get_model_list(self, model_name: str | None = None, team_id: str | None = None) -> list[dict[str, Any]]:
        """All deployments, those of aliases first; or those of a name: of an alias, a group or a wildcard."""
        fleet, aliases = self._fleet, self._aliases()
        if model_name is None:
            shown = ((name, target) for name, (target, hidden) in aliases.items() if not hidden)
            of_aliases = [one for name, target in shown for one in fleet.group(target, name)]
            return of_aliases + [plain(one) for one in fleet.entries]
        if model_name in aliases:
            return fleet.group(aliases[model_name][0], model_name)
        return fleet.group(model_name) or self._captured(model_name)

    def get_model_names(self, team_id: str | None = None) -> list[str]:
        """The name of every deployment in `get_model_list()`."""
        return [one["model_name"] for one in self.get_model_list()]

    def get_model_ids(self, model_name: str | None = None, exclude_team_models: bool = False) -> list[str]:
        """All ids, or those of a group."""
        return self._fleet.ids(model_name)

    def has_model_id(self, candidate_id: str) -> bool:
        """Whether a deployment has this id."""
        return self._fleet.find(candidate_id) is not None

    def get_deployment(self, model_id: str) -> Deployment | None:
        """The deployment of an id."""
        found = self._fleet.find(model_id)
        return None if found is None else Deployment(**plain(found))

    def get_deployment_by_model_group_name(self, model_group_name: str) -> Deployment | None:
        """The first deployment of a group."""
        found = self._fleet.group(model_group_name)
        return Deployment(**found[0]) if found else None

    def get_model_info(self, id: str) -> dict[str, Any] | None:
        """The deployment of an id, as a dict."""
        found = self._fleet.find(id)
        return None if found is None else plain(found)

    def get_model_group(self, id: str) -> list[dict[str, Any]] | None:
        """All deployments that share a group with the one of this id."""
        found = self._fleet.find(id)
        return None if found is None else self._fleet.group(found["model_name"])

    def get_model_group_info(self, model_group: str) -> ModelGroupInfo | None:
        """What the deployments of a name say of themselves, taken together."""
        found = self.get_model_list(model_group)
        if not found:
            return None
        said = [{**one["model_info"], **one["litellm_params"]} for one in found]
        return ModelGroupInfo(
            model_group=model_group,
            providers=list(dict.fromkeys(_provider(one) for one in said)),
            **_together(said, "max_input_tokens", "max_output_tokens", how=max),
            **_together(said, "input_cost_per_token", "output_cost_per_token", how=max),
            **_together(said, "tpm", "rpm", how=sum),
            **_together(said, "mode", "configurable_clientside_auth_params", how=_first),
        )

    def get_settings(self) -> dict[str, Any]:
        """What routing goes by."""
        return {name: getattr(self, name) for name in arguments.SHOWN}

    @property
    def diagnostics(self) -> list[dict[str, Any]]:
        """What was noticed in the configuration: mistakes, and advice."""
        return self._core.diagnostics()

    # ---- where a call would go -------------------------------------------------
    def get_available_deployment(
        self,
        model: str,
        messages: Any = None,
        input: Any = None,
        specific_deployment: bool | None = False,
        request_kwargs: Mapping[str, Any] | None = None,
        *,
        caller: Caller | None = None,
    ) -> dict[str, Any]:
        """The deployment that a call would be sent to now. Of a wildcard, with the model that it stands for."""
        from .exceptions import BadRequestError

        asked = {**(request_kwargs or {}), "model": model, "messages": messages, "input": input}
        operation: Operation = "chat" if input is None else "embeddings"
        if specific_deployment:
            asked["specific_deployment"] = True
        if "specific_deployment" in asked:
            self._aim(asked)
        try:
            id, upstream = self._core.choose(operation, body(operation, asked), held(caller))
        except BadRequestError as error:
            instead = self._default_for_unknown() if caller is None and _UNKNOWN in error.message else None
            if instead is None or instead == model:
                raise
            # As LiteLLM has it: the first of the defaults alone, where a call would ask all of them.
            return self.get_available_deployment(instead, messages, input, specific_deployment, request_kwargs)
        found = plain(self._find(id))
        found["litellm_params"]["model"] = upstream
        chosen: dict[str, Any] = found
        return chosen

    async def async_get_available_deployment(
        self,
        model: str,
        request_kwargs: Mapping[str, Any] | None = None,
        messages: Any = None,
        input: Any = None,
        specific_deployment: bool | None = False,
        *,
        caller: Caller | None = None,
    ) -> dict[str, Any]:
        """The same: nothing is waited for."""
        return self.get_available_deployment(
            model, messages, input, specific_deployment, request_kwargs, caller=caller
        )

    def explain(
        self,
        model: str,
        messages: Any = None,
        *,
        operation: Operation = "chat",
        caller: Caller | None = None,
        cooling: Mapping[str, float] | Iterable[str] | None = None,
        told: bool = False,
        **keywords: Any,
    ) -> Explanation:
        """Where a call with these keywords would go, and what was said of every deployment.

        `cooling`: ids that are to be thought of as cooling, with the seconds left or without. `told=True` gives
        what the caller itself may hear: nothing of deployments that are reserved for others.
        """
        keywords["model"] = model
        if messages is not None:
            keywords["messages"] = messages
        if "specific_deployment" in keywords:
            self._aim(keywords)
        if cooling is not None and not isinstance(cooling, Mapping):
            cooling = dict.fromkeys([cooling] if isinstance(cooling, str) else cooling, 60.0)
        seconds = None if cooling is None else {id: float(left) for id, left in cooling.items()}
        return Explanation(self._core.explain(operation, body(operation, keywords), held(caller), seconds, told))

    def _aim(self, keywords: dict[str, Any]) -> None:
        """`specific_deployment=True`: `model` is what a deployment calls upstream, so its id is asked for."""
        if not keywords.pop("specific_deployment"):
            return
        model = keywords["model"]
        ids = [one["model_info"]["id"] for one in self._fleet.entries if one["litellm_params"].get("model") == model]
        if ids:
            from random import choice

            keywords["model"] = choice(ids)

    def _default_for_unknown(self) -> str | None:
        """The first name that every unknown one falls back to."""
        for table in arguments.value(self._settings, "fallbacks") or ():
            names = table.get("*")
            if names:
                first: str = names if isinstance(names, str) else names[0]
                return first
        return None

    def _find(self, id: str) -> dict[str, Any]:
        """The deployment of an id that the compiled part gave."""
        found = self._fleet.find(id)
        if found is None:
            # Another thread has put a configuration in use, and is about to say so.
            with self._lock:
                found = self._fleet.find(id)
        if found is None:
            raise KeyError(id)
        return found

    def _aliases(self) -> dict[str, tuple[str, bool]]:
        """Aliases: target, and whether it is hidden."""
        written = arguments.value(self._settings, "model_group_alias")
        maps = {name: to if isinstance(to, dict) else {"model": to} for name, to in written.items()}
        return {name: (to["model"], bool(to.get("hidden"))) for name, to in maps.items()}

    def _captured(self, name: str) -> list[dict[str, Any]]:
        """The deployments of the wildcard that takes a name, with the models that it stands for.

        Which wildcard, and what becomes of its stars, the compiled part says: it is asked of each deployment
        alone, since beside others another could be chosen.
        """
        group = self._core.explain("chat", {"model": name}, None, None).get("group")
        if not group or "*" not in group or group == name:
            return []
        found = self._fleet.group(group, name)
        for one in found:
            params = one["litellm_params"]
            alone = {key: params[key] for key in ("model", "custom_llm_provider") if key in params}
            document = {"model_name": group, "litellm_params": {**alone, "api_key": "-"}}
            settings = {key: self._settings[key] for key in ("routing_mode",) if key in self._settings}
            core = type(self._core)(arguments.document([document], settings, strict=False), {})
            params["model"] = core.choose("chat", {"model": name}, None)[1]
        return found


class Patterns:
    """Wildcards as regular expressions, most specific first, with their deployments."""

    def __init__(self, model_list: Sequence[dict[str, Any]]) -> None:
        import re

        groups: dict[str, list[dict[str, Any]]] = {}
        for one in model_list:
            if "*" in one["model_name"]:
                groups.setdefault(re.escape(one["model_name"]).replace(r"\*", "(.*)"), []).append(one)
        self.patterns = {pattern: groups[pattern] for pattern in sorted(groups, key=_specificity, reverse=True)}


def _specificity(pattern: str) -> tuple[int, int]:
    return len(pattern), sum(pattern.count(character) for character in "*+?\\^$|()")


def _provider(said: Mapping[str, Any]) -> str:
    """What stands in front of the model's name, unless it is said."""
    return said.get("custom_llm_provider") or str(said["model"]).partition("/")[0]


def _together(said: Iterable[Mapping[str, Any]], *names: str, how: Any) -> dict[str, Any]:
    """Fields that somebody says, each as one value."""
    found = {name: [one[name] for one in said if one.get(name) is not None] for name in names}
    return {name: how(values) for name, values in found.items() if values}


def _first(values: list[Any]) -> Any:
    return values[0]


def _after_fork() -> None:
    Introspection._lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
