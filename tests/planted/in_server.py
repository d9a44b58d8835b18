"""Bugs in the server, the metadata log and the host: promises, order, sessions, devices."""

from __future__ import annotations

from tests.planted.bug import Bug

MEMORY = "tests/unit/server/test_memory_budget.py::"
CONNECTION = "tests/unit/server/test_connection.py::"
SESSIONS = "tests/unit/server/test_fetch_sessions.py::"
FETCH = "tests/unit/server/test_node_fetch.py::"
PRODUCE = "tests/unit/server/test_node_produce.py::"
METADATA = "tests/unit/replication/test_metadata_log.py::"
DRIVER = "tests/unit/replication/test_quorum_driver.py::"
HOST = "tests/unit/host/test_host_disk.py::"
SEEDS = "tests/sim/test_node.py::test_fixed_seeds"
VIOLATED = r"^\d+ violations(.|\n)*\b({})\b"

BUGS = (
    Bug(
        "acknowledged before the sync",
        "The high watermark follows what is written, not what is synced.",
        "server/partitions.py",
        'safe = log.durable_offset if config.ack_mode == "synced" else log.written_offset',
        "safe = log.written_offset",
        (SEEDS,),
        VIOLATED.format("lost|P6|P7"),
    ),
    Bug(
        "acknowledged before the write",
        "acks=1 is answered when the records are in memory only.",
        "server/handlers/produce.py",
        "reached = hosted.replica.high_watermark if committed else log.written_offset",
        "reached = hosted.replica.high_watermark if committed else log.end_offset",
        (PRODUCE + "test_an_answer_comes_when_the_records_are_where_it_says",),
    ),
    Bug(
        "acknowledged one early",
        "acks=all is answered when the high watermark is one record short.",
        "server/partitions.py",
        "while waiting and waiting[0][0] <= high_watermark:",
        "while waiting and waiting[0][0] <= high_watermark + 1:",
        (
            "tests/unit/server/test_partitions.py::test_who_waits_is_told_at_its_offset_and_not_before",
        ),
    ),
    Bug(
        "read beyond the high watermark",
        "Consumers are given records that may still be lost.",
        "server/fetching.py",
        "upper = result.last_stable_offset if self.committed_only else result.high_watermark\n"
        "        first",
        "upper = result.last_stable_offset if self.committed_only else hosted.log.end_offset\n"
        "        first",
        (SEEDS,),
        VIOLATED.format("P6"),
    ),
    Bug(
        "aborted transactions not named",
        "read_committed consumers are not told which records to leave out.",
        "server/fetching.py",
        "at_least_one=first,\n                aborted=self.committed_only,",
        "at_least_one=first,\n                aborted=False,",
        (FETCH + "test_read_committed_stops_at_open_transactions_and_names_aborted_ones",),
    ),
    Bug(
        "session forgets a partition",
        "A partition that had no room in a response is not looked at again until it changes.",
        "server/fetch_sessions.py",
        "if unread and not told:\n            return",
        "",
        (FETCH + "test_sessions_take_turns_between_partitions",),
    ),
    Bug(
        "session is not told",
        "A long poll does not hear of new records of its partition.",
        "server/fetch_sessions.py",
        "partition.hosted = hosted\n"
        "            if hosted is not None:\n"
        "                hosted.watch(self, key)",
        "partition.hosted = hosted",
        (FETCH + "test_a_parked_poll_is_woken_by_what_it_waits_for",),
    ),
    Bug(
        "nothing beside those who do not read",
        "Clients that do not read their answers keep everybody else from the smallest event.",
        "server/fetching.py",
        "budget -= max(0, self._response_bytes - FETCH_CROWDED_BYTES)",
        "budget = 0",
        (FETCH + "test_without_room_for_answers_small_batches_still_arrive",),
    ),
    Bug(
        "session waits for nobody",
        "A lost connection takes away the waiter of the next poll of its session.",
        "server/fetching.py",
        "if self._session.waiter == self._wake:",
        "if self._session.waiter is not None:",
        (FETCH + "test_a_lost_connection_does_not_take_the_next_poll_of_its_session_with_it",),
    ),
    Bug(
        "former failure remembered",
        "A partition that was deleted while it was opened cannot be used when it comes again.",
        "server/partitions.py",
        "if key not in self._dropped:",
        "if key is not self._dropped:",
        (
            "tests/unit/server/test_partitions.py::"
            "test_a_failure_to_open_what_was_dropped_meanwhile_is_not_remembered",
        ),
    ),
    Bug(
        "session keeps its epoch",
        "A fetch session takes the same request twice.",
        "server/fetch_sessions.py",
        "session.epoch = next_epoch(epoch)",
        "session.epoch = epoch",
        (SESSIONS + "test_a_session_is_found_and_advances",),
    ),
    Bug(
        "answers out of order",
        "An answer that is there at once overtakes those of earlier requests.",
        "server/connection.py",
        "elif self.pending:\n            request.payload = payload",
        "elif self._pending_other:\n            request.payload = payload",
        (CONNECTION + "test_an_immediate_answer_waits_for_earlier_ones",),
    ),
    Bug(
        "anything overtakes a commit",
        "Requests of any kind begin while a commit is not answered.",
        "server/connection.py",
        "or OVERLAP[frame[5]] != OVERLAP[pending[-1].api_key]",
        "",
        (CONNECTION + "test_heartbeats_and_commits_overlap_each_other_and_nothing_else",),
    ),
    Bug(
        "produce overtakes produce",
        "A batch whose records are checked off the loop is overtaken by the next one.",
        "server/connection.py",
        "self._pending_other |= request.exclusive",
        "pass",
        (CONNECTION + "test_an_exclusive_produce_is_not_overtaken",),
    ),
    Bug(
        "whole frames cost nothing",
        "Produce requests that wait for a slow disk may fill the memory, one for each connection.",
        "server/memory_budget.py",
        "if self.parked > PARKED_BYTES:",
        "if self.parked > PARKED_BYTES * PARKED_BYTES:",
        (
            MEMORY
            + "test_whole_frames_that_wait_for_their_answer_are_bounded_for_all_clients_together",
        ),
    ),
    Bug(
        "a poll keeps its request",
        "A long poll holds the bytes of its request for as long as its client likes.",
        "server/connection.py",
        "request.forget_frame()",
        "pass",
        (MEMORY + "test_a_request_that_waits_does_not_keep_its_bytes",),
    ),
    Bug(
        "told as often as asked",
        "A small request that names the same broker again and again makes an answer of gigabytes.",
        "server/handlers/describe_configs.py",
        "in enumerate(_distinct(message.resources))",
        "in enumerate(message.resources)",
        ("tests/unit/server/test_amplification.py::test_what_is_named_often_is_told_once",),
    ),
    Bug(
        "acks=0 answered",
        "A refused batch of an acks=0 producer is answered, which it takes for a later answer.",
        "server/handlers/produce.py",
        "return _answer(PendingProduce(broker, request, [outcome], acks), request, acks, 0)",
        "return PendingProduce(broker, request, [outcome], acks).answer()",
        (
            PRODUCE
            + "test_a_failure_on_the_fast_path_closes_the_connection_of_an_acks_none_producer",
        ),
    ),
    Bug(
        "waits at a partition that is gone",
        "A request waits for an acknowledgement of a partition that was deleted meanwhile.",
        "server/pending_produce.py",
        "if hosted.gone:",
        "if hosted.gone and acks == ACKS_NONE:",
        (PRODUCE + "test_a_partition_that_goes_while_others_are_checked_is_answered",),
    ),
    Bug(
        "failed request never answered",
        "A bug of ours in a task leaves the request open, and its client waiting.",
        "server/broker.py",
        "if request is not None:\n                request.close",
        "if request is None:\n                request.close",
        (PRODUCE + "test_a_bug_while_a_request_waits_closes_its_connection",),
    ),
    Bug(
        "no back-pressure of the disk",
        "Producers are read from however much waits in memory for a slow disk.",
        "log/writer.py",
        "return self._writing_bytes + behind > WAITING_BYTES",
        "return behind < 0",
        (PRODUCE + "test_producers_wait_while_the_disk_does_not_keep_up",),
    ),
    Bug(
        "connections take the files of logs",
        "Clients may open so many connections that a log cannot open its files and fails.",
        "server/connection_limits.py",
        "if self._most is not None and self._total > self._most:",
        "if self._most is not None and self._total < 0:",
        (CONNECTION + "test_open_files_bound_connections_whatever_is_configured",),
    ),
    Bug(
        "sessions without bound",
        "Fetch sessions remember as many partitions as clients can think of.",
        "server/fetch_sessions.py",
        "if self._slots <= 0 or self.partitions + size > SESSION_PARTITIONS:",
        "if self._slots <= 0:",
        (FETCH + "test_sessions_remember_a_bounded_number_of_partitions",),
    ),
    Bug(
        "damage told as a failing disk",
        "A reader of a damaged batch is told to ask for metadata, and asks for ever.",
        "server/fetching.py",
        "if isinstance(failure, LogDamaged):",
        "if isinstance(failure, OffsetOutOfRange):",
        (FETCH + "test_damage_in_a_file_is_told_and_the_rest_is_served",),
    ),
    Bug(
        "time of append not in the index",
        "With LogAppendTime the indexes hold the time that the producer claimed.",
        "server/append.py",
        "max_timestamp=now_ms, attributes",
        "attributes",
        (FETCH + "test_times_of_append_are_what_is_looked_for",),
    ),
    Bug(
        "deleted topic's files served",
        "A topic that is created anew finds the records of the one that was deleted.",
        "server/hosting.py",
        "if opened.topic_id is not None and opened.topic_id != topic.id:",
        "if opened.topic_id is None and opened.topic_id != topic.id:",
        (
            "tests/unit/server/test_hosting.py::test_files_of_a_deleted_topic_of_the_same_name_are_set_aside",
        ),
    ),
    Bug(
        "metadata answered before its commit",
        "CreateTopics is answered when its records are appended, not when they are committed.",
        "replication/metadata_log.py",
        "await asyncio.shield(self._waiting[-1].wait())",
        "pass",
        (METADATA + "test_a_reply_comes_after_the_commit_and_the_publishers",),
    ),
    Bug(
        "snapshot named before its contents",
        "A metadata snapshot gets its name before its bytes are synced.",
        "replication/metadata_files.py",
        "file.sync()\n    finally:\n        file.close()\n    disk.rename(part, final)",
        "pass\n    finally:\n        file.close()\n    disk.rename(part, final)",
        ("tests/sim/test_crash_metadata.py::test_a_snapshot_stays_once_it_is_written",),
    ),
    Bug(
        "name of a snapshot not synced",
        "The log before a metadata snapshot goes though the snapshot's name may be lost.",
        "replication/metadata_files.py",
        "disk.rename(part, final)\n    disk.sync_dir(directory)",
        "disk.rename(part, final)",
        ("tests/sim/test_crash_metadata.py::test_a_snapshot_stays_once_it_is_written",),
    ),
    Bug(
        "vote told before it is durable",
        "A quorum node goes on while its vote is being written.",
        "replication/quorum_driver.py",
        "self._storing = True",
        "self._storing = False",
        (DRIVER + "test_what_follows_a_persist_waits_until_it_is_durable_and_so_do_events",),
    ),
    Bug(
        "producer ids given twice",
        "The block of producer ids that was given out is not taken out of the next one.",
        "metadata/controller/producer_ids.py",
        "next_producer_id=first + BLOCK_SIZE,",
        "next_producer_id=first,",
        ("tests/unit/server/test_node_admin.py::test_producer_ids_are_never_given_twice",),
    ),
    Bug(
        "failed sync tried again",
        "A file whose sync failed is synced again, which Linux answers with success.",
        "host/file.py",
        "self.check_not_failed()\n        try:",
        "try:",
        (HOST + "test_failed_sync_is_never_retried",),
    ),
    Bug(
        "short writes",
        "What a short write left is not written.",
        "host/file.py",
        "if written < total:\n            self._write_rest(buffers, position, written)",
        "",
        (HOST + "test_short_writes_are_continued",),
    ),
)
