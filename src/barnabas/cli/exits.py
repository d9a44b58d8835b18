"""Exit codes, and errors told as one sentence with what to do next."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the process' exit code says. Shown in `barnabas --help`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CANNOT_CONNECT = 3
    TIMED_OUT = 4
    NOT_FOUND = 5
    DAMAGED = 6
    CANNOT_START = 7
    DOCTOR_WARNS = 8
    DOCTOR_FINDS_ERRORS = 9
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.FAILED: "the cluster refused, or part of the work failed",
    Exit.USAGE: "the command line or its input is wrong",
    Exit.CANNOT_CONNECT: "no node answers at the bootstrap address",
    Exit.TIMED_OUT: "no answer in time; the request may have been executed",
    Exit.NOT_FOUND: "the topic, partition, offset or file does not exist",
    Exit.DAMAGED: "log dump --verify found a bad byte",
    Exit.CANNOT_START: "the node can't start with this configuration or data directory",
    Exit.DOCTOR_WARNS: "doctor found something that should be changed",
    Exit.DOCTOR_FINDS_ERRORS: "doctor found something that does not work",
    Exit.INTERRUPTED: "interrupted (Ctrl-C)",
    Exit.BROKEN_PIPE: "whoever read the output is gone",
}


class Failure(Exception):
    """Ends the command: `message` goes to stderr as one sentence, `hint` says what to do next."""

    def __init__(self, message: str, code: Exit = Exit.FAILED, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"
