package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (franz) member(address string, n *notes) {
	balancers := map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
		"uniform": kgo.StickyBalancer(), // what it calls the coordinator's
	}
	isolation := kgo.ReadUncommitted()
	if n.Isolation == "read_committed" {
		isolation = kgo.ReadCommitted()
	}
	tell := func(event string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, client *kgo.Client, topics map[string][]int32) {
			generation := int32(-1)
			if event == "assigned" {
				_, generation = client.GroupMetadata()
			}
			n.moved(event, topics, generation)
		}
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(address), kgo.ConsumerGroup(n.Group), kgo.ConsumeTopics(n.Topic),
		kgo.Balancers(balancers[n.Assignor]), kgo.SessionTimeout(n.session()),
		kgo.HeartbeatInterval(n.heartbeat()), kgo.FetchIsolationLevel(isolation),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.OnPartitionsAssigned(tell("assigned")), kgo.OnPartitionsRevoked(tell("revoked")),
		kgo.OnPartitionsLost(tell("lost")),
	}
	if n.Instance != nil {
		options = append(options, kgo.InstanceID(*n.Instance))
	}
	if n.Protocol == "consumer" {
		options = append(options, kgo.ServerSideBalancer())
	}
	client := value(kgo.NewClient(options...))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-n.leaving
		cancel()
	}()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, 500)
		offsets := map[int32]int64{}
		fetches.EachPartition(func(fetched kgo.FetchTopicPartition) {
			records := [][2]any{}
			for _, one := range fetched.Records {
				records = append(records, [2]any{one.Offset, string(one.Value)})
				offsets[fetched.Partition] = one.Offset + 1
			}
			if len(records) > 0 {
				n.consumed(fetched.Partition, records)
			}
		})
		if len(offsets) > 0 {
			commitFranz(client, n, offsets)
		}
		client.AllowRebalance()
	}
	client.CloseAllowingRebalance()
}

func commitFranz(client *kgo.Client, n *notes, offsets map[int32]int64) {
	wanted := map[int32]kgo.EpochOffset{}
	for partition, offset := range offsets {
		wanted[partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	begun, taken := now(), map[int32]int64{}
	client.CommitOffsetsSync(context.Background(), map[string]map[int32]kgo.EpochOffset{n.Topic: wanted},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				return
			}
			for _, topic := range answer.Topics {
				for _, one := range topic.Partitions {
					if kerr.ErrorForCode(one.ErrorCode) == nil {
						taken[one.Partition] = offsets[one.Partition]
					}
				}
			}
		})
	if len(taken) > 0 {
		n.committed(begun, taken)
	}
}
