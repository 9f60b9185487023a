"""Records as plain values: what `model_dump` gives, with pydantic's ways to choose among the fields."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from .record import Record

# Names, or names and positions with what is chosen of them; `"__all__"` stands for every position.
Selection = Union[Set[Any], Mapping[Any, Any], None]

_NOTHING = object()


def dumped(
    record: Record, include: Selection, exclude: Selection, unset: bool, defaults: bool, none: bool
) -> dict[str, Any]:
    """A new dict of the record. `unset`, `defaults` and `none` say what is left out."""
    out: dict[str, Any] = {}
    shape = record._shape
    for name in record._data if unset else record._names():
        chosen = _chosen(name, include, exclude)
        if chosen is None:
            continue
        value = record._field(name)
        if none and value is None:
            continue
        if defaults and value == shape.get(name, _NOTHING):
            continue
        out[name] = plain(value, *chosen, unset, defaults, none)
    return out


def plain(
    value: Any,
    include: Selection = None,
    exclude: Selection = None,
    unset: bool = False,
    defaults: bool = False,
    none: bool = False,
) -> Any:
    """Dicts, lists and scalars anew: whoever changes them changes no answer."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is list or kind is tuple:
        if include is None and exclude is None:
            # Vectors are long.
            return [v if type(v) in _SCALARS else plain(v, None, None, unset, defaults, none) for v in value]
        picked = []
        for place, item in enumerate(value):
            chosen = _chosen(place, include, exclude)
            if chosen is not None:
                picked.append(plain(item, *chosen, unset, defaults, none))
        return picked
    if isinstance(value, dict):
        out = {}
        for name, item in value.items():
            chosen = _chosen(name, include, exclude)
            if chosen is not None:
                out[name] = plain(item, *chosen, unset, defaults, none)
        return out
    if hasattr(value, "_shape"):
        return dumped(value, include, exclude, unset, defaults, none)
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_none=none)
    return value


_SCALARS = frozenset((float, int, str, bool, type(None)))


def _chosen(key: Any, include: Selection, exclude: Selection) -> tuple[Selection, Selection] | None:
    """What is chosen of the value under `key`; None when it is left out."""
    below: Selection = None
    if exclude is not None and (key in exclude or "__all__" in exclude):
        below = _below(key, exclude)
        if below is None:
            return None
    if include is None:
        return None, below
    if key not in include and "__all__" not in include:
        return None
    return _below(key, include), below


def _below(key: Any, selection: Any) -> Selection:
    """What a selection says of the parts of the value under `key`; None: nothing more than its name."""
    if not isinstance(selection, Mapping):
        return None
    below: Any = selection[key] if key in selection else selection["__all__"]
    return None if below is True or below is ... else below
