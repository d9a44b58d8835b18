"""Levels of the process' loggers, described and altered as BROKER_LOGGER configs (KIP-412).

Levels have Kafka's names. They hold at once, for every node of the process, and until it ends. The
loggers are those of Barnabas that exist, and `root`, from which a logger without a level of its own
takes it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from barnabas.metadata.controller.config_changes import Operation
from barnabas.wire.errors import ErrorCode, KafkaError
from barnabas.wire.messages.incremental_alter_configs_request import AlterableConfig

log = logging.getLogger("barnabas.server")

ROOT: Final = "root"
_OURS: Final = "barnabas"
LEVELS: Final = {
    "TRACE": 5,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
}
"""Kafka's name of a level to Python's number, ascending."""


def levels() -> dict[str, str]:
    """Every logger with the level by which it goes, its own or an ancestor's."""
    names = [name for name in logging.Logger.manager.loggerDict if name.startswith(f"{_OURS}.")]
    found = {name: _name(logging.getLogger(name)) for name in sorted([_OURS, *names])}
    return found | {ROOT: _name(logging.getLogger())}


def _name(logger: logging.Logger) -> str:
    """The most severe of Kafka's levels that is not above the logger's."""
    number = logger.getEffectiveLevel()
    return next((name for name in reversed(LEVELS) if LEVELS[name] <= number), "TRACE")


def check(changes: Sequence[AlterableConfig]) -> None:
    """Check all changes of one request.

    Raises:
        KafkaError: INVALID_CONFIG for an unknown logger or level, INVALID_REQUEST for anything
            but SET and DELETE, and for a root without level.
    """
    known = levels()
    for change in changes:
        operation = change.config_operation
        if operation not in (Operation.SET, Operation.DELETE):
            raise KafkaError(
                ErrorCode.INVALID_REQUEST,
                f"Operation {operation} does not apply to the level of a logger.",
            )
        if change.name not in known:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"There is no logger {change.name}.")
        if operation == Operation.SET and change.value not in LEVELS:
            raise KafkaError(
                ErrorCode.INVALID_CONFIG,
                f"{change.value} is no level of a logger; the levels are {', '.join(LEVELS)}.",
            )
        if operation == Operation.DELETE and change.name == ROOT:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"{ROOT} must have a level.")


def apply(changes: Sequence[AlterableConfig]) -> None:
    """Carry out changes that `check` has passed."""
    for change in changes:
        logger = logging.getLogger(None if change.name == ROOT else change.name)
        if change.config_operation == Operation.SET:
            logger.setLevel(LEVELS[change.value or ""])
            log.warning("the level of logger %s is %s from now on", change.name, change.value)
        else:
            logger.setLevel(logging.NOTSET)
            log.warning("logger %s has no level of its own any more", change.name)
