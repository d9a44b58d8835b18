"""What a decision of a coordinator asks for, and who waits for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from barnabas.coordinator.framing import AnyRecord, CoordinatorRecord
from barnabas.partition.producer_entry import Verification
from barnabas.wire.errors import ErrorCode
from barnabas.wire.message import Message

TimerKey: TypeAlias = Hashable
"""Names a timer within its shard; setting it again moves it."""


class Now(NamedTuple):
    """The time of a decision, ms: `wall` for what is stored, `monotonic` for deadlines."""

    wall: int
    monotonic: int


class Ticket(Protocol):
    """A request that waits for its answer. One of the two is called, once.

    A decision may keep a ticket in its shard's memory and answer it in the effects of a later one
    (a JoinGroup waits for the others).
    """

    def answer(self, response: Message) -> None:
        """Send this."""

    def fail(self, error: ErrorCode) -> None:
        """Send a response of the request's kind that says `error`."""


class Effects:
    """What the runtime does after a decision, in this order.

    1. Appends `records` as one batch and replays them at once. When the log refuses them, the
       effects of `refused(error)` come instead of everything else; without `refused`, every reply
       is a `Ticket.fail` with the error that the client is to see.
    2. Sets `timers`: (key, monotonic ms), or (key, None) to forget one.
    3. Sends `replies` once the high watermark has passed all that is appended to the partition
       now; so a reply without records never shows what may still be lost.
    4. Then, and in any case only then, hands each of `orders` to the coordinator's shell: plain
       values that say what has to be done outside of the shard (send transaction markers). Those of
       a shard that is unloaded first are dropped; whoever loads it gives them again.

    `producer`: (producer id, producer epoch) when the records are part of a transaction
    (TxnOffsetCommit); they are replayed as such. `guard`: what the verification of that transaction
    began with (KIP-890), None when it is open on the partition already.

    `divisible`: each record stands for itself (tombstones), or is the only one and has to get in (the
    end of a transaction). The runtime writes several batches when one would be larger than
    max.message.bytes; a record that is so alone gets in. When a later batch is refused, the earlier
    ones stay.
    """

    __slots__ = (
        "divisible",
        "guard",
        "orders",
        "producer",
        "records",
        "refused",
        "replies",
        "timers",
    )

    def __init__(self) -> None:
        self.records: list[AnyRecord] = []
        self.replies: list[tuple[Ticket, Message]] = []
        self.timers: list[tuple[TimerKey, int | None]] = []
        self.orders: list[object] = []
        self.refused: Callable[[ErrorCode], Effects] | None = None
        self.producer: tuple[int, int] | None = None
        self.guard: Verification | None = None
        self.divisible = False

    def reply(self, ticket: Ticket, response: Message) -> Effects:
        """Answer `ticket`; returns these effects."""
        self.replies.append((ticket, response))
        return self

    def write(self, key: Message, value: Message | None, version: int = 0) -> None:
        """Append a record."""
        self.records.append(CoordinatorRecord(key, value, version))

    def order(self, order: object) -> Effects:
        """Have something done outside once all this is committed; returns these effects."""
        self.orders.append(order)
        return self

    def set_timer(self, key: TimerKey, at_ms: int) -> None:
        """Call `Shard.timer(key)` at this monotonic time; replaces an earlier timer of that key."""
        self.timers.append((key, at_ms))

    def cancel_timer(self, key: TimerKey) -> None:
        """Forget a timer; harmless when there is none."""
        self.timers.append((key, None))

    def merge(self, other: Effects) -> Effects:
        """Add what `other` asks for behind this; returns these effects."""
        self.records += other.records
        self.replies += other.replies
        self.timers += other.timers
        self.orders += other.orders
        self.refused = self.refused or other.refused
        self.producer = self.producer or other.producer
        self.guard = self.guard or other.guard
        self.divisible = self.divisible and other.divisible
        return self


class Origin(NamedTuple):
    """Where a replayed record stands in the log."""

    offset: int
    timestamp: int
    producer_id: int
    """-1 outside of a transaction."""
    producer_epoch: int


class Rows(NamedTuple):
    """Records of one batch that is neither a marker's nor part of a transaction, as the log has them."""

    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    offsets: Sequence[int]
    timestamps: Sequence[int]


class Shard(Protocol):
    """The state machine of one partition of a coordinator's topic.

    Loading: `replay` and `replay_marker` for all that the log holds, then `activate`. From then on
    decisions; `replay` follows each of their records at once.
    """

    def replay(self, record: AnyRecord, origin: Origin) -> None:
        """Take over what the log says. Never refuses, never reads a clock."""

    def replay_marker(self, producer_id: int, producer_epoch: int, *, commit: bool) -> None:
        """A transaction of a producer ended: its records count from now on, or never."""

    def activate(self, now: Now) -> Effects:
        """All is loaded: sessions begin anew, what was half done goes on."""

    def timer(self, key: TimerKey, now: Now) -> Effects:
        """A timer ran out; it is forgotten before the call."""

    def unload(self) -> list[Ticket]:
        """The partition is lost or the node stops: hand out everybody who still waits."""


@runtime_checkable
class BulkShard(Protocol):
    """A shard that can take over very many records of one kind faster than one by one."""

    def replay_rows(self, rows: Rows, start: int) -> int:
        """Take over the rows from number `start` on, up to the first that is of another kind or looks
        odd; its number, which `Shard.replay` has to take. Leaves what `replay` would have left."""
