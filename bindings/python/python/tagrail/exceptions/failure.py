"""What all failures of calls have in common: LiteLLM's attributes and texts, and that they can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    import builtins

F = TypeVar("F", bound="Failure")


class Failure(Exception):
    """Mixed into every class of `status.py`.

    openai's constructors want an `httpx.Response`; here it is made when somebody asks for it.
    """

    # What LiteLLM puts in front of a message.
    _prefix: ClassVar[str] = ""
    _status: ClassVar[int] = 500
    # Whether there is an HTTP response to show.
    _answered: ClassVar[bool] = True

    message: str
    model: str | None
    llm_provider: str | None
    status_code: int
    num_retries: int | None
    max_retries: int | None
    litellm_debug_info: str | None
    litellm_response_headers: dict[str, str] | None
    failed_deployment_id: str | None
    # The limit that a call ran into, in seconds.
    timeout: float | None
    # How long the upstream asks to be left alone, in seconds.
    retry_after: float | None
    # What the upstream said of its error.
    body: Any
    code: str | None
    param: str | None
    type: str | None
    request_id: str | None

    def _say(
        self,
        message: str,
        model: str | None,
        llm_provider: str | None,
        *,
        status_code: int | None = None,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        body: Any = None,
    ) -> None:
        """Takes the place of openai's constructor."""
        text = f"{self._prefix}{message}"
        Exception.__init__(self, text)
        told = body if isinstance(body, Mapping) else {}
        status = self._status if status_code is None else status_code
        fields = {
            "message": text,
            "model": model,
            "llm_provider": llm_provider,
            "status_code": status,
            "num_retries": num_retries,
            "max_retries": max_retries,
            "litellm_debug_info": litellm_debug_info,
            "litellm_response_headers": None,
            "failed_deployment_id": None,
            "timeout": None,
            "retry_after": None,
            "body": body,
            "code": told.get("code"),
            "param": told.get("param"),
            "type": told.get("type"),
            "request_id": None,
        }
        self.__dict__.update(fields)
        if response is not None:
            self.__dict__["_response"] = response

    @classmethod
    def _of(cls: builtins.type[F], message: str, details: Mapping[str, Any]) -> F:
        """The failure that the details tell of; the message is whole already."""
        failure = cls.__new__(cls)
        # The upstream's model, where an upstream was asked.
        model = details.get("upstream_model") or details.get("model")
        Failure._say(failure, message, model, details.get("provider") or "", status_code=details.get("status"))
        failure.args = (message,)
        failure.__dict__.update(
            message=message,
            num_retries=details.get("num_retries"),
            max_retries=details.get("max_retries"),
            litellm_response_headers=details.get("headers"),
            failed_deployment_id=details.get("deployment_id"),
            timeout=details.get("timeout"),
            retry_after=details.get("retry_after"),
            body=details.get("body"),
            code=details.get("code"),
            param=details.get("param"),
            type=details.get("type"),
            request_id=(details.get("headers") or {}).get("x-request-id"),
        )
        failure._told(details)
        return failure

    def _told(self, details: Mapping[str, Any]) -> None:
        """What only this class has."""

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is not set: both are rarely asked for, and need httpx.
        if name == "response" and self._answered:
            return _response(self)
        if name == "request":
            return _request()
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __str__(self) -> str:
        text = self.message
        if self.num_retries:
            text += f" LiteLLM Retried: {self.num_retries} times"
        if self.max_retries:
            text += f", LiteLLM Max Retries: {self.max_retries}"
        return text

    def __repr__(self) -> str:
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in self.__dict__.items() if name not in ("_response", "_request")}
        return _restored, (type(self), self.args, state)


def _restored(kind: type[BaseException], args: tuple[Any, ...], state: Mapping[str, Any]) -> BaseException:
    """What a pickle is made with: no constructor is asked."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _response(failure: Failure) -> Any:
    """What the upstream answered, as openai's classes have it; None without httpx."""
    made = failure.__dict__.get("_response")
    if made is None:
        try:
            import httpx  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            return None
        # Of a body that is passed on plainly, neither length nor encoding is what it was.
        kept = {
            name: value
            for name, value in (failure.litellm_response_headers or {}).items()
            if name not in ("content-length", "content-encoding", "transfer-encoding")
        }
        body = failure.body
        if body is None:
            error = {name: getattr(failure, name) for name in ("message", "type", "param", "code")}
            body = {"error": error}
        made = httpx.Response(failure.status_code, headers=kept, json=body, request=_request())
        failure.__dict__["_response"] = made
    return made


def _request() -> Any:
    """A request that stands for the one that was sent, which nobody keeps; None without httpx."""
    try:
        import httpx
    except ImportError:
        return None
    return httpx.Request("POST", "http://tagrail.invalid/")
