"""Deployments as programs see them: dicts in LiteLLM's shape, and objects with both ways of access.

Nothing here decides anything. What is deployed is a `Fleet`: an immutable value of the documents that the
compiled part was given, and of what it made of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from .limits import seconds

_MARK = "os.environ/"
# What an object does not show of itself in a log.
_SECRET = ("key", "secret", "token", "password", "credential", "headers")


class Record:
    """Fields with attribute and item access. A known field that is not set is None, and is not dumped."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and not name.startswith("_") and hasattr(self, name)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(list(self.__dict__.items()))

    def get(self, name: str, default: Any = None) -> Any:
        """The field, or what stands in for one that is not known."""
        return getattr(self, name, default)

    def keys(self) -> list[str]:
        """The fields that are set."""
        return list(self.__dict__)

    def model_dump(self, *, exclude_none: bool = False, **_: Any) -> dict[str, Any]:
        """A dict of the fields that are set, with dicts for the objects in it."""
        dumped: dict[str, Any] = plain(self.__dict__)
        return without_none(dumped) if exclude_none else dumped

    to_json = model_dump

    def model_copy(self, **_: Any) -> Any:
        """The same again."""
        return type(self)(**self.model_dump())

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={_shown(name, value)}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({said})"


class LiteLLM_Params(Record):
    """What `litellm_params` of a deployment says."""

    api_key: str | None = None
    api_base: str | None = None
    api_version: str | None = None
    base_url: str | None = None
    custom_llm_provider: str | None = None
    organization: str | Sequence[str] | None = None
    tags: Sequence[str] | None = None
    tag_regex: Sequence[str] | None = None
    weight: float | None = None
    order: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    timeout: float | None = None
    stream_timeout: float | None = None
    max_retries: int | None = None
    num_retries: int | None = None
    max_parallel_requests: int | None = None
    cooldown_time: float | None = None
    mock_response: str | None = None
    extra_headers: Mapping[str, str] | None = None
    extra_body: Mapping[str, Any] | None = None
    litellm_credential_name: str | None = None
    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    model: str

    def __init__(self, model: str, **fields: Any) -> None:
        super().__init__(model=model, **fields)


class ModelInfo(Record):
    """What `model_info` of a deployment says. An id is made up where none is given."""

    id: str
    db_model: bool
    base_model: str | None = None
    mode: str | None = None
    team_id: str | None = None
    access_groups: Sequence[str] | None = None
    enable_tag_filtering: bool | None = None
    allow_fail_open: bool | None = None
    blocked: bool | None = None

    def __init__(self, id: str | int | None = None, **fields: Any) -> None:
        super().__init__(id=_made_up() if id is None else str(id), **{"db_model": False, **fields})


class Deployment(Record):
    """One deployment: `Deployment(model_name=, litellm_params={…}, model_info={…})`."""

    model_name: str
    litellm_params: LiteLLM_Params
    model_info: ModelInfo

    def __init__(self, model_name: str, litellm_params: Any, model_info: Any = None, **fields: Any) -> None:
        params, info = _fields(litellm_params, "litellm_params"), _fields(model_info or {}, "model_info")
        super().__init__(
            model_name=model_name, litellm_params=LiteLLM_Params(**params), model_info=ModelInfo(**info), **fields
        )


class ModelGroupInfo(Record):
    """What is known of a group, of what LiteLLM's class of this name says."""

    model_group: str
    providers: list[str]
    max_input_tokens: float | None = None
    max_output_tokens: float | None = None
    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    mode: str | None = None
    tpm: int | None = None
    rpm: int | None = None
    configurable_clientside_auth_params: Any = None
    # What a model can do is not known here: None, where LiteLLM says False or what its table says.
    supports_vision: bool | None = None
    supports_function_calling: bool | None = None
    supports_parallel_function_calling: bool | None = None
    supports_reasoning: bool | None = None
    supports_web_search: bool | None = None
    supports_url_context: bool | None = None
    supported_openai_params: list[str] | None = None


class Fleet:
    """What is deployed: the documents, and for every deployment in use its dict."""

    __slots__ = ("_at", "_places", "documents", "entries")

    def __init__(
        self, documents: Sequence[dict[str, Any]], used: Iterable[Mapping[str, Any]], environ: Mapping[str, str]
    ) -> None:
        self.documents = documents
        self.entries: list[dict[str, Any]] = []
        self._at: dict[str, int] = {}
        self._places: list[int] = []
        seen: dict[int, int] = {}
        for deployment in used:
            place = deployment["place"]
            repeat = seen[place] = seen.get(place, -1) + 1
            self._at[deployment["id"]] = len(self.entries)
            self._places.append(place)
            self.entries.append(entry(documents[place], deployment["id"], repeat, environ))

    def find(self, id: str) -> dict[str, Any] | None:
        """The deployment of an id."""
        at = self._at.get(id)
        return None if at is None else self.entries[at]

    def ids(self, model_name: str | None = None) -> list[str]:
        """The ids of a group, or all."""
        return [one["model_info"]["id"] for one in self.entries if model_name in (None, one["model_name"])]

    def group(self, model_name: str, shown_as: str | None = None) -> list[dict[str, Any]]:
        """The deployments of exactly this name, as copies, under this name or another."""
        found = [plain(one) for one in self.entries if one["model_name"] == model_name]
        for one in found:
            one["model_name"] = shown_as or model_name
        return found

    def at(self, place: int) -> dict[str, Any] | None:
        """The deployment of a document; None where it was left out."""
        return self.entries[self._places.index(place)] if place in self._places else None

    def without(self, id: str) -> list[dict[str, Any]]:
        """The documents but the one of this id."""
        gone = self._places[self._at[id]]
        return [one for place, one in enumerate(self.documents) if place != gone]


def documents(model_list: Iterable[Any]) -> list[dict[str, Any]]:
    """A model list as a document: dicts, tagrail's or LiteLLM's deployments. Nothing is shared with it."""
    if isinstance(model_list, (str, Mapping)):
        raise TypeError(f"model_list is a list of deployments, not {type(model_list).__name__}")
    return [document(item, f"model_list[{place}]: ") for place, item in enumerate(model_list)]


def document(item: Any, place: str = "") -> dict[str, Any]:
    """One deployment, of such a list."""
    given = plain(item)
    if not isinstance(given, dict):
        what = f"{place}a deployment is a dict or a Deployment, not {type(item).__name__}"
        raise TypeError(f'{what} (write `{{"model_name": NAME, "litellm_params": {{"model": "provider/name"}}}}`)')
    # What pydantic fills in says nothing: only what was set is to reach the compiled part.
    return given if isinstance(item, Mapping) else without_none(given)


def id_of(one: Mapping[str, Any]) -> str | None:
    """The id that a document says, if it says one."""
    info = one.get("model_info")
    id = info.get("id") if isinstance(info, Mapping) else None
    return None if id is None else str(id)


def repeats(list_of: Sequence[dict[str, Any]]) -> list[int]:
    """Positions of deployments that are the same as an earlier one: by id, or in all that makes the id."""
    seen: set[str] = set()
    found = []
    for position, one in enumerate(list_of):
        key = _identity(one)
        if key in seen:
            found.append(position)
        seen.add(key)
    return found


def entry(given: Mapping[str, Any], id: str, repeat: int, environ: Mapping[str, str]) -> dict[str, Any]:
    """A deployment in use, in the shape of LiteLLM's dicts: variables looked up, its id filled in."""
    shown: dict[str, Any] = {**without_none(plain(given))}
    params = _looked_up(shown.get("litellm_params") or {}, environ)
    owners = params.get("organization")
    if isinstance(owners, list) and repeat < len(owners):
        params["organization"] = owners[repeat]
    shown["litellm_params"] = params
    shown["model_info"] = {"db_model": False, **(shown.get("model_info") or {}), "id": id}
    return shown


def plain(value: Any) -> Any:
    """A value as dicts and lists of its own; objects become dicts of their fields."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, Record):
        return plain(value.__dict__)
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return without_none(plain(dump(exclude_none=True)))
    if type(value).__name__ == "Timeout":
        return seconds(value)
    return value


def without_none(value: Any) -> Any:
    """The value without the fields of dicts that are None."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


def _identity(one: Mapping[str, Any]) -> str:
    id = id_of(one)
    return repr((one.get("model_name"), one.get("litellm_params"))) if id is None else id


def _looked_up(value: Any, environ: Mapping[str, str]) -> Any:
    """With the variables that `os.environ/NAME` names; a field whose variable is not set goes."""
    if isinstance(value, dict):
        found = ((key, _looked_up(item, environ)) for key, item in value.items())
        return {key: item for key, item in found if item is not None}
    if isinstance(value, list):
        return [_looked_up(item, environ) for item in value]
    if isinstance(value, str) and value.startswith(_MARK):
        return environ.get(value[len(_MARK) :])
    return value


def _fields(value: Any, name: str) -> dict[str, Any]:
    fields = plain(value)
    if not isinstance(fields, dict):
        _refuse(name, value)
    return fields


def _refuse(name: str, value: Any) -> NoReturn:
    raise TypeError(f"{name} is a dict, not {type(value).__name__}")


def _made_up() -> str:
    from uuid import uuid4

    return str(uuid4())


def _shown(name: str, value: Any) -> str:
    if value is not None and any(part in name for part in _SECRET):
        return "'***'"
    return repr(value)
