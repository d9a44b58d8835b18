"""The transaction coordinator of this node: shards of transactional ids, and the markers they order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from barnabas.metadata.features import TRANSACTION_VERSION
from barnabas.server.coordinators.internal_topics import TRANSACTION_STATE, partitions_wanted
from barnabas.server.coordinators.runtime import CoordinatorRuntime, Settings
from barnabas.server.coordinators.tickets import FutureTicket
from barnabas.server.markers import Marker, write_markers
from barnabas.transactions.record_types import TRANSACTION_RECORDS
from barnabas.transactions.settings import TransactionSettings
from barnabas.transactions.shard import TransactionShard
from barnabas.transactions.transaction import SendMarkers
from barnabas.wire.errors import ErrorCode

if TYPE_CHECKING:
    from barnabas.config.broker import BrokerConfig
    from barnabas.coordinator.effects import Effects, Now, Ticket
    from barnabas.server.broker import Broker
    from barnabas.server.markers import Place

log = logging.getLogger("barnabas.server")

#: A marker that a partition did not take is sent again after so long, longer each time.
AGAIN_FIRST_MS: Final = 50
AGAIN_LAST_MS: Final = 1_000

#: A newer producer or a newer coordinator was there: the transaction is no longer ours to end.
_OVERTAKEN: Final = (ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.TRANSACTION_COORDINATOR_FENCED)
#: The partition will never take a marker, and needs none.
_NEEDLESS: Final = (
    ErrorCode.NONE,
    ErrorCode.UNSUPPORTED_VERSION,
    ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT,
)

_NO_COMPRESSION: Final = 0


class TransactionCoordinator:
    """Transactional ids and their transactions, as the handlers ask for them."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        settings = transaction_settings(broker.config)
        self.runtime: CoordinatorRuntime[TransactionShard] = CoordinatorRuntime(
            broker,
            TRANSACTION_STATE,
            TRANSACTION_RECORDS,
            lambda _: TransactionShard(settings, self._new_producer_id, self._version),
            Settings(
                partitions=lambda: partitions_wanted(broker, TRANSACTION_STATE),
                codec=_NO_COMPRESSION,
                write_timeout_ms=broker.config.get_int("request.timeout.ms"),
            ),
            self._carry_out,
        )

    def run(
        self,
        transactional_id: str,
        ticket: Ticket,
        decide: Callable[[TransactionShard, Now], Effects],
    ) -> None:
        """Let the shard of a transactional id decide; its effects answer the ticket."""
        self.runtime.run(transactional_id, decide, ticket)

    async def ask(
        self,
        transactional_id: str,
        decide: Callable[[TransactionShard, Now, FutureTicket], Effects],
    ) -> Any:
        """The same for one of several questions of a request. Raises `KafkaError`."""
        ticket = FutureTicket()
        self.runtime.run(transactional_id, lambda shard, now: decide(shard, now, ticket), ticket)
        return await ticket.future

    async def ask_partition(
        self,
        number: int,
        decide: Callable[[TransactionShard, Now, FutureTicket], Effects],
    ) -> Any:
        """The same for a partition. Raises `KafkaError`."""
        ticket = FutureTicket()
        self.runtime.run_on(number, lambda shard, now: decide(shard, now, ticket), ticket)
        return await ticket.future

    def _new_producer_id(self) -> int:
        """Raises `KafkaError` COORDINATOR_LOAD_IN_PROGRESS; then there will be one soon. A late
        transaction whose epoch is used up has no client that would fetch it."""
        ids = self._broker.producer_ids
        if not ids.at_hand:
            self._broker.spawn(ids.fetch())
        return ids.take()

    def _version(self) -> int:
        return self._broker.image.features.level(TRANSACTION_VERSION)

    # -- markers ---------------------------------------------------------------------------------

    def _carry_out(self, number: int, order: object) -> None:
        assert isinstance(order, SendMarkers)
        self._broker.spawn(self._send(number, order))

    async def _send(self, number: int, order: SendMarkers) -> None:
        """Tell every partition of a transaction how it ended, then the shard that it is over.

        Ends without that when the shard is unloaded: who loads it begins again.
        """
        runtime, broker = self.runtime, self._broker
        shard = runtime.shard(number)
        if shard is None:
            return
        marker = Marker(
            order.producer_id,
            order.producer_epoch,
            order.commit,
            runtime.epoch(number),
            order.transaction_version,
        )
        left: tuple[Place, ...] = order.partitions
        pause_ms = AGAIN_FIRST_MS
        while left := tuple(place for place in left if self._exists(place)):
            results = await write_markers(broker, marker, left)
            if runtime.shard(number) is not shard:
                return
            overtaken = [place for place, error in results.items() if error in _OVERTAKEN]
            if overtaken:
                log.warning(
                    "%s: its transaction is given up: %s has seen a newer epoch",
                    order.transactional_id,
                    f"{overtaken[0][0]}-{overtaken[0][1]}",
                )
                return
            left = tuple(place for place, error in results.items() if error not in _NEEDLESS)
            if left:
                await broker.clock.sleep(pause_ms)
                pause_ms = min(2 * pause_ms, AGAIN_LAST_MS)
        if runtime.shard(number) is shard:
            runtime.act(number, lambda shard, now: shard.markers_written(order, now))

    def _exists(self, place: Place) -> bool:
        """A partition that is deleted needs no marker."""
        return self._broker.image.topics.partition(*place) is not None


def transaction_settings(config: BrokerConfig) -> TransactionSettings:
    """What the node's configuration says about transactions."""
    return TransactionSettings(
        max_timeout_ms=config.get_int("transaction.max.timeout.ms"),
        id_expiration_ms=config.get_int("transactional.id.expiration.ms"),
        abort_interval_ms=config.get_int(
            "transaction.abort.timed.out.transaction.cleanup.interval.ms"
        ),
        expire_interval_ms=config.get_int(
            "transaction.remove.expired.transaction.cleanup.interval.ms"
        ),
        two_phase_commit=config.get_bool("transaction.two.phase.commit.enable"),
    )
