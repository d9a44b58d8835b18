"""Bugs of transactions: epochs, markers, verification, offsets."""

from __future__ import annotations

from typing import Final

from tests.planted.bug import Bug

END = "tests/unit/transactions/test_end.py::"
INIT = "tests/unit/transactions/test_init_producer_id.py::"
NODE = "tests/unit/server/test_node_transactions.py::"
HANGING = "tests/unit/server/test_node_hanging.py::"
OFFSETS = "tests/unit/server/test_node_txn_offsets.py::"
MODEL = "tests/property/coordinators/test_transaction_model.py::test_random_lives_beside_a_model"

BUGS: Final = (
    Bug(
        "what version 0 of a record cannot say is forgotten",
        "A producer is told its next id, and nobody knows that id when it comes.",
        "transactions/shard.py",
        "transaction.adopt(value, self.state.unsaid.pop(key.transactional_id, None))",
        "transaction.adopt(value)",
        (
            "tests/unit/transactions/test_records.py::"
            "test_what_version_0_cannot_say_is_remembered_by_the_coordinator",
            MODEL,
        ),
    ),
    Bug(
        "a bump of the producer itself is not remembered",
        "A repeated InitProducerId whose first answer was lost is fenced.",
        "transactions/producers.py",
        "last = NO_EPOCH if asked is None else epoch",
        "last = NO_EPOCH",
        (INIT + "test_a_repeated_bump_gets_the_same_epoch_again", MODEL),
    ),
    Bug(
        "no epoch per transaction",
        "A producer keeps its epoch, so that a late EndTxn ends its next transaction.",
        "transactions/end.py",
        "        value.producer_epoch = min(transaction.epoch + 1, MAX_EPOCH)\n    return value",
        "        value.producer_epoch = transaction.epoch\n    return value",
        (END + "test_old_bug_a_delayed_end_does_not_end_a_later_transaction",),
    ),
    Bug(
        "markers before the prepare record is safe",
        "Markers are sent when the Prepare record is appended, and may survive it.",
        "server/coordinators/runtime.py",
        "if pending.end_offset <= hosted.replica.high_watermark and not slot.pending:",
        "if orders or pending.end_offset <= hosted.replica.high_watermark and not slot.pending:",
        ("tests/unit/server/coordinators/test_runtime.py::test_orders_wait_for_what_was_appended",),
    ),
    Bug(
        "a time-out forgets the markers",
        "When nobody waits for the answer any more its markers are not sent either.",
        "server/coordinators/runtime.py",
        "                if not each.orders:\n",
        "                if True:\n",
        ("tests/unit/server/coordinators/test_runtime.py::test_orders_survive_a_time_out",),
    ),
    Bug(
        "a load forgets what is prepared",
        "After a restart nobody sends the markers of a prepared transaction.",
        "transactions/shard.py",
        "if each.state in PREPARED",
        "if each.state is State.EMPTY",
        (
            END + "test_a_load_goes_on_with_the_markers_of_what_is_prepared",
            NODE + "test_after_a_crash_between_prepare_and_complete_the_markers_follow",
        ),
    ),
    Bug(
        "a coordinator elected anew waits to be asked",
        "Transactions of a shard that is led again hang until a client asks for it.",
        "server/coordinators/runtime.py",
        "if topic is not None and topic.id in delta.topics.changed:",
        "if topic is None:",
        (HANGING + "test_a_coordinator_that_is_elected_anew_loads_what_nobody_asks_for",),
    ),
    Bug(
        "a late transaction needs a client's producer id",
        "At the last epoch the coordinator aborts only when a client has had ids fetched.",
        "server/coordinators/transactions.py",
        "if not ids.at_hand:",
        "if False:",
        (HANGING + "test_a_late_transaction_whose_epoch_is_used_up_ends_after_a_restart",),
    ),
    Bug(
        "complete without all markers",
        "A transaction is over although a partition refused its marker.",
        "server/coordinators/transactions.py",
        "left = tuple(place for place, error in results.items() if error not in _NEEDLESS)",
        "left = ()",
        (NODE + "test_after_a_crash_between_prepare_and_complete_the_markers_follow",),
    ),
    Bug(
        "guard not asked for",
        "Records that were verified before the marker are appended behind it.",
        "server/append.py",
        "code, duplicate = log.producers.check(header, guard, verify=verified)",
        "code, duplicate = log.producers.check(header, guard, verify=False)",
        (NODE + "test_old_bug_a_delayed_produce_of_a_plain_transaction_opens_no_hanging_one",),
    ),
    Bug(
        "guard of offsets not asked for",
        "Offsets that were verified before the marker are appended behind it.",
        "server/coordinators/runtime.py",
        "read_header(batch), effects.guard, client=False, verify=verified",
        "read_header(batch), effects.guard, client=False, verify=False",
        (OFFSETS + "test_old_bug_a_delayed_plain_offset_commit_opens_no_hanging_transaction",),
    ),
    Bug(
        "transactional records without an id",
        "Who names no transactional id may write in a transaction that is open.",
        "server/append.py",
        "if header.is_transactional:  # nobody has asked whether its client may",
        "if False:",
        (NODE + "test_records_of_a_transaction_need_its_id_in_the_request",),
    ),
    Bug(
        "the group never hears of the marker",
        "Offsets of a committed transaction stay undecided until the node restarts.",
        "server/markers.py",
        "if not appended.error and hosted.topic == CONSUMER_OFFSETS:",
        "if appended.error and hosted.topic == CONSUMER_OFFSETS:",
        (OFFSETS + "test_offsets_count_with_their_transaction_or_not_at_all",),
    ),
    Bug(
        "the new instance does not fence",
        "A second instance of a producer gets the epoch that the first one has.",
        "transactions/producers.py",
        "given = (producer_id, epoch + 1)",
        "given = (producer_id, epoch)",
        (INIT + "test_the_next_instance_gets_the_next_epoch",),
    ),
    Bug(
        "an epoch that overflows",
        "The last epoch that fences is given to a producer.",
        "transactions/transaction.py",
        "return epoch >= MAX_EPOCH - 1",
        "return epoch >= MAX_EPOCH",
        (INIT + "test_an_exhausted_epoch_gives_a_new_producer_id",),
    ),
    Bug(
        "a late transaction is left alone",
        "What takes too long is never aborted: its partitions' readers wait for ever.",
        "transactions/shard.py",
        "and transaction.start_ms + transaction.timeout_ms < now.wall",
        "and transaction.start_ms + transaction.timeout_ms < 0",
        (END + "test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced",),
    ),
)
