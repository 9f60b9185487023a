"""Runs the examples of the documents, word by word, against the demonstration.

Every ```sh block is played in order. The comment lines behind a command say what its output has to
contain. A ```yaml block whose first line is `# NAME.yaml` is a file of that name in the folder where
the commands run. `tagrail` is the binary under test, and 127.0.0.1:4000 the demonstration wherever it
listens.
"""

import os
import pathlib
import re
import subprocess

import pytest

from gateway import BINARY, ROOT, Gateway

DOCUMENTS = ("README.md", "docs/routing.md", "docs/teams.md")


def blocks(document):
    """(language, text) of the fenced blocks."""
    text = (ROOT / document).read_text()
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(block):
    """(command, expected lines) of a ```sh block."""
    command, expected = [], []
    for line in block.splitlines():
        if line.startswith("# "):
            expected.append(line[2:])
            continue
        if expected:
            yield "\n".join(command), expected
            command, expected = [], []
        command.append(line)
    if expected:
        yield "\n".join(command), expected
    else:
        assert not "".join(command).strip(), f"nothing is expected of: {command}"


def examples():
    for document in DOCUMENTS:
        for language, block in blocks(document):
            if language == "sh":
                for command, expected in commands(block):
                    yield pytest.param(command, expected, id=f"{document}: {' '.join(command.split())[-100:]}")


@pytest.fixture(scope="module")
def demo():
    with Gateway(BINARY, "demo") as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands run: the files that the documents show, and `tagrail` on the path."""
    place = pathlib.Path(tmp_path_factory.mktemp("docs"))
    (place / "bin").mkdir()
    (place / "bin" / "tagrail").symlink_to(BINARY)
    for document in DOCUMENTS:
        for language, block in blocks(document):
            named = re.match(r"# (\S+\.yaml)\n", block)
            if language == "yaml" and named:
                (place / named.group(1)).write_text(block)
    return place


@pytest.mark.parametrize("command, expected", list(examples()))
def test_example(demo, folder, command, expected):
    command = command.replace("127.0.0.1:4000", f"127.0.0.1:{demo.port}")
    env = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    said = " ".join((done.stdout + done.stderr).split()).lower()
    for line in expected:
        assert " ".join(line.split()).lower() in said, done.stdout + done.stderr


def test_what_the_demonstration_prints_works(demo):
    """Its lines as one script, and each curl's header that stands above it."""
    printed = [line.strip() for line in demo.output().splitlines()]
    begun, script, looked_for = False, [], []
    for line in printed:
        begun = begun or line.startswith("#")
        wanted = re.search(r"look for {2}(.+)$", line)
        if begun and (line.startswith("curl ") or re.match(r"[A-Z_]+=\$\(", line)):
            script.append(line + ("; echo; echo =====" if line.startswith("curl ") else ""))
        if wanted:
            looked_for.append(wanted.group(1))
    assert looked_for, printed
    done = subprocess.run(["bash", "-c", "\n".join(script)], capture_output=True, text=True, timeout=60)
    answers = done.stdout.split("=====")[:-1]
    assert len(answers) == len(looked_for), done.stdout + done.stderr
    for answer, wanted in zip(answers, looked_for):
        assert re.search(r"^HTTP/1.1 200 ", answer, re.MULTILINE) and wanted in answer, wanted + answer + done.stderr
