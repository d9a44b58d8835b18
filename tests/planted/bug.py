"""What a planted bug is: one change of one source file, and the tests that have to notice."""

from __future__ import annotations

from typing import NamedTuple


class Bug(NamedTuple):
    """`old`, which is in `src/barnabas/<file>` exactly once, becomes `new`.

    `caught_by` are node ids of quick tests; one of them, or of their parameters, has to fail on an
    assertion or a checker's verdict whose text matches `shows`.
    """

    name: str
    what: str
    """What is broken, in one sentence."""
    file: str
    old: str
    new: str
    caught_by: tuple[str, ...]
    shows: str = ""
    """A regular expression: the words by which the failure is the right one."""
