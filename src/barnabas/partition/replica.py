"""One replica of a partition: its role, leader epoch, in-sync replicas and high watermark.

Pure: offsets and metadata come in, decisions go out. Offsets are those of facts in the Kafka
protocol: LEO (next offset to write), HW (high watermark), LSO (last stable offset).
"""

from __future__ import annotations

from barnabas.wire.errors import ErrorCode

NO_LEADER = -1
NO_EPOCH = -1


class Replica:
    """State of the replica that this node holds for one partition.

    `followers` maps the other in-sync replicas to the log end offset they last reported; a single
    node has none, and its own durable (or written) end alone moves the high watermark.
    """

    __slots__ = (
        "epoch_start_offset",
        "followers",
        "high_watermark",
        "isr",
        "leader_epoch",
        "leader_id",
        "node_id",
        "partition",
        "partition_epoch",
        "replicas",
        "topic",
        "topic_id",
    )

    def __init__(self, node_id: int, topic: str, topic_id: bytes, partition: int) -> None:
        self.node_id = node_id
        self.topic = topic
        self.topic_id = topic_id
        self.partition = partition
        self.leader_id = NO_LEADER
        self.leader_epoch = NO_EPOCH
        self.partition_epoch = NO_EPOCH
        self.epoch_start_offset = 0
        self.replicas: tuple[int, ...] = ()
        self.isr: tuple[int, ...] = ()
        self.followers: dict[int, int] = {}
        self.high_watermark = 0

    @property
    def is_leader(self) -> bool:
        """Whether this node leads the partition in the epoch it knows."""
        return self.leader_id == self.node_id

    def apply(
        self,
        leader_id: int,
        leader_epoch: int,
        partition_epoch: int,
        replicas: tuple[int, ...],
        isr: tuple[int, ...],
        end_offset: int,
    ) -> bool:
        """Adopt what the metadata log says; true when a new leadership of this node begins.

        A partition epoch below the known one is stale and ignored (KIP-497). On a new leader epoch
        the caller must write (epoch, end_offset) to the epoch cache before it appends.
        """
        if partition_epoch < self.partition_epoch:
            return False
        new_term = leader_epoch > self.leader_epoch
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch
        self.partition_epoch = partition_epoch
        self.replicas = replicas
        self.isr = isr
        self.followers = {
            r: (NO_EPOCH if new_term else self.followers.get(r, NO_EPOCH))
            for r in isr
            if r != self.node_id
        }
        begins = new_term and leader_id == self.node_id
        if begins:
            self.epoch_start_offset = end_offset
        return begins

    def advance(self, own_end: int, min_insync_replicas: int) -> bool:
        """Move the high watermark to what every in-sync replica holds; true when it moved.

        It never goes back, and stays while the ISR is smaller than the effective minimum
        (min.insync.replicas capped by the number of replicas).
        """
        if own_end <= self.high_watermark:
            return False
        candidate = own_end
        if self.followers:
            candidate = min(own_end, *self.followers.values())
            if candidate <= self.high_watermark:
                return False
        if len(self.isr) < min_insync_replicas and len(self.isr) < len(self.replicas):
            return False
        self.high_watermark = candidate
        return True

    def below_min_isr(self, min_insync_replicas: int) -> bool:
        """Whether acks=all must be refused: fewer in-sync replicas than the effective minimum."""
        return len(self.isr) < min(min_insync_replicas, max(len(self.replicas), 1))

    def check_epoch(self, current_leader_epoch: int) -> ErrorCode:
        """Compare the epoch a client believes in with ours (KIP-320); -1 skips the check."""
        if current_leader_epoch == NO_EPOCH or current_leader_epoch == self.leader_epoch:
            return ErrorCode.NONE
        if current_leader_epoch < self.leader_epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        return ErrorCode.UNKNOWN_LEADER_EPOCH

    def last_stable_offset(self, first_unstable_offset: int | None) -> int:
        """End of what read_committed consumers may see."""
        if first_unstable_offset is None or first_unstable_offset > self.high_watermark:
            return self.high_watermark
        return first_unstable_offset
