"""CRC-32C (Castagnoli), the checksum of batches and producer snapshots, and the CRC-32 of zlib."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from zlib import crc32

from barnabas.wire.primitives import Buffer


def _load() -> Callable[[Buffer], int]:
    """The function of the package's extension module.

    Its `__init__` imports importlib.metadata, email and a command line of its own, a tenth of the
    time in which a node starts; the extension needs none of that.
    """
    package = find_spec("crc32c")
    places = None if package is None else package.submodule_search_locations
    spec = PathFinder.find_spec("_crc32c", None if places is None else list(places))
    if places is None or spec is None or spec.loader is None:
        raise ImportError("the crc32c package is not installed")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[[Buffer], int] = module.crc32c
    return function


crc32c = _load()

__all__ = ["crc32", "crc32c"]
