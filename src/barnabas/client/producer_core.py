"""The producer without sockets and clocks: which batches go where, when, and in which order.

Rules (KIP-98, KIP-480 and the behaviour of Kafka's own producer):

* One batch per partition and request; at most `max_in_flight` requests per node.
* Each partition's batches carry consecutive sequences of one producer id, and are acknowledged in
  that order. After a failed attempt the partition sends one batch at a time, oldest first, until
  nothing waits for a repetition.
* A batch that may have been written keeps its sequence for life: it is repeated unchanged or given
  up, never sent under a new sequence, because that would store it twice.
* A hole in the sequences (a batch that was given up or refused) makes the partition start over with
  the next epoch of the producer id (KIP-360), once nothing of the old one is in flight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from barnabas.client.accumulator import Accumulator
from barnabas.client.backoff import backoff_ms
from barnabas.client.batches import NOBODY, Batch, BatchState, Identity
from barnabas.client.config import ProducerConfig
from barnabas.client.errors import DeliveryFailed
from barnabas.client.transaction_core import TransactionCore
from barnabas.wire.errors import ErrorCode, KafkaError

_MAX_SEQUENCE = 0x7FFFFFFF
_LAST_EPOCH = 0x7FFF - 1
_SEQUENCE_LOST = frozenset(
    {
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode.UNKNOWN_PRODUCER_ID,
        ErrorCode.INVALID_PRODUCER_EPOCH,
    }
)
_MAYBE_WRITTEN = frozenset(
    {
        ErrorCode.UNKNOWN_SERVER_ERROR,
        ErrorCode.REQUEST_TIMED_OUT,
        ErrorCode.NETWORK_EXCEPTION,
        ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ErrorCode.KAFKA_STORAGE_ERROR,
    }
)
"""Answers after which the batch may be in a log all the same."""


class _Queue:
    """One partition's batches: `sent` in sequence order, then `fresh` ones without sequence."""

    __slots__ = (
        "fresh",
        "generation",
        "identity",
        "in_flight",
        "next_sequence",
        "proven",
        "sent",
        "start_over",
    )

    def __init__(self, *, start_over: bool) -> None:
        self.fresh: deque[Batch] = deque()
        self.sent: deque[Batch] = deque()
        self.in_flight = 0
        self.generation = 0
        self.identity = NOBODY
        self.next_sequence = -1
        #: The node knows the producer id: out of order sequences are refused from then on.
        self.proven = False
        self.start_over = start_over


class ProducerCore:
    """State of a producer. `now` is monotonic milliseconds; `below(n)` draws from [0, n).

    The shell appends to `records`, calls `drain` for what to send, and reports how each batch fared
    by `acknowledged` or `failed`. It looks at `wants_identity` and `stale_topics` after each call.
    `settled` hears of each batch whose fate is known.
    """

    def __init__(
        self,
        config: ProducerConfig,
        below: Callable[[int], int],
        settled: Callable[[Batch], None] | None = None,
        transaction: TransactionCore | None = None,
    ) -> None:
        self._transaction = transaction
        self._config = config
        self._below = below
        self._settled = settled
        self.records = Accumulator(config, below, self._begun, self._waiting)
        self._queues: dict[tuple[str, int], _Queue] = {}
        self._active: dict[tuple[str, int], _Queue] = {}
        self._identity = NOBODY
        self._generation = 0
        self._turn = 0
        self._in_flight: dict[int, int] = {}
        self.wants_identity = False
        self.stale_topics: set[str] = set()

    def _begun(self, batch: Batch) -> None:
        name = (batch.topic, batch.partition)
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = _Queue(start_over=self._config.enable_idempotence)
        queue.fresh.append(batch)
        self._active[name] = queue

    def _waiting(self, topic: str, partitions: Sequence[int]) -> Sequence[int]:
        """How many batches wait for each of these partitions."""
        queues = self._active
        found: list[int] = []
        for partition in partitions:
            queue = queues.get((topic, partition))
            found.append(0 if queue is None else len(queue.fresh) + len(queue.sent))
        return found

    def close_batches(self) -> None:
        """Whatever is gathered goes out now, without lingering."""
        self.records.close_all()

    def unfinished(self) -> list[Batch]:
        """All batches whose fate is open, in no particular order."""
        return [batch for queue in self._active.values() for batch in (*queue.sent, *queue.fresh)]

    def abandon(self, error: Exception) -> None:
        """Nothing can be delivered any more: give up every batch."""
        self.records.close_all()
        for batch in self.unfinished():
            self._release(batch, error)
        self._queues.clear()
        self._active.clear()

    # -- transactions --

    @property
    def identity(self) -> Identity:
        """The producer id and epoch in use."""
        return self._identity

    def restart(self, producer_id: int, epoch: int) -> None:
        """A new epoch: all sequences begin anew. Nothing may be unfinished."""
        self._queues.clear()
        self._active.clear()
        self.identified(producer_id, epoch)

    def drop_unsent(self, error: Exception) -> None:
        """The transaction is aborted: give up what is not in flight."""
        self.records.close_all()
        for queue in self._active.values():
            for batch in [*queue.sent, *queue.fresh]:
                if batch.state is not BatchState.IN_FLIGHT:
                    (queue.sent if batch in queue.sent else queue.fresh).remove(batch)
                    self._release(batch, error)

    # -- sending --

    def identified(self, producer_id: int, epoch: int) -> None:
        """A node gave us a producer id."""
        self._identity = Identity(producer_id, epoch)
        self._generation += 1
        self.wants_identity = False

    def drain(self, leader: Callable[[str, int], int], now: int) -> dict[int, list[Batch]]:
        """Batches to send now, one list (one request) per node; they count as in flight.

        `leader` names the node of a partition, -1 when unknown.
        """
        calls: dict[int, list[Batch]] = {}
        sizes: dict[int, int] = {}
        for name, queue in self._in_turn():
            self._expire(queue, now)
            batch = self._next(queue, now)
            if batch is None:
                continue
            node = leader(*name)
            if node < 0:
                self.stale_topics.add(name[0])
                continue
            if self._in_flight.get(node, 0) >= self._config.max_in_flight:
                continue
            size = sizes.get(node, 0) + batch.size
            if node in calls and size > self._config.max_request_size:
                continue
            sizes[node] = size
            calls.setdefault(node, []).append(batch)
            self._take(queue, batch)
        for node in calls:
            self._in_flight[node] = self._in_flight.get(node, 0) + 1
        return calls

    def _in_turn(self) -> list[tuple[tuple[str, int], _Queue]]:
        """Partitions that have batches, starting at another one each time so that none starves."""
        self._active = {
            name: queue for name, queue in self._active.items() if queue.sent or queue.fresh
        }
        items = list(self._active.items())
        self._turn = (self._turn + 1) % max(len(items), 1)
        return items[self._turn :] + items[: self._turn]

    def _next(self, queue: _Queue, now: int) -> Batch | None:
        """The batch of this partition that may go out, if any."""
        if queue.in_flight < len(queue.sent):
            # Something waits for a repetition: oldest first, alone.
            head = queue.sent[0]
            return head if not queue.in_flight and head.retry_ms <= now else None
        if not queue.fresh:
            return None
        head = queue.fresh[0]
        if head.state is BatchState.OPEN:
            if now < head.created_ms + self._config.linger_ms and not self.records.full:
                return None
            self.records.shut(head)
        if head.retry_ms > now:
            return None
        if self._transaction is not None and not self._transaction.may_send(
            (head.topic, head.partition)
        ):
            return None
        if queue.start_over and not self._renew(queue):
            return None
        if self._config.enable_idempotence and queue.in_flight and not queue.proven:
            # A node takes any first sequence of a producer it does not know: a second batch might be
            # taken although the first is refused, and the first then comes behind it.
            return None
        return head

    def _renew(self, queue: _Queue) -> bool:
        """Begin a partition's sequences anew; False when that must wait.

        It takes the next epoch of the producer id, without asking a node (KIP-360). The first id,
        and one whose epochs are used up, has to be asked for.
        """
        if queue.sent:
            return False
        if queue.generation == self._generation:
            if self._transaction is not None:
                return False  # a hole in the sequences: the transaction has failed
            producer_id, epoch = self._identity
            if producer_id < 0 or epoch >= _LAST_EPOCH:
                self.wants_identity = True
                return False
            self.identified(producer_id, epoch + 1)
        queue.generation = self._generation
        queue.identity = self._identity
        queue.next_sequence = 0
        queue.proven = False
        queue.start_over = False
        return True

    def _take(self, queue: _Queue, batch: Batch) -> None:
        if batch.state is BatchState.READY:
            queue.fresh.popleft()
            queue.sent.append(batch)
            self._stamp(queue, batch)
        batch.state = BatchState.IN_FLIGHT
        batch.attempts += 1
        queue.in_flight += 1

    def _stamp(self, queue: _Queue, batch: Batch) -> None:
        config = self._config
        batch.stamp(
            config.compression,
            config.compression_level,
            queue.identity,
            queue.next_sequence,
            transactional=self._transaction is not None,
        )
        if config.enable_idempotence:
            queue.next_sequence = (queue.next_sequence + batch.count) & _MAX_SEQUENCE

    def wait_ms(self, now: int) -> int | None:
        """How long `drain` will have nothing new to do; None: until something else happens."""
        moments: list[int] = []
        for queue in self._active.values():
            if queue.sent and queue.in_flight < len(queue.sent):
                moments.append(max(queue.sent[0].retry_ms, now))
                moments.append(queue.sent[0].deadline_ms)
            elif queue.fresh:
                head = queue.fresh[0]
                lingered = head.created_ms + self._config.linger_ms
                moments.append(max(head.retry_ms, lingered if head.state is BatchState.OPEN else 0))
                moments.append(head.deadline_ms)
        later = [moment for moment in moments if moment > now]
        return min(later) - now if later else None

    # -- outcomes --

    def request_done(self, node: int) -> None:
        """A request to `node` ended, one way or another; report its batches right after."""
        self._in_flight[node] -= 1

    def acknowledged(self, batch: Batch, base_offset: int, log_append_time: int) -> None:
        """The node has the batch. Nothing new if it was given up meanwhile (`abandon`)."""
        if batch.done:
            return
        batch.base_offset = base_offset
        batch.log_append_time = log_append_time
        queue = self._queues[batch.topic, batch.partition]
        queue.in_flight -= 1
        queue.proven = True
        self._finish(queue, batch, None)
        self._settle(queue)

    def failed(self, batch: Batch, error: Exception, now: int, *, moved: bool = False) -> None:
        """An attempt failed: a `KafkaError` is the node's answer, anything else means no answer.

        `moved`: the answer named a leader that was not known yet, so there is no need to wait
        (KIP-951). Nothing new if the batch was given up meanwhile (`abandon`).
        """
        if batch.done:
            return
        queue = self._queues[batch.topic, batch.partition]
        queue.in_flight -= 1
        batch.last_error = error
        code = error.code if isinstance(error, KafkaError) else ErrorCode.NETWORK_EXCEPTION
        if code in _MAYBE_WRITTEN:
            batch.maybe_written = True
        if code.refreshes_metadata and not moved:
            self.stale_topics.add(batch.topic)
        if self._transaction is not None and self._transaction.aborting:
            self._give_up(queue, batch, error)
        elif code in _SEQUENCE_LOST and self._config.enable_idempotence:
            self._sequence_lost(queue, batch, error)
        elif code.retriable and now < batch.deadline_ms and batch.attempts <= self._config.retries:
            self._repeat(batch, now, moved)
        elif code.retriable or batch.maybe_written:
            self._give_up(queue, batch, self._undelivered(batch, "was given up"))
        else:
            self._give_up(queue, batch, error)
        self._settle(queue)

    def _repeat(self, batch: Batch, now: int, at_once: bool) -> None:
        batch.state = BatchState.WAITING
        batch.retry_ms = now
        if not at_once:
            batch.retry_ms += backoff_ms(
                batch.attempts - 1,
                self._config.retry_backoff_ms,
                self._config.retry_backoff_max_ms,
                self._below,
            )

    def _sequence_lost(self, queue: _Queue, batch: Batch, error: Exception) -> None:
        """The node expected another sequence. Only the oldest batch can be the cause."""
        batch.state = BatchState.WAITING
        if queue.sent[0] is not batch:
            return
        queue.start_over = True
        if batch.maybe_written:
            self._give_up(queue, batch, self._undelivered(batch, "lost its place in the sequence"))
        elif self._transaction is not None:
            self._give_up(queue, batch, error)

    def _expire(self, queue: _Queue, now: int) -> None:
        """Give up batches that are out of time and not in flight; the oldest are in front."""
        while queue.sent and queue.sent[0].deadline_ms <= now:
            batch = queue.sent[0]
            if batch.state is BatchState.IN_FLIGHT:
                return
            self._give_up(queue, batch, self._expired(batch))
        self._settle(queue)
        while queue.fresh and queue.fresh[0].deadline_ms <= now:
            batch = queue.fresh.popleft()
            if batch.state is BatchState.OPEN:
                self.records.shut(batch)
            self._release(batch, self._expired(batch))

    def _expired(self, batch: Batch) -> DeliveryFailed:
        seconds = self._config.delivery_timeout_ms / 1000
        return self._undelivered(batch, f"was not taken within {seconds:g} s")

    @staticmethod
    def _undelivered(batch: Batch, what: str) -> DeliveryFailed:
        """What happened to a batch, with the number of attempts and what the last one met."""
        attempts = f"{batch.attempts} attempt{'' if batch.attempts == 1 else 's'}"
        last = f"; the last: {batch.last_error}" if batch.last_error is not None else ""
        sure = "; a copy may be in the log" if batch.maybe_written else ""
        error = DeliveryFailed(
            f"a batch of {batch.count} for {batch.topic}-{batch.partition} {what}, "
            f"{attempts}{last}{sure}",
            maybe_written=batch.maybe_written,
            attempts=batch.attempts,
        )
        error.__cause__ = batch.last_error
        return error

    def _give_up(self, queue: _Queue, batch: Batch, error: Exception) -> None:
        queue.start_over = self._config.enable_idempotence
        self._finish(queue, batch, error)

    def _finish(self, queue: _Queue, batch: Batch, error: Exception | None) -> None:
        queue.sent.remove(batch)
        self._release(batch, error)

    def _release(self, batch: Batch, error: Exception | None) -> None:
        self.records.released(batch)
        if error is not None and self._transaction is not None:
            self._transaction.failed(error)
        batch.finish(error)
        if self._settled is not None:
            self._settled(batch)

    def _settle(self, queue: _Queue) -> None:
        """Once nothing is in flight after a hole, what surely was not written gets a new start."""
        if not queue.start_over or queue.in_flight or not queue.sent:
            return
        for batch in reversed(tuple(queue.sent)):
            if batch.maybe_written:
                failed = self._undelivered(batch, "came behind one that failed")
                self._finish(queue, batch, failed)
            else:
                queue.sent.remove(batch)
                batch.state = BatchState.READY
                queue.fresh.appendleft(batch)
