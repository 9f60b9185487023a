"""Names of `litellm.types.router`."""

from __future__ import annotations

from ..deployments import Deployment, LiteLLM_Params, ModelGroupInfo, ModelInfo
from ..exceptions import RouterRateLimitError, RouterRateLimitErrorBasic
from ..policies import AllowedFailsPolicy, RetryPolicy

__all__ = [
    "AllowedFailsPolicy",
    "Deployment",
    "LiteLLM_Params",
    "ModelGroupInfo",
    "ModelInfo",
    "RetryPolicy",
    "RouterRateLimitError",
    "RouterRateLimitErrorBasic",
]
