"""What could keep a transaction from ending, and with it the readers of its partitions (T6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from barnabas.server.coordinators.internal_topics import TRANSACTION_STATE
from barnabas.wire.errors import ErrorCode
from tests.unit.server.calm import Session, calm
from tests.unit.server.transacting import Transactor, stable_end

NONE = ErrorCode.NONE
OFTEN = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"}


@pytest.mark.parametrize("late", [True, False])
def test_what_was_begun_ends_however_small_the_coordinators_batches_have_become(
    late: bool,
) -> None:
    async def scenario(s: Session) -> None:
        await s.create("t")
        x = Transactor(s)
        await x.init(timeout_ms=5_000)
        assert await x.send("t", b"a") is NONE
        assert s.node.node is not None
        broker = s.node.node.broker
        number = broker.coordinators.transactions.runtime.partition_of(x.name)
        hosted = s.hosted(TRANSACTION_STATE, number)
        # As small as the record of the transaction that is open; that of its end is larger.
        hosted.update_config(replace(hosted.config, max_message_bytes=100))
        if late:
            await s.sleep(6_000)
        else:
            assert await x.end() is NONE
        assert await x.settled() == ("CompleteAbort" if late else "CompleteCommit")
        assert await stable_end(s, "t") == (2, 2)

    calm(scenario, OFTEN)
