"""On whose behalf a call is made, where that is not the operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# What `_core` reads of a caller, and in which shape.
_LISTS = ("team_tags", "key_tags", "key_models", "team_models")
_MAPS = ("key_aliases", "team_aliases")


class Caller:
    """What a team and its key hold: `router.completion(..., caller=Caller(team_tags=["eu"]))`.

    A call with a caller reaches what the caller may reach, under the rules that the gateway has for a
    virtual key: reserved tags, `models`, aliases. A call without one is the operator's, and reaches
    everything. Make one per team or key and keep it: nothing of it is copied for a call.
    """

    __slots__ = ("_held",)

    def __init__(
        self,
        *,
        team_tags: Sequence[str] = (),
        key_tags: Sequence[str] = (),
        key_models: Sequence[str] = (),
        team_models: Sequence[str] = (),
        key_aliases: Mapping[str, str] | None = None,
        team_aliases: Mapping[str, str] | None = None,
    ) -> None:
        lists = zip(_LISTS, (team_tags, key_tags, key_models, team_models), strict=True)
        held: dict[str, Any] = {name: _texts(name, value) for name, value in lists}
        maps = zip(_MAPS, (key_aliases, team_aliases), strict=True)
        held.update((name, dict(value or {})) for name, value in maps)
        # A list of models without one admits all, as it does for a key.
        self._held = {name: value for name, value in held.items() if value}

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self._held.items())
        return f"Caller({said})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Caller) and self._held == other._held

    def __hash__(self) -> int:
        return hash(repr(self))


def held(caller: Caller | None) -> Mapping[str, Any] | None:
    """What `_core` is told of a caller."""
    if caller is None:
        return None
    # A mapping here would be taken for one that holds nothing where its keys are misspelt.
    if not isinstance(caller, Caller):
        raise TypeError(f"caller is a tagrail.Caller, not {type(caller).__name__}")
    return caller._held


def _texts(name: str, value: Sequence[str]) -> list[str]:
    # A text is a sequence of texts too, and its letters would each be a tag.
    if isinstance(value, str):
        raise TypeError(f"{name} is a list of texts, not a text")
    texts = list(value)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{name} is a list of texts, and holds {type(text).__name__}")
    return texts
