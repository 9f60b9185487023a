"""The same constructor, the same calls and the same provider: the same visible results, but for the rows."""

from __future__ import annotations

import pytest

from grammar import Case
from play import Play, report
from sides import Ours

MODES = ("litellm", "tagrail")


@pytest.fixture(scope="session")
def play(litellm, server, loop):
    return Play(litellm, Ours(server, loop))


def test_same(seed, play):
    found = list(play.case(Case(seed), MODES))
    assert not found, report(found)
