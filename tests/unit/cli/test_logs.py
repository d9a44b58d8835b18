"""One line per event, readable or JSON."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from barnabas.cli import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def write(form: str, stream: io.StringIO, level: str = "info") -> str:
    logs.set_up(form, level, stream)
    log = logging.getLogger("barnabas.server")
    log.debug("hidden")
    log.warning("half a\nframe from %s", "me", extra={"peer": "1.2.3.4", "bytes": 7})
    return stream.getvalue()


def test_people_get_a_line_with_what_belongs_to_it() -> None:
    text = write("human", io.StringIO())
    assert text.endswith("WARNING server: half a\\nframe from me peer=1.2.3.4 bytes=7\n")
    assert text.count("\n") == 1
    assert "\x1b" not in text


def test_a_terminal_gets_colour() -> None:
    assert "\x1b[33mWARNING\x1b[0m" in write("human", Terminal())


def test_programs_get_an_object() -> None:
    event = json.loads(write("json", io.StringIO()))
    assert event.pop("time").endswith("Z")
    assert event == {
        "level": "WARNING",
        "logger": "barnabas.server",
        "message": "half a\nframe from me",
        "peer": "1.2.3.4",
        "bytes": 7,
    }


def test_the_level_is_the_least_that_is_shown() -> None:
    assert "hidden" in write("human", io.StringIO(), "debug")
    assert write("human", io.StringIO(), "error") == ""


@pytest.mark.parametrize("form", ["human", "json"])
def test_a_bug_of_ours_comes_with_its_traceback(form: str) -> None:
    stream = io.StringIO()
    logs.set_up(form, "info", stream)
    try:
        raise RuntimeError("oops")
    except RuntimeError:
        logging.getLogger("barnabas").exception("a task failed")
    text = stream.getvalue()
    assert "a task failed" in text
    assert "RuntimeError: oops" in text
    if form == "json":
        assert text.count("\n") == 1
