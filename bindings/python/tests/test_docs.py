"""Runs the Python of docs/sdk.md, block after block in one namespace, with the tests' provider for all providers."""

from __future__ import annotations

import pathlib
import re

import pytest

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "docs" / "sdk.md"
BLOCKS = re.findall(r"^### ([^\n]+)\n(?:(?!^###).)*?^```python\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)


def test_every_block_is_run():
    assert len(BLOCKS) == DOCUMENT.read_text().count("```python") > 12


def test_the_document(provider, monkeypatch):
    provider.forget()
    for name, base in [("OPENAI", provider.v1), ("GROQ", provider.v1), ("ANTHROPIC", provider.url)]:
        monkeypatch.setenv(f"{name}_API_KEY", f"sk-{name.lower()}")
        monkeypatch.setenv(f"{name}_API_BASE", base)
    namespace = {}
    for title, block in BLOCKS:
        try:
            exec(compile(block, f"docs/sdk.md, {title}", "exec"), namespace)
        except Exception as error:
            pytest.fail(f"{title}: {type(error).__name__}: {error}")
    assert {"sk-openai", "sk-groq", "sk-anthropic"} <= set(provider.keys)
