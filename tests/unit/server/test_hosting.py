"""Which files a node serves for a partition, and which it does not."""

from __future__ import annotations

from barnabas.log.checkpoints import encode_partition_metadata, replace_file
from tests.sim.node_host import DATA
from tests.unit.server.calm import Session, calm


def test_files_of_a_deleted_topic_of_the_same_name_are_set_aside() -> None:
    """Its deletion was cut off by a crash."""

    async def scenario(s: Session) -> None:
        await s.create("t")
        await s.produce("t", s.batch(b"of another topic"))
        s.hang_up()
        assert await s.node.stop()
        disk = s.node.host.disk
        other = encode_partition_metadata(bytes(range(16)))
        replace_file(disk, f"{DATA}/t-0/partition.metadata", other)
        assert await s.node.start()
        assert await s.values("t") == []
        assert (await s.produce("t", s.batch(b"new"))).base_offset == 0
        assert await s.values("t") == [b"new"]
        assert [name for name in disk.list_dir(DATA) if name.endswith("-stray")]

    calm(scenario)
