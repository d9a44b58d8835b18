"""Reads a server.properties."""

from __future__ import annotations

from barnabas.cli.exits import Exit, Failure


def load_properties(path: str) -> dict[str, str]:
    """Names and values in a file. Raises `Failure`."""
    from barnabas.config.properties import load
    from barnabas.config.values import ConfigError

    try:
        with open(path, encoding="latin-1") as file:  # as Java reads .properties
            return load(file.read())
    except OSError as error:
        raise Failure(f"Cannot read {path}: {error.strerror}.", Exit.NOT_FOUND) from None
    except ConfigError as error:
        raise Failure(f"{path}: {error}", Exit.CANNOT_START) from None
