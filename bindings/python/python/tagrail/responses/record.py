"""An object of an answer: what the provider said, with attribute and item access.

A record keeps the parsed JSON object as it came, and makes records of the objects in it when they are asked
for: most of an answer is never looked at. Fields that the API documents and the provider left out read as
None. What is in the record is what was said; nothing else is written into it but by whoever holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from .dump import Selection, dumped

R = TypeVar("R", bound="Record")

# `Record.dict` hides the name within the class.
Document = dict[str, Any]

_new = object.__new__
_LEFT_OUT = object()


class Record:
    """Fields with attribute and item access, and pydantic's methods to get them out again."""

    __slots__ = ("_data", "__dict__", "__weakref__")

    _data: Document

    # Documented fields that are dumped also when they were left out, in LiteLLM's order, and what they read as.
    _shape: ClassVar[Mapping[str, Any]] = {}
    # Documented fields that are not dumped when they were left out; they read as None.
    _quiet: ClassVar[frozenset[str]] = frozenset()
    # What becomes of an object in a field, or of those in its list.
    _inner: ClassVar[Mapping[str, Callable[[Document], Any]]] = {}
    # Fields that are an object even where the provider left it out.
    _always: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, **fields: Any) -> None:
        _set_data(self, fields)

    @classmethod
    def _wrap(cls: type[R], data: Document) -> R:
        record = _new(cls)
        _set_data(record, data)
        return record

    # ---- fields ------------------------------------------------------------
    def __init_subclass__(cls) -> None:
        # A property is found at once, `__getattr__` only after a search that has failed.
        for name in {**cls._shape, **cls._inner, **dict.fromkeys(cls._quiet)}:
            if not hasattr(cls, name):
                setattr(cls, name, property(_reader(name, cls._inner.get(name))))

    def __getattr__(self, name: str) -> Any:
        if name[:1] == "_":
            return self._private(name)
        return self._field(name)

    def _field(self, name: str) -> Any:
        """The field of that name, also where there is a method of that name."""
        value = self._data.get(name, _LEFT_OUT)
        if value is _LEFT_OUT:
            return self._absent(name)
        make = self._inner.get(name)
        return value if make is None else self._made(name, value, make)

    def _made(self, name: str, value: Any, make: Callable[[Document], Any]) -> Any:
        """A value, with records for the objects in it."""
        kind = type(value)
        if kind is dict:
            value = self._data[name] = make(value)
        elif kind is list:
            # In place: whoever holds the list sees the same objects. The last one may be newer.
            if value and (type(value[0]) is dict or type(value[-1]) is dict):
                value[:] = [make(item) if type(item) is dict else item for item in value]
        elif value is None and name in self._always:
            value = self._data[name] = make({})
        return value

    def _private(self, name: str) -> Any:
        """A name with an underscore that is not set."""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _absent(self, name: str) -> Any:
        """A field that was left out."""
        if name in self._always:
            value = self._data[name] = self._inner[name]({})
            return value
        if name in self._shape:
            return self._shape[name]
        if name in self._quiet:
            return None
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name[:1] == "_":
            object.__setattr__(self, name, value)
        else:
            self._data[name] = value

    def __delattr__(self, name: str) -> None:
        if name[:1] == "_":
            object.__delattr__(self, name)
        elif name in self._data:
            del self._data[name]
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name) if name[:1] == "_" else self._field(name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        """The field, or `default` where there is none."""
        try:
            return self[name]
        except AttributeError:
            return default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._data or name in self._shape)

    def _names(self) -> list[str]:
        """The fields that are dumped, in order."""
        shape = self._shape
        return [*shape, *(name for name in self._data if name not in shape)]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Pairs, so that `dict(record)` works."""
        return iter([(name, self._field(name)) for name in self._names()])

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._names(), *self._quiet]

    # ---- getting it out ----------------------------------------------------
    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Selection = None,
        exclude: Selection = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        **_: Any,
    ) -> Document:
        """A new dict of plain values. `exclude_unset` leaves out what the provider did not say."""
        return dumped(self, include, exclude, exclude_unset, exclude_defaults, exclude_none)

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """The same as JSON."""
        import json

        separators = (",", ":") if indent is None else None
        dump = self.model_dump(**options)
        return json.dumps(dump, indent=indent, separators=separators, ensure_ascii=False)

    def dict(self, **options: Any) -> Mapping[str, Any]:
        """`model_dump` under its old name."""
        return self.model_dump(**options)

    def json(self, **options: Any) -> Any:
        """A dict for whole answers and messages, text for what is in them, as in LiteLLM."""
        return self.model_dump_json(**options)

    def to_dict(self, **options: Any) -> Mapping[str, Any]:
        """`model_dump` as the `openai` package calls it."""
        return self.model_dump(**options)

    def to_json(self, *, indent: int | None = 2, **options: Any) -> str:
        """`model_dump_json` as the `openai` package calls it."""
        return self.model_dump_json(indent=indent, **options)

    @property
    def model_extra(self) -> Mapping[str, Any]:
        """What is here that the API does not document."""
        known = (self._shape, self._quiet, self._inner)
        return {name: value for name, value in self if not any(name in names for names in known)}

    @property
    def model_fields_set(self) -> set[str]:
        """The fields that were said or set."""
        return set(self._data)

    # ---- making and copying ------------------------------------------------
    @classmethod
    def model_validate(cls: type[R], obj: Any, **_: Any) -> R:
        """A record of a dict, of keyword arguments' shape, or the record itself."""
        if isinstance(obj, cls):
            return obj
        if isinstance(obj, Record):
            obj = obj.model_dump(exclude_unset=True)
        if not isinstance(obj, Mapping):
            raise TypeError(f"{cls.__name__} is made of a dict, not of {type(obj).__name__}")
        return cls(**obj)

    @classmethod
    def model_validate_json(cls: type[R], json_data: str | bytes, **_: Any) -> R:
        """A record of a JSON object."""
        import json

        return cls.model_validate(json.loads(json_data))

    @classmethod
    def model_construct(cls: type[R], **fields: Any) -> R:
        """A record of just these fields."""
        return cls._wrap(fields)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # So that programs can use it in models of their own. Only pydantic calls this, so it is there.
        from pydantic_core import core_schema  # type: ignore[import-not-found,unused-ignore]

        serialization = core_schema.plain_serializer_function_ser_schema(cls.model_dump)
        schema = core_schema.any_schema()
        return core_schema.no_info_after_validator_function(cls.model_validate, schema, serialization=serialization)

    def _kept(self) -> Document:
        """What goes along beside the fields when this is copied or pickled."""
        return Document(object.__getattribute__(self, "__dict__"))

    def model_copy(self: R, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> R:
        """A copy, with some fields changed."""
        import copy

        made = copy.deepcopy(self) if deep else copy.copy(self)
        if update:
            made._data.update(update)
        return made

    def __copy__(self: R) -> R:
        return _restored(type(self), Document(self._data), self._kept())

    def __deepcopy__(self: R, memo: Any = None) -> R:
        import copy

        return _restored(type(self), *copy.deepcopy((self._data, self._kept()), memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self._data, self._kept())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self)})"


def _reader(name: str, make: Callable[[Document], Any] | None) -> Callable[[Record], Any]:
    """What reads a documented field."""

    def plain(record: Record) -> Any:
        try:
            return record._data[name]
        except KeyError:
            return record._absent(name)

    def nested(record: Record) -> Any:
        try:
            value = record._data[name]
        except KeyError:
            return record._absent(name)
        return record._made(name, value, make) if type(value) in _CHANGING else value  # type: ignore[arg-type]

    return plain if make is None else nested


_CHANGING = frozenset((dict, list, type(None)))

_set_data: Callable[[Record, Document], None] = Record.__dict__["_data"].__set__


def _restored(kind: type[R], data: Document, kept: Document) -> R:
    """What a copy or a pickle is made with."""
    record = kind._wrap(data)
    for name, value in kept.items():
        object.__setattr__(record, name, value)
    return record


def said(**fields: Any) -> Document:
    """Those of the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
