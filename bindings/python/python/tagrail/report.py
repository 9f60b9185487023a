"""Why a call goes where it goes, and what is wrong with a configuration; to read, and to ask."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from .deployments import plain


class _Told:
    """What the compiled part says, with attribute and item access. Nested dicts stay dicts."""

    __slots__ = ("_said",)
    _name = "report"

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = said

    def __getattr__(self, name: str) -> Any:
        try:
            return self._said[name]
        except KeyError:
            raise AttributeError(f"this {self._name} has no {name}") from None

    def __getitem__(self, name: str) -> Any:
        return self._said[name]

    def __contains__(self, name: object) -> bool:
        return name in self._said

    def __iter__(self) -> Iterator[str]:
        return iter(self._said)

    def keys(self) -> list[str]:
        """What there is to ask for."""
        return list(self._said)

    def get(self, name: str, default: Any = None) -> Any:
        """An item, or what stands in for it."""
        return self._said.get(name, default)

    def model_dump(self, **_: Any) -> dict[str, Any]:
        """All of it, as a dict of one's own."""
        dumped: dict[str, Any] = plain(self._said)
        return dumped

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.model_dump(),)


class Explanation(_Told):
    """Where a call would go and why, for every deployment: `print(router.explain(...))`."""

    __slots__ = ()
    _name = "explanation"

    @property
    def chosen(self) -> str | None:
        """The id of the deployment that would be asked first; None where none would."""
        first: str | None = self._said["decision"].get("first")
        return first

    @property
    def permitted(self) -> list[str]:
        """The ids of all that could be asked."""
        return list(self._said["decision"].get("permitted") or ())

    def why(self, id: str) -> str:
        """What was said of one deployment."""
        for deployment in self._said["deployments"]:
            if deployment["id"] == id:
                return str(deployment["text"])
        raise KeyError(id)

    def __str__(self) -> str:
        return str(self._said["text"]).rstrip("\n")

    def __repr__(self) -> str:
        return f"<Explanation of {self._said['model']!r}: {self.chosen or self._said['decision'].get('error')}>"


class Report(_Told):
    """What `tagrail check` says of a configuration: `print(tagrail.check("config.yaml"))`."""

    __slots__ = ()
    _name = "report"

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return bool(self._said["ok"])

    @property
    def errors(self) -> list[dict[str, Any]]:
        """What leaves a deployment out, or stops everything."""
        return [found for found in self._said["diagnostics"] if found["severity"] == "error"]

    @property
    def warnings(self) -> list[dict[str, Any]]:
        """What works, but is probably not what was meant."""
        return [found for found in self._said["diagnostics"] if found["severity"] == "warning"]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return str(self._said["text"]).rstrip("\n")

    def __repr__(self) -> str:
        return f"<Report: {_many(len(self.errors), 'error')}, {_many(len(self.warnings), 'warning')}>"


def check(
    config: str | os.PathLike[str] | Mapping[str, Any] | list[Any], *, environ: Mapping[str, str] | None = None
) -> Report:
    """What is wrong with a configuration: of a file, of a dict in its shape, or of a model list alone.

    Nothing is called and nothing is kept. `environ` stands in for the variables of the process.
    """
    from ._core import check as core_check

    environ = os.environ if environ is None else environ
    if isinstance(config, (str, os.PathLike)):
        return Report(core_check(os.fspath(config), None, environ))
    document = {"model_list": plain(config)} if isinstance(config, list) else plain(config)
    return Report(core_check(None, document, environ))


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
