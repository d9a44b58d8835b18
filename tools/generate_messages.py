"""Writes the modules of messages and records from Kafka's message definitions: see TARGETS.

Run after a move to another Kafka release:

    python tools/generate_messages.py KAFKA_HOME

It reads the JSON definitions inside the jars of KAFKA_HOME/libs, and writes one module per
definition. Only names, types, versions, tags and defaults are taken over. The
interop tests check that what is committed is what this writes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent / "src" / "barnabas"
NEVER = 32767
SCALARS = {
    "bool": "bool",
    "int8": "int",
    "int16": "int",
    "uint16": "int",
    "int32": "int",
    "uint32": "int",
    "int64": "int",
    "float64": "float",
    "uuid": "bytes",
    "string": "str",
    "bytes": "bytes",
    "buffer": "Buffer",
    "records": "Buffer",
}
ZERO_DEFAULT = {"bool": "False", "float64": "0.0", "string": '""', "uuid": "ZERO"}
TARGETS = (
    ("kafka-clients-*.jar", "common/message/", "wire/messages", "Kafka's requests, responses"),
    ("kafka-metadata-*.jar", "common/metadata/", "metadata/records", "Kafka's metadata records"),
    (
        "kafka-group-coordinator-[0-9]*.jar",
        "common/message/",
        "groups/records",
        "Keys and values of the records of __consumer_offsets",
    ),
    (
        "kafka-transaction-coordinator-[0-9]*.jar",
        "common/message/",
        "transactions/records",
        "Keys and values of the records of __transaction_state",
    ),
)


def snake(name: str) -> str:
    """Kafka's field or message name in snake case (KRaft and ISR-like runs count as one word)."""
    name = name.replace("KRaft", "Kraft")
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def versions(text: str | None) -> tuple[int, int]:
    """Parse "3", "0-4", "2+" or "none"."""
    if text is None or text == "none":
        return NEVER, -1
    if text.endswith("+"):
        return int(text[:-1]), NEVER
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two version ranges have a version in common."""
    return max(one[0], other[0]) <= min(one[1], other[1])


def load(text: str) -> dict[str, Any]:
    """Parse a definition: JSON with // comments (never inside a quoted URL here)."""
    text = re.sub(r"(?m)^\s*//.*$", "", text)
    text = re.sub(r'(?m)//(?=[^"]*$).*$', "", text)
    definition: dict[str, Any] = json.loads(text)
    return definition


class Member:
    """One field, in the words of the generated code."""

    def __init__(self, raw: dict[str, Any], valid: tuple[int, int]) -> None:
        self.name = snake(raw["name"])
        self.tag = int(raw.get("tag", -1))
        self.tagged = versions(raw.get("taggedVersions"))
        self.versions = versions(raw.get("versions", raw.get("taggedVersions")))
        self.nullable = versions(raw.get("nullableVersions"))
        if not overlap(self.nullable, valid):
            self.nullable = (NEVER, -1)
        self.ignorable = bool(raw.get("ignorable", False))
        self.flexible = raw.get("flexibleVersions") != "none"
        self.zero_copy = bool(raw.get("zeroCopy", False))
        self.element = ""
        self.struct = ""
        self.kind = raw["type"]
        if self.kind.startswith("[]"):
            self.kind, self.element = "array", self.kind[2:]
            if self.element[0].isupper():
                self.element, self.struct = "struct", self.element
        elif self.kind[0].isupper():
            self.kind, self.struct = "struct", self.kind
        elif self.kind == "bytes" and self.zero_copy:
            self.kind = "buffer"
        # Kafka's generator takes a bare null for "no default", the word "null" for null.
        self.default = self._default("" if raw.get("default") is None else raw["default"])

    def _default(self, raw: Any) -> str:
        """The default as a Python expression; "EMPTY" for a fresh list or struct."""
        if raw == "null":
            return "None"
        if self.kind in ("array", "struct"):
            return "EMPTY"
        if self.kind == "records" and self.nullable[1] >= 0:
            return "None"
        if self.kind in ("bytes", "buffer", "records"):
            return 'b""'
        if raw == "":
            return ZERO_DEFAULT.get(self.kind, "0")
        if self.kind == "bool":
            return "True" if str(raw).lower() == "true" else "False"
        if self.kind == "string":
            return json.dumps(raw)
        return str(int(str(raw), 0))

    @property
    def annotation(self) -> str:
        """Type of the attribute."""
        if self.kind == "array":
            base = f"list[{self.struct or SCALARS[self.element]}]"
        else:
            base = self.struct or SCALARS[self.kind]
        can_be_none = self.nullable[1] >= 0 or self.default == "None"
        return base + " | None" if can_be_none and "None" not in base else base

    @property
    def assigned(self) -> str:
        """What `__init__` assigns."""
        if self.default != "EMPTY":
            return self.name
        fresh = "[]" if self.kind == "array" else f"{self.struct}()"
        return f"{fresh} if {self.name} is EMPTY else {self.name}"

    def table_entry(self) -> str:
        """The `Field(...)` expression."""
        parts = [f'"{self.name}"', f'"{self.kind}"']
        if self.versions != (0, NEVER):
            parts.append(f"versions={self._range(self.versions)}")
        if self.nullable[1] >= 0:
            parts.append(f"nullable={self._range(self.nullable)}")
        if self.default not in ("EMPTY", "None"):
            parts.append(f"default={self.default}")
        if self.kind in ("array", "struct") and self.default == "EMPTY":
            parts.append("default=EMPTY")
        if self.ignorable:
            parts.append("ignorable=True")
        if self.tag >= 0:
            parts.append(f"tag={self.tag}")
            parts.append(f"tagged={self._range(self.tagged)}")
        if not self.flexible:
            parts.append("flexible=False")
        if self.element:
            parts.append(f'element="{self.element}"')
        if self.struct:
            parts.append(f"struct={self.struct}")
        return f"Field({', '.join(parts)})"

    @staticmethod
    def _range(pair: tuple[int, int]) -> str:
        return f"({pair[0]}, {'NEVER' if pair[1] == NEVER else pair[1]})"


class Module:
    """The text of one generated module."""

    def __init__(self, definition: dict[str, Any], stable_end: int) -> None:
        self.definition = definition
        self.valid = versions(definition["validVersions"])
        self.stable_end = stable_end
        self.names: set[str] = {"Message", "Field"}
        self.classes: list[str] = []
        self.done: set[str] = set()
        self.common = {s["name"]: s for s in definition.get("commonStructs", [])}
        self._class(definition["name"], definition.get("fields", []), top=True)

    def _class(self, name: str, fields: list[dict[str, Any]], *, top: bool) -> None:
        members = []
        for raw in fields:
            member = Member(raw, self.valid)
            if not overlap(member.versions, self.valid):
                continue  # a remnant of versions that were removed in 4.0
            members.append(member)
            if member.struct and member.struct not in self.done:
                self.done.add(member.struct)
                inner = raw.get("fields") or self.common[member.struct]["fields"]
                self._class(member.struct, inner, top=False)
        self.classes.append(self._text(name, members, top=top))

    def _text(self, name: str, members: list[Member], *, top: bool) -> str:
        flexible = versions(self.definition["flexibleVersions"])[0]
        slots = "".join(f'"{m.name}", ' for m in members)
        lines = [f"class {name}(Message):", f'    """{self._doc(name, top=top)}"""', ""]
        lines += [f"    __slots__ = ({slots})", f'    NAME = "{name}"']
        if top:
            low, high = self.valid
            if self.definition["type"] in ("request", "response") or "apiKey" in self.definition:
                lines.append(f"    API_KEY = {self.definition['apiKey']}")
            lines.append(f"    VERSIONS = ({low}, {min(high, self.stable_end)})")
        if flexible != NEVER:
            lines.append(f"    FLEXIBLE = {flexible}")
        if members:
            lines.append("    FIELDS = (")
            lines += [f"        {m.table_entry()}," for m in members]
            lines.append("    )")
            lines += ["", "    def __init__(", "        self,"]
            lines += [f"        {m.name}: {m.annotation} = {m.default}," for m in members]
            lines.append("    ) -> None:")
            lines += [f"        self.{m.name}: {m.annotation} = {m.assigned}" for m in members]
            lines.append('        self.unknown_tags = b""')
        return "\n".join(lines)

    def _doc(self, name: str, *, top: bool) -> str:
        if not top:
            return f"Struct of `{self.definition['name']}`."
        what = self.definition["type"]
        low, high = self.valid
        high = min(high, self.stable_end)
        span = f"version {low}" if low == high else f"versions {low} to {high}"
        if what in ("request", "response"):
            return f"The {what} of API {self.definition['apiKey']}, {span}."
        return f"Kafka's {name} ({what}), {span}."

    def render(self) -> str:
        """The module's source, ready for the formatter."""
        body = "\n\n\n".join(self.classes)
        words = set(re.findall(r"\w+", body))
        imports = ["from __future__ import annotations", ""]
        used = [n for n in ("EMPTY", "NEVER", "Field", "Message") if n in words]
        imports.append(f"from barnabas.wire.message import {', '.join(used)}")
        if "Buffer" in words:
            imports.append("from barnabas.wire.primitives import Buffer")
        if "ZERO" in words:
            imports.append("from barnabas.wire.uuids import ZERO")
        head = f'"""{self.definition["name"]}. Generated by tools/generate_messages.py."""\n'
        return f"{head}\n" + "\n".join(imports) + f"\n\n\n{body}\n"


def definitions(jar: Path, prefix: str) -> list[dict[str, Any]]:
    """All definitions that still have a valid version."""
    with zipfile.ZipFile(jar) as archive:
        names = [n for n in archive.namelist() if n.startswith(prefix) and n.endswith(".json")]
        loaded = [load(archive.read(name).decode()) for name in sorted(names)]
    return [d for d in loaded if d["validVersions"] != "none"]


def generate(libs: Path, root: Path) -> None:
    """Write all modules below `root` (the folder of the package), in place of those there."""
    for pattern, prefix, target, title in TARGETS:
        (jar,) = (p for p in libs.glob(pattern) if "test" not in p.name)
        found = definitions(jar, prefix)
        unstable = {
            d["apiKey"]: versions(d["validVersions"])[1] - 1
            for d in found
            if d.get("latestVersionUnstable")
        }
        folder = root / target
        for old in folder.glob("*.py"):
            old.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text(
            f'"""{title} and their structs, one generated module each, imported when needed."""\n'
        )
        for definition in found:
            end = unstable.get(definition.get("apiKey"), NEVER)
            module = Module(definition, end)
            (folder / f"{snake(definition['name'])}.py").write_text(module.render())
        format_folder(folder)


def format_folder(folder: Path) -> None:
    """Order imports and slots, and lay out the lines as the rest of the sources."""
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--config", str(ROOT.parent.parent / "pyproject.toml"), str(folder)]
    subprocess.run(
        [*ruff, "check", "--quiet", "--select", "I,RUF023", "--fix", *config], check=True
    )
    subprocess.run([*ruff, "format", "--quiet", *config], check=True)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) / "libs", ROOT)
