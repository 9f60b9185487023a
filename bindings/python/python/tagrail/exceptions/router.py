"""What the router itself refuses, and why it cannot be built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .failure import _restored
from .status import BadRequestError


class Refusal(Exception):
    """Mixed into what the router refuses before an upstream is asked."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, dict(self.__dict__))


class RouterRateLimitError(Refusal, ValueError):
    """Everything that could answer is cooling down; `cooldown_time` says for how many seconds."""

    # LiteLLM's has none; the proxy answers with these.
    status_code = 429

    def __init__(
        self, model: str, cooldown_time: float, enable_pre_call_checks: bool, cooldown_list: Sequence[Any]
    ) -> None:
        self.model, self.cooldown_time = model, cooldown_time
        self.enable_pre_call_checks, self.cooldown_list = enable_pre_call_checks, list(cooldown_list)
        self.message = (
            f"No deployments available for selected model, Try again in {cooldown_time} seconds. Passed model={model}. "
            f"pre-call-checks={enable_pre_call_checks}, cooldown_list={self.cooldown_list}"
        )
        super().__init__(self.message)

    @property
    def retry_after(self) -> float:
        """The same as `cooldown_time`."""
        return self.cooldown_time


class RouterRateLimitErrorBasic(Refusal, ValueError):
    """Nothing is left that could answer."""

    status_code = 429

    def __init__(self, model: str) -> None:
        self.model = model
        self.message = f"No deployments available for selected model. Passed model={model}"
        super().__init__(self.message)


class TagMismatchError(Refusal, ValueError):
    """No deployment of the model has the tags. LiteLLM raises a bare ValueError."""

    status_code = 401

    def __init__(self, message: str, model: str | None = None, tags: Sequence[str] = ()) -> None:
        self.message, self.model, self.tags = message, model, list(tags)
        super().__init__(message)


class BudgetExceededError(Refusal):
    """The money is spent."""

    status_code = 429
    category = "litellm_rate_limit"
    rate_limit_type = "budget"

    def __init__(
        self,
        current_cost: float,
        max_budget: float,
        message: str | None = None,
        llm_provider: str | None = None,
        entity_type: str | None = None,
        entity_id: str | None = None,
    ) -> None:
        self.current_cost, self.max_budget = current_cost, max_budget
        self.message = message or f"Budget has been exceeded! Current cost: {current_cost}, Max budget: {max_budget}"
        self.llm_provider, self.entity_type, self.entity_id = llm_provider or "", entity_type, entity_id
        super().__init__(self.message)


class ForkError(Refusal, RuntimeError):
    """Begun before the process forked: it belongs to the parent. Build a router in the child."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class ClosedError(Refusal, RuntimeError):
    """There is nothing more to read."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class ConfigurationError(Refusal, ValueError):
    """A configuration of which nothing runs. `diagnostics` says all that was found, in its order."""

    diagnostics: list[dict[str, Any]]

    def __init__(self, message: str, diagnostics: Sequence[Mapping[str, Any]] = ()) -> None:
        self.message = message
        self.diagnostics = [dict(diagnostic) for diagnostic in diagnostics]
        super().__init__(message)


class UnknownProviderError(ConfigurationError, BadRequestError):
    """A deployment's model names no provider. LiteLLM raises a BadRequestError for it."""

    def __init__(self, message: str, diagnostics: Sequence[Mapping[str, Any]] = (), model: str | None = None) -> None:
        # The message is whole already.
        self._say(message, model, "")
        self.__dict__["message"], self.args = message, (message,)
        self.diagnostics = [dict(diagnostic) for diagnostic in diagnostics]
