"""Checks a JSON value against an SDK's own request types, strictly.

Pydantic would do, but it takes the SDK's `Iterable` fields lazily and TypedDicts loosely: a block of
an unknown type or a misspelt field would pass. This walks the same types, refuses what they do not
name, and says where.
"""

import collections.abc
import types
import typing

import typing_extensions


def faults(value, kind, where="body"):
    """What is wrong with `value` as a `kind`: lines, none when it fits."""
    kind = bare(kind)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind in (typing.Any, object):
        return []
    if origin in (typing.Union, types.UnionType):
        return of_union(value, args, where)
    if origin is typing.Literal:
        return [] if value in args else [f"{where}: {value!r} is none of {args}"]
    if typing_extensions.is_typeddict(kind):
        return of_object(value, kind, where)
    if origin in (dict, collections.abc.Mapping):
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no object"]
        return [line for key, item in value.items() for line in faults(item, args[1], f"{where}.{key}")]
    if origin is not None and args and origin not in (type,):  # Iterable, List, the SDK's own sequence
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no list"]
        return [line for n, item in enumerate(value) for line in faults(item, args[0], f"{where}[{n}]")]
    if kind is float:
        return [] if isinstance(value, (int, float)) and not isinstance(value, bool) else [f"{where}: {value!r} is no number"]
    if kind is int and isinstance(value, bool):
        return [f"{where}: {value!r} is no number"]
    return [] if isinstance(kind, type) and isinstance(value, kind) else [f"{where}: {value!r} is no {kind}"]


def bare(kind):
    """A type without Required, NotRequired and Annotated."""
    while typing.get_origin(kind) in (typing.Annotated, typing.Required, typing.NotRequired):
        kind = typing.get_args(kind)[0]
    return kind


def of_union(value, kinds, where):
    """Fits one of them; when none, the complaint of the one that its `type` or `role` names."""
    tried = [(bare(kind), faults(value, kind, where)) for kind in kinds]
    if any(not lines for _, lines in tried):
        return []
    named = [lines for kind, lines in tried if typing_extensions.is_typeddict(kind) and isinstance(value, dict) and not any(
        line.startswith((f"{where}.type:", f"{where}.role:")) for line in lines)]
    return named[0] if named else [f"{where}: {value!r} is none of {len(kinds)} kinds"]


def of_object(value, kind, where):
    """All required fields, no unknown ones, each of its type."""
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no object"]
    fields = typing_extensions.get_type_hints(kind, include_extras=True)
    lines = [f"{where}: no {name}" for name, field in fields.items()
             if typing.get_origin(field) is typing.Required and name not in value]
    lines += [f"{where}.{name}: unknown" for name in value if name not in fields]
    return lines + [line for name, item in value.items() if name in fields
                    for line in faults(item, fields[name], f"{where}.{name}")]
