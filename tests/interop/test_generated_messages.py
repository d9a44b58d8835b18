"""The generated modules are what the generator writes from Kafka's definitions."""

from __future__ import annotations

from pathlib import Path

from tests.interop.kafka import REPOSITORY
from tools.generate_messages import TARGETS, generate


def test_committed_modules_are_up_to_date(java: Path, tmp_path: Path) -> None:
    generate(java / "libs", tmp_path)
    for _, _, folder, _ in TARGETS:
        made = {path.name: path.read_text() for path in (tmp_path / folder).glob("*.py")}
        committed = REPOSITORY / "src" / "barnabas" / folder
        assert made == {path.name: path.read_text() for path in committed.glob("*.py")}
        assert len(made) > 2
