"""The same constructor, the same calls and the same provider: the same visible results, but for the rows."""

from __future__ import annotations

import pytest

import rows
from grammar import DEFAULT, Case
from play import Play, report
from sides import Ours

MODES = ("litellm", "tagrail")


@pytest.fixture(scope="session")
def play(litellm, server, loop):
    return Play(litellm, Ours(server, loop))


def test_same(seed, play):
    found = list(play.case(Case(seed), MODES))
    assert not found, report(found)


def test_every_row_is_needed(play, request):
    """A row that nothing differs by is no row: it would hide what should be noticed."""
    if request.config.getoption("--seeds", DEFAULT) != DEFAULT or request.config.getoption("keyword"):
        pytest.skip("only after all configurations of the default run")
    wanted = set().union(*rows.ROWS.values()) | {row.why for row in rows.ELSEWHERE}
    assert wanted <= play.used, f"nothing differs by {sorted(wanted - play.used)}"
