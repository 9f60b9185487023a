"""LiteLLM's own Router and ours in one run.

    pip install -r tests/beside/requirements.txt, and our wheel
    pytest tests/beside [--seeds FIRST:LAST]

One seed is one random configuration with its calls (`grammar.py`). Needs an environment of its own, see
requirements.txt; where LiteLLM is not installed, nothing of this is collected.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os

import pytest

from grammar import DEFAULT

if importlib.util.find_spec("litellm") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    # Before LiteLLM is imported: it would look for its prices on the network. Its clients over aiohttp are left open
    # when they are dropped, which after some hundred Routers ends the process.
    os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_TELEMETRY="False", LITELLM_LOG="CRITICAL",
                      DISABLE_AIOHTTP_TRANSPORT="True", HF_HUB_OFFLINE="1")


def pytest_addoption(parser):
    parser.addoption("--seeds", default=DEFAULT, help=f"which configurations are made, FIRST:LAST ({DEFAULT})")


def pytest_configure(config):
    # pydantic's opinion of LiteLLM.
    config.addinivalue_line("filterwarnings", "ignore:Accessing the:DeprecationWarning")


def pytest_generate_tests(metafunc):
    if "seed" in metafunc.fixturenames:
        first, _, last = metafunc.config.getoption("--seeds", DEFAULT).partition(":")
        metafunc.parametrize("seed", range(int(first), int(last or first) + 1))


@pytest.fixture(scope="session")
def server(provider):
    """The provider of both sides. Clients that leave are nothing to report."""
    provider.server.handle_error = lambda *_: None
    return provider


@pytest.fixture(scope="session")
def litellm(server, loop):
    import litellm
    from sides import Litellm

    litellm.suppress_debug_info = True
    for name in ("LiteLLM", "LiteLLM Router"):
        logging.getLogger(name).disabled = True
    return Litellm(server, loop)


@pytest.fixture(scope="session")
def loop():
    """One for all calls, as in a program. Connections stay open between calls."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
