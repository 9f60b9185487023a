"""Many conversations with one model, and one with many models, without a router."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .calls import completion

# How many calls are under way at a time where nothing else is said: LiteLLM's number.
_AT_ONCE = 100


def batch_completion(
    model: str, messages: Iterable[Any] = (), *, max_workers: int = _AT_ONCE, **keywords: Any
) -> list[Any]:
    """Asks a model for every conversation, several at a time. What fails stands in the list as its exception."""
    from concurrent.futures import ThreadPoolExecutor

    def one(conversation: Any) -> Any:
        try:
            return completion(model, conversation, **keywords)
        except Exception as error:
            return error

    with ThreadPoolExecutor(max_workers) as workers:
        return list(workers.map(one, messages))


def batch_completion_models_all_responses(
    models: Sequence[str] | str, messages: Any = (), **keywords: Any
) -> list[Any]:
    """What every model answers. What fails is left out, as LiteLLM has it."""
    from concurrent.futures import ThreadPoolExecutor

    names = [models] if isinstance(models, str) else list(models)

    def one(model: str) -> Any:
        try:
            return completion(model, messages, **keywords)
        except Exception:
            return None

    with ThreadPoolExecutor(max(len(names), 1)) as workers:
        return [answer for answer in workers.map(one, names) if answer is not None]
