"""A naive model of a transaction coordinator: dictionaries and ifs, as Kafka's rules are told.

Nothing of the package is used. Numbers are Kafka's: error codes, states 0 to 5, versions 0 to 2 of
transactions. A write takes effect at once; what the log refuses changes nothing. Every answer of a
request is (error, producer id, epoch) or a list of errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

OK: Final = 0
COORDINATOR_LOAD_IN_PROGRESS, INVALID_REQUEST, INVALID_TXN_STATE = 14, 42, 48
INVALID_PRODUCER_ID_MAPPING, INVALID_TRANSACTION_TIMEOUT, CONCURRENT_TRANSACTIONS = 49, 50, 51
TRANSACTIONAL_ID_AUTHORIZATION_FAILED, UNSUPPORTED_VERSION = 53, 35
PRODUCER_FENCED, TRANSACTION_ABORTABLE = 90, 120

EMPTY, ONGOING, PREPARE_COMMIT, PREPARE_ABORT, COMPLETE_COMMIT, COMPLETE_ABORT = range(6)
PREPARED, COMPLETE = (PREPARE_COMMIT, PREPARE_ABORT), (COMPLETE_COMMIT, COMPLETE_ABORT)

HIGHEST: Final = 32767
NOBODY: Final = (-1, -1)
FOR_EVER_MS: Final = 2**31 - 1

Answer: TypeAlias = tuple[int, int, int]
Place: TypeAlias = tuple[str, int]
Row: TypeAlias = dict[str, Any]


class Order(NamedTuple):
    """The markers of one transaction."""

    name: str
    producer_id: int
    epoch: int
    commit: bool
    version: int
    places: frozenset[Place]


class NoId(Exception):
    """No producer id is at hand."""


class Refused(Exception):
    """The log took no record."""


class TransactionModel:
    """What a coordinator should know and answer."""

    def __init__(
        self,
        first_id: int,
        now_ms: int,
        *,
        max_timeout_ms: int,
        expiration_ms: int,
        abort_every_ms: int,
        expire_every_ms: int,
    ) -> None:
        self.max_timeout_ms, self.expiration_ms = max_timeout_ms, expiration_ms
        self.abort_every_ms, self.expire_every_ms = abort_every_ms, expire_every_ms
        self.next_id = first_id
        self.ids_at_hand = True
        self.two_phase_commit = False
        self.refuse: int | None = None
        self.version = 2
        self.rows: dict[str, Row] = {}
        self.log: list[tuple[str, Row | None]] = []
        self.orders: list[Order] = []
        self.now = now_ms
        self._start()

    def _start(self) -> None:
        self.next_abort = self.now + self.abort_every_ms
        self.next_expiry = self.now + self.expire_every_ms

    # -- the log ---------------------------------------------------------------------------------

    def crash(self, lost: int = 0) -> None:
        """Another process reads the log, without its last records; markers are ordered once more."""
        if lost:
            del self.log[-lost:]
        self.rows, self.orders = {}, []
        for name, row in self.log:
            if row is None:
                self.rows.pop(name, None)
            else:
                self.rows[name] = {**row, "last": -1}
        for name, row in self.rows.items():
            if row["state"] in PREPARED:
                self._order(name, row)
        self._start()

    def _write(self, name: str, row: Row | None) -> None:
        if self.refuse is not None:
            raise Refused
        if row is None:
            self.log.append((name, None))
            del self.rows[name]
            return
        said = row if self.version else {**row, "prev": -1, "next": -1, "version": 0}
        self.log.append((name, dict(said)))
        self.rows[name] = row

    def _order(self, name: str, row: Row) -> None:
        commit = row["state"] == PREPARE_COMMIT
        places = frozenset(row["places"])
        self.orders.append(Order(name, row["id"], row["epoch"], commit, row["version"], places))

    def _new_id(self) -> int:
        if not self.ids_at_hand:
            raise NoId
        self.next_id += 1
        return self.next_id - 1

    def _answer(self, decide: Callable[[], Answer]) -> Answer:
        try:
            return decide()
        except NoId:
            return (COORDINATOR_LOAD_IN_PROGRESS, *NOBODY)
        except Refused:
            assert self.refuse is not None
            return (self.refuse, *NOBODY)
        finally:
            self.refuse = None

    # -- InitProducerId --------------------------------------------------------------------------

    def init(
        self, name: str, timeout_ms: int, who: tuple[int, int], *, two_pc: bool, keep: bool
    ) -> Answer:
        """InitProducerId; `who` is (-1, -1) or the producer that asks."""
        return self._answer(lambda: self._init(name, timeout_ms, who, two_pc, keep))

    def _init(
        self, name: str, timeout_ms: int, who: tuple[int, int], two_pc: bool, keep: bool
    ) -> Answer:
        if name == "":
            return (INVALID_REQUEST, *NOBODY)
        if two_pc and not self.two_phase_commit:
            return (TRANSACTIONAL_ID_AUTHORIZATION_FAILED, *NOBODY)
        if keep:
            return (UNSUPPORTED_VERSION, *NOBODY)
        if two_pc:
            timeout_ms = FOR_EVER_MS
        elif timeout_ms <= 0 or timeout_ms > self.max_timeout_ms:
            return (INVALID_TRANSACTION_TIMEOUT, *NOBODY)
        row = self.rows.get(name)
        if row is None:
            fresh = self._new_id()
            row = {"id": fresh, "prev": fresh, "next": -1, "epoch": -1, "last": -1, "version": 0}
            return self._initialized(name, row, fresh, 0, -1, timeout_ms)
        producer_id, epoch = who
        given = who != NOBODY
        if given and producer_id != row["id"]:
            renamed = producer_id == row["prev"] and epoch >= HIGHEST - 1
            if not renamed:
                return (PRODUCER_FENCED, *NOBODY)
        if row["state"] in PREPARED:
            return (CONCURRENT_TRANSACTIONS, *NOBODY)
        if row["state"] == ONGOING:
            self._fence_and_abort(name, row)
            return (CONCURRENT_TRANSACTIONS, *NOBODY)
        if given and epoch != row["epoch"]:
            if epoch != row["last"]:
                return (PRODUCER_FENCED, *NOBODY)
            # A retry. (Kafka answers UNKNOWN_SERVER_ERROR to it when the epochs are used up.)
            return self._initialized(name, row, row["id"], row["epoch"], epoch, timeout_ms)
        last = row["epoch"] if given else -1
        if row["epoch"] >= HIGHEST - 1:
            return self._initialized(name, row, self._new_id(), 0, last, timeout_ms)
        return self._initialized(name, row, row["id"], row["epoch"] + 1, last, timeout_ms)

    def _initialized(
        self, name: str, row: Row, producer_id: int, epoch: int, last: int, timeout_ms: int
    ) -> Answer:
        after = {
            **row,
            "id": producer_id,
            "prev": row["id"],
            "epoch": epoch,
            "last": last,
            "timeout": timeout_ms,
            "state": EMPTY,
            "places": [],
            "start": -1,
            "updated": self.now,
        }
        self._write(name, after)
        return (OK, producer_id, epoch)

    # -- AddPartitionsToTxn, AddOffsetsToTxn -----------------------------------------------------

    def add(
        self, name: str, who: tuple[int, int], places: list[Place], version: int, *, verify: bool
    ) -> list[int]:
        """The error of each partition."""
        answer = self._answer(lambda: self._add(name, who, places, version, verify))
        if verify and answer[0] == OK:
            there = self.rows[name]["places"]
            return [OK if each in there else TRANSACTION_ABORTABLE for each in places]
        return [answer[0]] * len(places)

    def _add(
        self, name: str, who: tuple[int, int], places: list[Place], version: int, verify: bool
    ) -> Answer:
        if name == "":
            return (INVALID_REQUEST, *NOBODY)
        row = self.rows.get(name)
        if row is None or row["id"] != who[0]:
            return (INVALID_PRODUCER_ID_MAPPING, *NOBODY)
        if row["epoch"] != who[1]:
            return (PRODUCER_FENCED, *NOBODY)
        if row["state"] in PREPARED:
            return (CONCURRENT_TRANSACTIONS, *NOBODY)
        if verify:
            return (OK, *NOBODY)
        added = [each for each in places if each not in row["places"]]
        if row["state"] == ONGOING and not added:
            return (OK, *NOBODY)
        start = row["start"] if row["state"] == ONGOING else self.now
        after = {**row, "state": ONGOING, "places": row["places"] + added, "start": start}
        after |= {"prev": row["id"], "updated": self.now, "version": version}
        self._write(name, after)
        return (OK, *NOBODY)

    # -- EndTxn ----------------------------------------------------------------------------------

    def end(self, name: str, who: tuple[int, int], commit: bool, version: int) -> Answer:
        """EndTxn of a client that uses this version of transactions."""
        decide = self._end_bumping if version >= 2 else self._end_plain
        return self._answer(lambda: decide(name, who, commit))

    def _end_plain(self, name: str, who: tuple[int, int], commit: bool) -> Answer:
        if name == "":
            return (INVALID_REQUEST, *NOBODY)
        row = self.rows.get(name)
        if row is None or row["id"] != who[0]:
            return (INVALID_PRODUCER_ID_MAPPING, *NOBODY)
        if row["epoch"] != who[1]:
            return (PRODUCER_FENCED, *NOBODY)
        state = row["state"]
        if state == ONGOING:
            self._prepare(name, row, commit, epoch=row["epoch"], last=row["last"], version=0)
            return (OK, *NOBODY)
        if state == (COMPLETE_COMMIT if commit else COMPLETE_ABORT):
            return (OK, *NOBODY)
        if state == (PREPARE_COMMIT if commit else PREPARE_ABORT):
            return (CONCURRENT_TRANSACTIONS, *NOBODY)
        return (INVALID_TXN_STATE, *NOBODY)

    def _end_bumping(self, name: str, who: tuple[int, int], commit: bool) -> Answer:
        if name == "":
            return (INVALID_REQUEST, *NOBODY)
        row = self.rows.get(name)
        if row is None:
            return (INVALID_PRODUCER_ID_MAPPING, *NOBODY)
        state, current = row["state"], row["epoch"]
        overflow = row["prev"] == who[0] and who[1] == HIGHEST - 1 and current == 0
        bumped = current == who[1] + 1
        if row["id"] != who[0] and not overflow:
            return (INVALID_PRODUCER_ID_MAPPING, *NOBODY)
        if state in (EMPTY, ONGOING) and who[1] != current:
            return (PRODUCER_FENCED, *NOBODY)
        if state in PREPARED and not bumped:
            return (PRODUCER_FENCED, *NOBODY)
        if state in COMPLETE and not (bumped or overflow or who[1] == current):
            return (PRODUCER_FENCED, *NOBODY)
        if state in PREPARED:
            same = state == (PREPARE_COMMIT if commit else PREPARE_ABORT)
            return (CONCURRENT_TRANSACTIONS if same else INVALID_TXN_STATE, *NOBODY)
        if state in COMPLETE and (bumped or overflow):
            same = state == (COMPLETE_COMMIT if commit else COMPLETE_ABORT)
            return (OK, row["id"], current) if same else (INVALID_TXN_STATE, *NOBODY)
        if state != ONGOING and commit:
            return (INVALID_TXN_STATE, *NOBODY)
        after = self._prepare_with_bump(name, row, commit)
        if after["next"] != -1:
            return (OK, after["next"], 0)
        return (OK, after["id"], after["epoch"])

    def _prepare_with_bump(self, name: str, row: Row, commit: bool) -> Row:
        current = row["epoch"]
        fresh = self._new_id() if current >= HIGHEST - 1 else -1
        epoch = current if current == HIGHEST else current + 1
        return self._prepare(name, row, commit, epoch=epoch, last=current, version=2, fresh=fresh)

    def _prepare(
        self,
        name: str,
        row: Row,
        commit: bool,
        *,
        epoch: int,
        last: int,
        version: int,
        fresh: int = -1,
    ) -> Row:
        after = {
            **row,
            "prev": row["id"],
            "next": fresh,
            "epoch": epoch,
            "last": last,
            "state": PREPARE_COMMIT if commit else PREPARE_ABORT,
            "start": row["start"] if row["state"] == ONGOING else self.now,
            "updated": self.now,
            "version": version,
        }
        self._write(name, after)
        self._order(name, after)
        return after

    def _fence_and_abort(self, name: str, row: Row) -> None:
        """By the coordinator: with the version that the cluster has, and one bump in either."""
        if self.version >= 2:
            self._prepare_with_bump(name, row, commit=False)
            return
        epoch = min(row["epoch"] + 1, HIGHEST)
        self._prepare(name, row, commit=False, epoch=epoch, last=-1, version=0)

    def markers_are_there(self, order: Order) -> None:
        """In all partitions of an order."""
        row = self.rows.get(order.name)
        if row is None or row["state"] not in PREPARED:
            return
        if (row["id"], row["epoch"]) != (order.producer_id, order.epoch):
            return
        state = COMPLETE_COMMIT if row["state"] == PREPARE_COMMIT else COMPLETE_ABORT
        after = {**row, "state": state, "places": [], "updated": self.now, "prev": row["id"]}
        if row["version"] >= 2 and row["next"] != -1:
            after |= {"id": row["next"], "epoch": 0}
        self._write(order.name, {**after, "next": -1})

    # -- time ------------------------------------------------------------------------------------

    def advance(self, ms: int) -> None:
        """The looks for late transactions and for transactional ids that nobody uses."""
        end = self.now + ms
        while min(self.next_abort, self.next_expiry) <= end:
            if self.next_abort <= self.next_expiry:
                self.now = self.next_abort
                self.next_abort += self.abort_every_ms
                self._abort_late()
            else:
                self.now = self.next_expiry
                self.next_expiry += self.expire_every_ms
                self._expire()
        self.now = end

    def _abort_late(self) -> None:
        for name, row in list(self.rows.items()):
            if row["state"] != ONGOING or row["timeout"] == FOR_EVER_MS:
                continue
            if row["start"] + row["timeout"] < self.now:
                try:
                    self._fence_and_abort(name, row)
                except NoId:
                    continue  # the next look tries again

    def _expire(self) -> None:
        for name, row in list(self.rows.items()):
            at_rest = row["state"] == EMPTY or row["state"] in COMPLETE
            if at_rest and row["updated"] <= self.now - self.expiration_ms:
                self._write(name, None)

    # -- what others see -------------------------------------------------------------------------

    def listed(self, longer_than_ms: int) -> set[tuple[str, int, int]]:
        """ListTransactions: name, producer id and state."""
        return {
            (name, row["id"], row["state"])
            for name, row in self.rows.items()
            if longer_than_ms < 0 or self.now - row["start"] > longer_than_ms
        }
