"""Dicts whose items are attributes too: for what LiteLLM answers with as plain dicts."""

from __future__ import annotations

from typing import Any, TypeVar

from .dump import plain

F = TypeVar("F", bound="Fields")


class Fields(dict[str, Any]):
    """A dict with attribute access, down to the bottom. Where a key is named like a method, the method wins."""

    __slots__ = ()

    @classmethod
    def _wrap(cls: type[F], data: dict[str, Any]) -> F:
        return cls(data)

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None
        if type(value) is dict:
            value = self[name] = Fields(value)
        elif type(value) is list and value and (type(value[0]) is dict or type(value[-1]) is dict):
            value[:] = [Fields(item) if type(item) is dict else item for item in value]
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name[:1] == "_":
            object.__setattr__(self, name, value)
        else:
            self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def model_dump(self, *, exclude_none: bool = False, **_: Any) -> dict[str, Any]:
        """A new dict of plain values."""
        dump: dict[str, Any] = plain(self)
        return {name: value for name, value in dump.items() if value is not None} if exclude_none else dump

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """The same as JSON."""
        import json

        separators = (",", ":") if indent is None else None
        return json.dumps(self.model_dump(**options), indent=indent, separators=separators, ensure_ascii=False)
