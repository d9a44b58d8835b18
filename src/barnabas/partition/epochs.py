"""Leader epochs of one log: which epoch began at which offset (KIP-101, KIP-279, KIP-320)."""

from __future__ import annotations

from bisect import bisect_right

NO_EPOCH = -1
NO_OFFSET = -1
CHECKPOINT_VERSION = 0


class LeaderEpochs:
    """Epochs and their start offsets, both strictly rising.

    The caller writes `encode()` to `leader-epoch-checkpoint` whenever a method returns True.
    """

    __slots__ = ("_epochs", "_starts")

    def __init__(self) -> None:
        self._epochs: list[int] = []
        self._starts: list[int] = []

    def __len__(self) -> int:
        return len(self._epochs)

    def entries(self) -> list[tuple[int, int]]:
        """(epoch, start offset), ascending."""
        return list(zip(self._epochs, self._starts, strict=True))

    @property
    def latest(self) -> int:
        """The newest epoch that has data, or -1."""
        return self._epochs[-1] if self._epochs else NO_EPOCH

    @property
    def latest_start(self) -> int:
        """Start offset of the newest epoch, or -1."""
        return self._starts[-1] if self._starts else NO_OFFSET

    def previous(self, epoch: int) -> int:
        """The largest known epoch below `epoch`, or -1."""
        at = bisect_right(self._epochs, epoch - 1)
        return self._epochs[at - 1] if at else NO_EPOCH

    def assign(self, epoch: int, start_offset: int) -> bool:
        """Note that `epoch` has data from `start_offset` on; True when that changed anything.

        Later entries, by epoch or by offset, are dropped first: data behind them was replaced.
        Raises `ValueError` below 0.
        """
        epochs = self._epochs
        starts = self._starts
        if epochs and epochs[-1] == epoch and start_offset >= starts[-1]:
            return False
        if epoch < 0 or start_offset < 0:
            raise ValueError(f"leader epoch {epoch} at offset {start_offset}")
        while epochs and (epochs[-1] >= epoch or starts[-1] >= start_offset):
            epochs.pop()
            starts.pop()
        epochs.append(epoch)
        starts.append(start_offset)
        return True

    def end_offset_for(self, epoch: int, log_end: int) -> tuple[int, int]:
        """(largest known epoch up to `epoch`, the offset where it ends), for OffsetForLeaderEpoch.

        The latest epoch ends at `log_end`. An epoch below all known ones is answered with itself
        and the first known start; one above all, and -1, with (-1, -1).
        """
        epochs = self._epochs
        if not epochs or epoch == NO_EPOCH or epoch > epochs[-1]:
            return NO_EPOCH, NO_OFFSET
        if epoch == epochs[-1]:
            return epoch, log_end
        higher = bisect_right(epochs, epoch)
        return epochs[higher - 1] if higher else epoch, self._starts[higher]

    def epoch_for_offset(self, offset: int) -> int:
        """The epoch that the record at `offset` was written in, or -1 below all known starts."""
        at = bisect_right(self._starts, offset)
        return self._epochs[at - 1] if at else NO_EPOCH

    def truncate_from_start(self, offset: int) -> bool:
        """The log now starts at `offset`: the epoch in force there starts there; True if changed."""
        at = bisect_right(self._starts, offset)
        if at == 0 or (at == 1 and self._starts[0] == offset):
            return False
        del self._epochs[: at - 1]
        del self._starts[: at - 1]
        self._starts[0] = offset
        return True

    def truncate_from_end(self, offset: int) -> bool:
        """The log now ends at `offset`: drop epochs that start there or later; True if changed."""
        keep = bisect_right(self._starts, offset - 1)
        if offset < 0 or keep == len(self._starts):
            return False
        del self._epochs[keep:]
        del self._starts[keep:]
        return True

    def clear(self) -> bool:
        """Forget everything; True if there was anything."""
        had = bool(self._epochs)
        self._epochs.clear()
        self._starts.clear()
        return had

    def encode(self) -> str:
        """The text of `leader-epoch-checkpoint`."""
        lines = [str(CHECKPOINT_VERSION), str(len(self._epochs))]
        lines += (f"{epoch} {start}" for epoch, start in self.entries())
        return "\n".join(lines) + "\n"

    @classmethod
    def decode(cls, text: str) -> LeaderEpochs:
        """Read a checkpoint. Raises `ValueError` for another version, a broken line or count."""
        version, count, *lines = text.splitlines()
        if int(version) != CHECKPOINT_VERSION:
            raise ValueError(f"leader epoch checkpoint of version {version}")
        if int(count) != len(lines):
            raise ValueError(f"leader epoch checkpoint of {count} entries has {len(lines)}")
        epochs = cls()
        for line in lines:
            epoch, start = line.split()
            epochs.assign(int(epoch), int(start))
        return epochs
