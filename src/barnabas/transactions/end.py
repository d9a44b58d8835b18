"""How a transaction ends: EndTxn, its time-out, a newer producer; then markers; then it is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.transactions.transaction import (
    COMPLETE,
    EPOCH_PER_TRANSACTION,
    MAX_EPOCH,
    NO_EPOCH,
    NO_PRODUCER_ID,
    PREPARED,
    SendMarkers,
    State,
    Transaction,
    markers,
)
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.end_txn_response import EndTxnResponse

if TYPE_CHECKING:
    from barnabas.transactions.records.transaction_log_value import TransactionLogValue
    from barnabas.transactions.state import TransactionsState
    from barnabas.wire.messages.end_txn_request import EndTxnRequest

#: A Complete record that the log refuses is tried again after so long.
COMPLETE_AGAIN_MS: Final = 100


class CompleteTimer(NamedTuple):
    """Try again to write that a transaction is over."""

    done: SendMarkers


def refuse_end(error: ErrorCode) -> EndTxnResponse:
    """The answer that says `error`."""
    return EndTxnResponse(error_code=error)


def end_transaction(
    state: TransactionsState,
    request: EndTxnRequest,
    client_version: int,
    ticket: Ticket,
    now: Now,
) -> Effects:
    """Decide an EndTxn of a client that uses transactions of version `client_version`.

    Raises `KafkaError` when a new producer id is needed and none is at hand.
    """
    if not request.transactional_id:
        return Effects().reply(ticket, refuse_end(ErrorCode.INVALID_REQUEST))
    transaction = state.transactions.get(request.transactional_id)
    if transaction is None:
        return Effects().reply(ticket, refuse_end(ErrorCode.INVALID_PRODUCER_ID_MAPPING))
    bumps = client_version >= EPOCH_PER_TRANSACTION
    check = _check_bumping if bumps else _check_plain
    error = check(transaction, request)
    if error is not None:
        response = refuse_end(error)
        if bumps and not error:  # a repeated request: the answer that it missed
            response = _answer(transaction.producer_id, transaction.epoch)
        return Effects().reply(ticket, response)
    value = _outcome(state, transaction, now, commit=request.committed, version=client_version)
    response = EndTxnResponse()
    if bumps:
        renamed = value.next_producer_id != NO_PRODUCER_ID
        response = _answer(value.producer_id, value.producer_epoch)
        if renamed:
            response = _answer(value.next_producer_id, 0)
    return _prepare(state, transaction, value).reply(ticket, response)


def _answer(producer_id: int, epoch: int) -> EndTxnResponse:
    return EndTxnResponse(producer_id=producer_id, producer_epoch=epoch)


def _check_plain(transaction: Transaction, request: EndTxnRequest) -> ErrorCode | None:
    """The answer before EndTxn v5; None: it ends now. NONE: it has ended so."""
    if transaction.producer_id != request.producer_id:
        return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    if transaction.epoch != request.producer_epoch:
        return ErrorCode.PRODUCER_FENCED
    if transaction.state is State.ONGOING:
        return None
    return _late(transaction, request)


def _late(transaction: Transaction, request: EndTxnRequest) -> ErrorCode:
    """Of a transaction that is prepared or over: the same outcome as asked for, or not."""
    same = {
        State.PREPARE_COMMIT: request.committed,
        State.COMPLETE_COMMIT: request.committed,
        State.PREPARE_ABORT: not request.committed,
        State.COMPLETE_ABORT: not request.committed,
    }.get(transaction.state, False)
    if not same:
        return ErrorCode.INVALID_TXN_STATE
    prepared = transaction.state in PREPARED
    return ErrorCode.CONCURRENT_TRANSACTIONS if prepared else ErrorCode.NONE


def _check_bumping(transaction: Transaction, request: EndTxnRequest) -> ErrorCode | None:
    """The same from EndTxn v5 on: who repeats the request names the epoch before the bump."""
    epoch = request.producer_epoch
    again_renamed = (
        transaction.previous_producer_id == request.producer_id
        and epoch == MAX_EPOCH - 1
        and transaction.epoch == 0
    )
    again = transaction.epoch == epoch + 1 or again_renamed
    if transaction.producer_id != request.producer_id and not again_renamed:
        return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    if transaction.state in PREPARED:
        valid = transaction.epoch == epoch + 1
    elif transaction.state in COMPLETE:
        valid = again or transaction.epoch == epoch
    else:
        valid = transaction.epoch == epoch
    if not valid:
        return ErrorCode.PRODUCER_FENCED
    if transaction.state is State.ONGOING:
        return None
    if transaction.state in PREPARED or (again and transaction.state in COMPLETE):
        return _late(transaction, request)
    # Nothing was begun: an abort still gives the producer an epoch of its own.
    return ErrorCode.INVALID_TXN_STATE if request.committed else None


def _outcome(
    state: TransactionsState, transaction: Transaction, now: Now, *, commit: bool, version: int
) -> TransactionLogValue:
    """The Prepare record under transactions of `version`."""
    bumps = version >= EPOCH_PER_TRANSACTION
    fresh = state.new_producer_id() if bumps and transaction.exhausted else NO_PRODUCER_ID
    value = transaction.value(State.PREPARE_COMMIT if commit else State.PREPARE_ABORT, now.wall)
    value.next_producer_id = fresh
    value.client_transaction_version = version
    if transaction.state is not State.ONGOING:
        value.transaction_start_timestamp_ms = now.wall
    if bumps:
        transaction.handover = transaction.epoch
        value.producer_epoch = min(transaction.epoch + 1, MAX_EPOCH)
    return value


def _prepare(
    state: TransactionsState, transaction: Transaction, value: TransactionLogValue
) -> Effects:
    """Write how the transaction ends; the markers follow once that is committed.

    Some bytes more than what was let in when it was begun must not keep it from ending.
    """
    effects = Effects()
    effects.divisible = True
    order = markers(transaction.transactional_id, value)
    state.write(effects, transaction.transactional_id, value)
    return effects.order(order)


def abort(state: TransactionsState, transaction: Transaction, now: Now) -> Effects:
    """The coordinator aborts an ongoing transaction: its producer is fenced by the next epoch.

    Raises `KafkaError` when a new producer id is needed and none is at hand.
    """
    version = state.version()
    if version < EPOCH_PER_TRANSACTION:
        version = 0
    value = _outcome(state, transaction, now, commit=False, version=version)
    if not version:
        transaction.handover = NO_EPOCH
        value.producer_epoch = min(transaction.epoch + 1, MAX_EPOCH)
    return _prepare(state, transaction, value)


def complete(state: TransactionsState, done: SendMarkers, now: Now) -> Effects:
    """All partitions have their markers: the transaction is over.

    Nothing happens when it has gone on meanwhile. A refused record is tried again.
    """
    effects = Effects()
    effects.divisible = True
    transaction = state.transactions.get(done.transactional_id)
    if (
        transaction is None
        or transaction.state not in PREPARED
        or (transaction.producer_id, transaction.epoch) != (done.producer_id, done.producer_epoch)
    ):
        return effects
    committed = transaction.state is State.PREPARE_COMMIT
    value = transaction.value(
        State.COMPLETE_COMMIT if committed else State.COMPLETE_ABORT, now.wall
    )
    value.transaction_partitions = []
    bumps = transaction.client_version >= EPOCH_PER_TRANSACTION
    if bumps and transaction.next_producer_id != NO_PRODUCER_ID:
        value.producer_id, value.producer_epoch = transaction.next_producer_id, 0
    value.next_producer_id = NO_PRODUCER_ID
    state.write(effects, transaction.transactional_id, value)
    effects.refused = lambda _: _again(done, now)
    return effects


def _again(done: SendMarkers, now: Now) -> Effects:
    effects = Effects()
    effects.set_timer(CompleteTimer(done), now.monotonic + COMPLETE_AGAIN_MS)
    return effects
