"""A plugin for the pytest that runs on a planted bug: it writes down what failed, and why."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest

COPY = "BARNABAS_PLANTED_COPY"
RESULT = "BARNABAS_PLANTED_RESULT"
TEXT = 4000


class Failure(NamedTuple):
    """A test that failed: in which phase, with an exception of which class, saying what."""

    test: str
    when: str
    kind: str
    text: str


class Report:
    """Collects, and writes at the end."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._passed = 0
        self._failures: list[Failure] = []

    @pytest.hookimpl
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """A phase of a test ended."""
        if call.excinfo is None:
            self._passed += call.when == "call"
            return
        notes = "\n".join(getattr(call.excinfo.value, "__notes__", ()))
        text = f"{call.excinfo.value}\n{notes}"[:TEXT]
        self._failures.append(Failure(item.nodeid, call.when, call.excinfo.typename, text))

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file could not be collected."""
        if report.failed:
            self._failures.append(
                Failure(report.nodeid, "collect", "CollectError", str(report.longrepr)[:TEXT])
            )

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        """Write it down."""
        content = {"passed": self._passed, "failures": self._failures}
        self._target.write_text(json.dumps(content), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Make sure that it is the copy that is tested."""
    place = os.environ.get(COPY)
    if place is None:
        return
    import barnabas

    found = str(barnabas.__file__)
    if not found.startswith(place):
        raise pytest.UsageError(f"{found} is imported, not the copy in {place}")
    config.pluginmanager.register(Report(Path(os.environ[RESULT])))
