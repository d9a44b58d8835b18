"""The rules of the house that a machine can check. Run by `make check` and with all other tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCE = REPOSITORY / "src"
CODE_ROOTS = ("src", "tests", "tools", "benchmarks", "examples")

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 500
# A generated table says so in its first lines; only its length is exempt.
GENERATED = re.compile(r"^(?:#|\"\"\").*\bgenerated\b", re.IGNORECASE)
GENERATED_HEAD_LINES = 6

# Outside these, time, chance, files and tasks come through the ports.
DOORS = ("barnabas/host/", "barnabas/testing/")
BANNED_CALLS = frozenset(
    {
        "open",
        "os.urandom",
        "uuid.uuid1",
        "uuid.uuid4",
        "uuid4",
        "datetime.now",
        "datetime.utcnow",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.date.today",
        "asyncio.sleep",
    }
)
BANNED_MODULES = frozenset({"random", "secrets", "time"})
TASK_MAKERS = frozenset({"create_task", "ensure_future"})
OWNING_NAMES = re.compile(r"(group|tasks|owner)$")

# Modules that nothing imports: they are run (the console script and `python -m`), or for users.
#: Named in pyproject.toml, or run by name.
ENTRY_POINTS = frozenset(
    {
        "barnabas.cli.main",
        "barnabas.__main__",
        "barnabas.cli.__main__",
        "barnabas.sync",
        "barnabas.testing.pytest_plugin",
    }
)

OPEN_END = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")
THIS_FILE = Path(__file__).resolve()


def python_files(*roots: str) -> list[Path]:
    """All Python files below the given folders of the repository."""
    found: list[Path] = []
    for root in roots:
        found.extend(sorted((REPOSITORY / root).rglob("*.py")))
    return found


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def is_generated(path: Path) -> bool:
    """Whether the head of the file says that a tool wrote it."""
    head = path.read_text(encoding="utf-8").splitlines()[:GENERATED_HEAD_LINES]
    return any(GENERATED.match(line) for line in head)


def where(path: Path, node: ast.AST | None = None) -> str:
    """`file:line`, as an editor understands it."""
    line = getattr(node, "lineno", 1)
    return f"{path.relative_to(REPOSITORY)}:{line}"


def dotted(node: ast.expr) -> str:
    """`a.b.c` for a chain of names; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    parts.append(node.id)
    return ".".join(reversed(parts))


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Each call of a name or of an attribute chain."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            if name:
                yield node, name


def source_files_behind_ports() -> list[Path]:
    """Source files that may touch the outside only through ports."""
    return [
        path
        for path in python_files("src")
        if not path.relative_to(SOURCE).as_posix().startswith(DOORS)
    ]


def report(faults: list[str]) -> None:
    """Fail with one line per fault."""
    if faults:
        pytest.fail("\n" + "\n".join(faults), pytrace=False)


def test_functions_fit_on_a_screen() -> None:
    faults = []
    for path in python_files(*CODE_ROOTS):
        if is_generated(path):
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    faults.append(f"{where(path, node)}: {node.name} has {lines} lines")
    report(faults)


def test_files_have_one_job() -> None:
    faults = []
    for path in python_files(*CODE_ROOTS):
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > MAX_FILE_LINES and not is_generated(path):
            faults.append(f"{where(path)}: {lines} lines")
    report(faults)


def test_the_outside_is_reached_through_ports() -> None:
    faults = []
    for path in source_files_behind_ports():
        in_cli = path.relative_to(SOURCE).as_posix().startswith("barnabas/cli/")
        for node, name in calls(parsed(path)):
            if name == "open" and in_cli:  # a command reads the files that its user names
                continue
            if name in BANNED_CALLS or name.split(".")[0] in BANNED_MODULES:
                faults.append(f"{where(path, node)}: {name}()")
    report(faults)


def test_nothing_prints_but_the_command_line() -> None:
    faults: list[str] = []
    for path in python_files("src"):
        if path.relative_to(SOURCE).as_posix().startswith("barnabas/cli/"):
            continue
        faults.extend(
            f"{where(path, node)}: print()" for node, name in calls(parsed(path)) if name == "print"
        )
    report(faults)


def test_every_task_has_an_owner() -> None:
    """A task whose handle is dropped may be collected while it runs, and its error is lost."""
    faults = []
    for path in python_files("src"):
        for node in ast.walk(parsed(path)):
            if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
                continue
            maker = node.value.func
            if not (isinstance(maker, ast.Attribute) and maker.attr in TASK_MAKERS):
                continue
            if not OWNING_NAMES.search(dotted(maker.value).lower()):
                faults.append(f"{where(path, node)}: task without an owner")
    report(faults)


def test_no_open_ends_without_an_issue() -> None:
    faults = []
    for path in python_files(*CODE_ROOTS):
        if path == THIS_FILE:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if OPEN_END.search(line):
                faults.append(f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}")
    report(faults)


def module_name(path: Path) -> str:
    """`barnabas.wire.codec` for a file below src/."""
    parts = list(path.relative_to(SOURCE).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def imported_modules(path: Path) -> set[str]:
    """Full names of all modules, and names in modules, that a file imports."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package.pop()
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*prefix, node.module] if node.module else prefix)
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


def lazily_imported(path: Path) -> set[str]:
    """Module names in string constants: tables of lazy imports name their modules so."""
    return {
        node.value
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("barnabas.")
    }


def test_every_module_is_used() -> None:
    files = python_files("src")
    used: set[str] = set(ENTRY_POINTS)
    for path in files:
        used |= imported_modules(path) | lazily_imported(path)
    faults = []
    for path in files:
        name = module_name(path)
        # Generated message modules are complete by design: one per message of the protocol.
        if path.name != "__init__.py" and name not in used and not is_generated(path):
            faults.append(f"{where(path)}: imported by nobody")
    report(faults)


def test_every_handler_states_its_api_and_versions() -> None:
    """The head of each request handler names its API key and versions: `API_KEY 0, versions 3-13`."""
    faults = []
    for path in python_files("src/barnabas/server/handlers"):
        if path.name == "__init__.py":
            continue
        docstring = ast.get_docstring(parsed(path)) or ""
        if not re.search(r"version", docstring, re.IGNORECASE):
            faults.append(f"{where(path)}: the docstring names no versions")
    report(faults)
