package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// loop reads, and writes each value as `value|transaction` to the same partition of the sink.
func (franz) loop(address string, n *notes) {
	tell := func(event string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, client *kgo.Client, topics map[string][]int32) {
			n.moved(event, topics, -1)
		}
	}
	session := value(kgo.NewGroupTransactSession(
		kgo.SeedBrokers(address), kgo.ConsumerGroup(n.Group), kgo.ConsumeTopics(n.Topic),
		kgo.TransactionalID(n.TxnID), kgo.TransactionTimeout(10*time.Second),
		kgo.Balancers(kgo.RangeBalancer()), kgo.SessionTimeout(n.session()),
		kgo.HeartbeatInterval(n.heartbeat()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.OnPartitionsAssigned(tell("assigned")), kgo.OnPartitionsRevoked(tell("revoked")),
		kgo.OnPartitionsLost(tell("lost")),
	))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-n.leaving
		cancel()
	}()
	for number := 0; ctx.Err() == nil; number++ {
		fetches := session.PollRecords(ctx, 50)
		if fetches.NumRecords() > 0 {
			turn(session, n, fmt.Sprintf("%s.%d", n.Client, number), fetches)
		}
	}
	session.Close()
}

func turn(session *kgo.GroupTransactSession, n *notes, name string, fetches kgo.Fetches) {
	ctx := context.Background()
	must(session.Begin())
	n.note("begun", map[string]any{"transaction": name})
	offsets := map[int32]int64{}
	fetches.EachPartition(func(fetched kgo.FetchTopicPartition) {
		records := [][2]any{}
		for _, one := range fetched.Records {
			records = append(records, [2]any{one.Offset, string(one.Value)})
			offsets[fetched.Partition] = one.Offset + 1
		}
		if len(records) > 0 {
			n.note("consumed", map[string]any{
				"topic": n.Topic, "partition": fetched.Partition, "records": records, "group": n.Group,
				"isolation": n.Isolation, "transaction": name,
			})
		}
	})
	var failed kgo.FirstErrPromise
	fetches.EachRecord(func(one *kgo.Record) {
		out := string(one.Value) + "|" + name
		n.note("produced", map[string]any{"topic": n.Sink, "value": out, "transaction": name})
		record := &kgo.Record{Topic: n.Sink, Partition: one.Partition, Value: []byte(out)}
		done := failed.Promise()
		session.Produce(ctx, record, func(record *kgo.Record, err error) {
			if err == nil {
				n.note("acked", map[string]any{
					"topic": n.Sink, "partition": record.Partition, "offset": record.Offset, "value": out,
				})
			}
			done(record, err)
		})
	})
	commit := failed.Err() == nil
	begun := now()
	n.note("ending", map[string]any{"transaction": name, "commit": commit})
	committed, err := session.End(ctx, kgo.TransactionEndTry(commit))
	if err != nil {
		fmt.Fprintln(os.Stderr, "the end of", name, "is not known:", err)
		os.Exit(3)
	}
	if committed {
		told := [][3]any{}
		for partition, offset := range offsets {
			told = append(told, [3]any{n.Topic, partition, offset})
		}
		n.note("committed", map[string]any{
			"group": n.Group, "begun": begun, "offsets": told, "transaction": name,
		})
	}
	n.note("ended", map[string]any{"transaction": name, "commit": committed})
}
