"""InitProducerId with a transactional id: a producer id, and an epoch that fences all before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barnabas.coordinator.effects import Effects, Now, Ticket
from barnabas.transactions.end import abort
from barnabas.transactions.transaction import (
    AT_REST,
    NO_EPOCH,
    NO_PRODUCER_ID,
    UNLIMITED_MS,
    State,
    Transaction,
    is_exhausted,
)
from barnabas.wire.errors import ErrorCode
from barnabas.wire.messages.init_producer_id_response import InitProducerIdResponse

if TYPE_CHECKING:
    from barnabas.transactions.state import TransactionsState
    from barnabas.wire.messages.init_producer_id_request import InitProducerIdRequest


def refuse_init(error: ErrorCode) -> InitProducerIdResponse:
    """The answer that says `error`."""
    return InitProducerIdResponse(error_code=error, producer_id=-1, producer_epoch=-1)


def init_producer_id(
    state: TransactionsState, request: InitProducerIdRequest, ticket: Ticket, now: Now
) -> Effects:
    """Decide an InitProducerId with a transactional id (KIP-98, KIP-360, KIP-890, KIP-939).

    Raises `KafkaError` when a new producer id is needed and none is at hand.
    """
    error = _check(state, request)
    if error:
        return Effects().reply(ticket, refuse_init(error))
    transactional_id = request.transactional_id or ""
    transaction = state.transactions.get(transactional_id)
    if transaction is None:
        transaction = Transaction(transactional_id)
        transaction.producer_id = state.new_producer_id()
        # An epoch that its caller brings along means nothing here.
        return _begin(state, transaction, request, (transaction.producer_id, 0), ticket, now)
    if not _may_ask(transaction, request):
        return Effects().reply(ticket, refuse_init(ErrorCode.PRODUCER_FENCED))
    if transaction.state in AT_REST:
        return _bump(state, transaction, request, ticket, now)
    effects = Effects()
    if transaction.state is State.ONGOING:
        # Its former producer is fenced and its transaction aborted; until then the client retries.
        effects = abort(state, transaction, now)
    return effects.reply(ticket, refuse_init(ErrorCode.CONCURRENT_TRANSACTIONS))


def _check(state: TransactionsState, request: InitProducerIdRequest) -> ErrorCode:
    settings = state.settings
    if not request.transactional_id:
        return ErrorCode.INVALID_REQUEST
    if request.enable2_pc and not settings.two_phase_commit:
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    if request.keep_prepared_txn:
        return ErrorCode.UNSUPPORTED_VERSION
    if not request.enable2_pc and not 0 < request.transaction_timeout_ms <= settings.max_timeout_ms:
        return ErrorCode.INVALID_TRANSACTION_TIMEOUT
    return ErrorCode.NONE


def _expects(request: InitProducerIdRequest) -> bool:
    """Whether the caller says which producer it is (KIP-360)."""
    return request.producer_id != NO_PRODUCER_ID


def _may_ask(transaction: Transaction, request: InitProducerIdRequest) -> bool:
    """Whether the caller is the producer that it says it is, or the one before a new producer id."""
    return (
        not _expects(request)
        or transaction.epoch == NO_EPOCH
        or request.producer_id == transaction.producer_id
        or (
            request.producer_id == transaction.previous_producer_id
            and is_exhausted(request.producer_epoch)
        )
    )


def _bump(
    state: TransactionsState,
    transaction: Transaction,
    request: InitProducerIdRequest,
    ticket: Ticket,
    now: Now,
) -> Effects:
    """The next epoch; a new producer id when there is none; the same one for a repeated request."""
    producer_id, epoch = transaction.producer_id, transaction.epoch
    asked = request.producer_epoch if _expects(request) else None
    last = NO_EPOCH if asked is None else epoch
    if asked is None or asked == epoch:
        given = (producer_id, epoch + 1)
        if transaction.exhausted:
            given = (state.new_producer_id(), 0)
    elif asked == transaction.last_epoch:
        given, last = (producer_id, epoch), asked
    else:
        return Effects().reply(ticket, refuse_init(ErrorCode.PRODUCER_FENCED))
    return _begin(state, transaction, request, given, ticket, now, last)


def _begin(
    state: TransactionsState,
    transaction: Transaction,
    request: InitProducerIdRequest,
    given: tuple[int, int],
    ticket: Ticket,
    now: Now,
    last_epoch: int = NO_EPOCH,
) -> Effects:
    """Write that the producer `given` (id, epoch) has the transactional id from now on."""
    effects = Effects()
    value = transaction.value(State.EMPTY, now.wall)
    value.producer_id, value.producer_epoch = given
    value.transaction_timeout_ms = (
        UNLIMITED_MS if request.enable2_pc else request.transaction_timeout_ms
    )
    value.transaction_start_timestamp_ms = -1
    transaction.handover = last_epoch
    state.write(effects, transaction.transactional_id, value)
    response = InitProducerIdResponse(producer_id=given[0], producer_epoch=given[1])
    return effects.reply(ticket, response)
