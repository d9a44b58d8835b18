"""Logs: one line per event, for people on a terminal or as JSON for programs.

Structure travels in `extra`: `log.warning("directory offline", extra={"path": ...})` becomes
`path=...` behind the text, or a member of the JSON object.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_LINE_ENDS = str.maketrans({"\n": "\\n", "\r": "\\r"})


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class HumanFormatter(logging.Formatter):
    """`12:34:56.789 INFO  server: text key=value`; a traceback, if any, follows indented."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The event as a line."""
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        level = record.levelname.ljust(7)
        if self._colour:
            level = f"\x1b[{_COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
        name = record.name.removeprefix("barnabas.")
        extra = "".join(f" {key}={value}" for key, value in _extra(record).items())
        text = (record.getMessage() + extra).translate(_LINE_ENDS)
        line = f"{clock}.{int(record.msecs):03d} {level} {name}: {text}"
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "".join(f"\n    {part}" for part in trace.splitlines())
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object per event: time (UTC, ISO 8601), level, logger, message, and what it adds."""

    def format(self, record: logging.LogRecord) -> str:
        """The event as a line."""
        import json  # a node that logs for people never needs it

        moment = datetime.fromtimestamp(record.created, UTC)
        event: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        event |= _extra(record)
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False, default=str)


def set_up(form: str, level: str, stream: TextIO | None = None) -> None:
    """Send all events from `level` on to `stream` (default stderr) as "human" or "json" lines."""
    out = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(out)
    human = HumanFormatter(colour=out.isatty())
    handler.setFormatter(JsonFormatter() if form == "json" else human)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Warnings of the event loop about slow callbacks and the like are events too.
    logging.captureWarnings(True)
