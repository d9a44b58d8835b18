"""Every message in every version, byte for byte beside Kafka's own generated classes.

Both sides make random messages, each side reads the other's and writes them again.
"""

from __future__ import annotations

import io
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from barnabas.wire.apis import API
from barnabas.wire.codec import decode, encode
from barnabas.wire.errors import ErrorCode
from barnabas.wire.layout import Where, place
from barnabas.wire.message import Message
from tests.interop.kafka import java_command
from tests.wire_samples import classes, every_version, random_message

ROUNDS = 12
Frame = tuple[str, int, bytes]


def kafka_says(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run `CodecTruth` of tests/interop/java and return what it prints."""
    command = java_command("CodecTruth", *arguments, options=("-Xmx512m",))
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def frame(name: str, version: int, data: bytes) -> bytes:
    """One frame of `CodecTruth`."""
    text = name.encode()
    return struct.pack(f">H{len(text)}shi", len(text), text, version, len(data)) + data


def frames(stream: bytes) -> Iterator[Frame]:
    """Split what `CodecTruth` printed; a refusal fails the test."""
    data = io.BytesIO(stream)
    while head := data.read(2):
        name = data.read(int.from_bytes(head, "big")).decode()
        version, size = struct.unpack(">hi", data.read(6))
        if size < 0:
            text = data.read(int.from_bytes(data.read(2), "big")).decode()
            pytest.fail(f"Kafka refuses our {name} v{version}: {text}")
        yield name, version, data.read(size)


@pytest.mark.usefixtures("java")
def test_the_tables_have_every_message_and_version_of_kafka() -> None:
    theirs = [line.split() for line in kafka_says("list").decode().splitlines()]
    ours = {cls.NAME: cls.VERSIONS for cls in classes()}
    assert ours == {name: (int(low), int(high)) for name, low, high in theirs}


def untouched(cls: type[Message], version: int) -> Message:
    """A message of defaults, with one element of defaults in each of its plain lists of structs."""
    message = cls()
    for placed in place(cls, version):
        field = placed.field
        if placed.where is not Where.PLAIN or field.struct is None:
            continue
        if getattr(message, field.name) is not None:
            element = untouched(field.struct, version)
            setattr(message, field.name, [element] if field.kind == "array" else element)
    return message


@pytest.mark.usefixtures("java")
def test_the_table_of_apis_is_that_of_kafka() -> None:
    ours = []
    for api in API.values():
        versions = range(api.min_version, api.max_version + 1)
        headers = ",".join(
            f"{api.request_header_version(v)}/{api.response_header_version(v)}" for v in versions
        )
        numbers = f"{api.key} {api.name} {api.advertised_min} {api.min_version} {api.max_version}"
        flags = (api.on_broker, api.on_controller, api.forwarded, api.internal)
        ours.append(f"{numbers} {headers} {' '.join(str(flag).lower() for flag in flags)}")
    assert ours == kafka_says("apis").decode().splitlines()


@pytest.mark.usefixtures("java")
def test_the_error_codes_are_those_of_kafka() -> None:
    ours = []
    for code in ErrorCode:
        flags = f"{code.retriable} {code.refreshes_metadata}".lower()
        ours.append(f"{int(code)} {code.name} {flags}")
    assert ours == kafka_says("errors").decode().splitlines()


@pytest.mark.usefixtures("java")
def test_defaults_are_those_of_kafka() -> None:
    known = {cls.NAME: cls for cls in classes()}
    seen = set()
    for name, version, theirs in frames(kafka_says("defaults")):
        ours = encode(untouched(known[name], version), version)
        assert ours == theirs, f"{name} v{version}"
        seen.add((name, version))
    assert seen == {(cls.NAME, version) for cls, version in every_version()}


@pytest.mark.usefixtures("java")
def test_messages_made_by_kafka_are_read_and_written_back_identically(seed: int) -> None:
    known = {cls.NAME: cls for cls in classes()}
    seen: Counter[tuple[str, int]] = Counter()
    for name, version, data in frames(kafka_says("fill", str(seed), str(ROUNDS))):
        message = decode(known[name], version, data, exact=True)
        assert encode(message, version) == data, f"{name} v{version}, seed {seed}: {message}"
        seen[name, version] += 1
    expected = {(cls.NAME, version): ROUNDS for cls, version in every_version()}
    assert seen == expected
    print(f"{len(seen)} message versions, {sum(seen.values())} messages of Kafka's, seed {seed}")


@pytest.mark.usefixtures("java")
def test_messages_made_here_are_read_and_written_back_identically_by_kafka(seed: int) -> None:
    random = Random(seed)
    sent: list[Frame] = []
    for cls, version in every_version():
        for _ in range(ROUNDS):
            message = random_message(random, cls, version)
            sent.append((cls.NAME, version, encode(message, version)))
    request = b"".join(frame(*each) for each in sent)
    answered = list(frames(kafka_says("echo", stdin=request)))
    assert len(answered) == len(sent)
    for (name, version, ours), theirs in zip(sent, answered, strict=True):
        assert theirs == (name, version, ours), f"{name} v{version}, seed {seed}"
    print(f"{len(sent)} messages of ours, seed {seed}")
