"""How often to try again, and how often to fail, by kind of error: LiteLLM's objects for a router's arguments.

A dict with the same names does as well: `retry_policy={"RateLimitErrorRetries": 3}`.
"""

from __future__ import annotations

from .deployments import Record


class RetryPolicy(Record):
    """`Router(retry_policy=...)`, and by group `Router(model_group_retry_policy={"name": ...})`."""

    BadRequestErrorRetries: int | None = None
    AuthenticationErrorRetries: int | None = None
    TimeoutErrorRetries: int | None = None
    RateLimitErrorRetries: int | None = None
    ContentPolicyViolationErrorRetries: int | None = None
    InternalServerErrorRetries: int | None = None
    ServiceUnavailableErrorRetries: int | None = None
    DefaultRetries: int | None = None


class AllowedFailsPolicy(Record):
    """`Router(allowed_fails_policy=...)`: how many failures a minute leave a deployment in use."""

    BadRequestErrorAllowedFails: int | None = None
    AuthenticationErrorAllowedFails: int | None = None
    TimeoutErrorAllowedFails: int | None = None
    RateLimitErrorAllowedFails: int | None = None
    ContentPolicyViolationErrorAllowedFails: int | None = None
    InternalServerErrorAllowedFails: int | None = None
