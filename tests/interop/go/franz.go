package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is franz-go: kgo for records, kadm for administration.
type franz struct{}

var ctx = context.Background()

func (franz) client(address string, options ...kgo.Opt) *kgo.Client {
	all := append([]kgo.Opt{
		kgo.SeedBrokers(address),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}, options...)
	return value(kgo.NewClient(all...))
}

func (f franz) stops(address string) map[string]func() {
	admin := kadm.NewClient(f.client(address))
	return map[string]func(){
		"cluster":     func() { f.cluster(admin, address) },
		"topics":      func() { f.topics(admin) },
		"configs":     func() { f.configs(admin) },
		"acks":        func() { f.acks(admin, address) },
		"idempotent":  func() { f.idempotent(admin, address) },
		"large":       func() { f.large(admin, address) },
		"offsets":     func() { f.offsets(admin, address) },
		"deleted":     func() { f.deleted(admin, address) },
		"directories": func() { f.directories(admin, address) },
		"operated":    func() { f.operated(admin) },
	}
}

func (franz) cluster(admin *kadm.Client, address string) {
	about := value(admin.BrokerMetadata(ctx))
	same(1, len(about.Brokers), "brokers")
	same(address, fmt.Sprintf("%s:%d", about.Brokers[0].Host, about.Brokers[0].Port), "address")
	same(about.Brokers[0].NodeID, about.Controller, "controller")
	same(22, len(about.Cluster), "length of the cluster id")
	for _, versions := range value(admin.ApiVersions(ctx)) {
		must(versions.Err)
	}
}

func (f franz) create(admin *kadm.Client, topic string, partitions int, configs map[string]string) {
	wanted := map[string]*string{}
	for name, text := range configs {
		wanted[name] = kadm.StringPtr(text)
	}
	value(admin.CreateTopic(ctx, int32(partitions), 1, wanted, topic))
	f.awaitLeaders(admin, topic, partitions)
}

func (franz) awaitLeaders(admin *kadm.Client, topic string, partitions int) {
	until("leaders of "+topic, func() bool {
		details := value(admin.ListTopics(ctx, topic))[topic].Partitions
		led := 0
		for _, partition := range details {
			if partition.Leader >= 0 && partition.Err == nil {
				led++
			}
		}
		return led == partitions
	})
}

func (f franz) topics(admin *kadm.Client) {
	const topic = "franz-go-topics"
	f.create(admin, topic, 2, map[string]string{"retention.ms": "3600000"})
	_, err := admin.CreateTopic(ctx, 1, 1, nil, topic)
	fails(kerr.TopicAlreadyExists, err, "created twice")
	_, err = admin.CreateTopic(ctx, 1, 1, nil, "bad name")
	fails(kerr.InvalidTopicException, err, "bad name")
	must(value(admin.UpdatePartitions(ctx, 5, topic)).Error())
	f.awaitLeaders(admin, topic, 5)
	fails(kerr.InvalidPartitions, value(admin.UpdatePartitions(ctx, 3, topic)).Error(), "fewer partitions")
	value(admin.DeleteTopic(ctx, topic))
	until("the topic is gone", func() bool { return !value(admin.ListTopics(ctx)).Has(topic) })
	_, err = admin.DeleteTopic(ctx, topic)
	fails(kerr.UnknownTopicOrPartition, err, "deleted twice")
}

func (f franz) configs(admin *kadm.Client) {
	const topic = "franz-go-configs"
	f.create(admin, topic, 1, map[string]string{"segment.bytes": "2000000"})
	described := func(name string) string {
		resource := value(value(admin.DescribeTopicConfigs(ctx, topic)).On(topic, nil))
		for _, config := range resource.Configs {
			if config.Key == name {
				return config.MaybeValue()
			}
		}
		panic("no config " + name)
	}
	alter := func(operation kadm.IncrementalOp, name, text string) error {
		change := kadm.AlterConfig{Op: operation, Name: name, Value: kadm.StringPtr(text)}
		return value(admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, topic))[0].Err
	}
	same("2000000", described("segment.bytes"), "segment.bytes")
	must(alter(kadm.AppendConfig, "cleanup.policy", "compact"))
	until("append", func() bool { return described("cleanup.policy") == "delete,compact" })
	must(alter(kadm.SubtractConfig, "cleanup.policy", "delete"))
	until("subtract", func() bool { return described("cleanup.policy") == "compact" })
	must(alter(kadm.DeleteConfig, "segment.bytes", ""))
	until("delete", func() bool { return described("segment.bytes") == "1073741824" })
	fails(kerr.InvalidConfig, alter(kadm.SetConfig, "cleanup.policy", "burn"), "bad value")
	state := []kadm.AlterConfig{{Name: "max.message.bytes", Value: kadm.StringPtr("3000")}}
	must(value(admin.AlterTopicConfigsState(ctx, state, topic))[0].Err)
	until("state", func() bool {
		return described("max.message.bytes") == "3000" && described("cleanup.policy") == "delete"
	})
	id := value(admin.BrokerMetadata(ctx)).Controller
	broker := value(value(admin.DescribeBrokerConfigs(ctx, id)).On(fmt.Sprint(id), nil))
	must(broker.Err)
	same(true, len(broker.Configs) > 100, "configs of the broker")
}

func (f franz) acks(admin *kadm.Client, address string) {
	for name, acks := range map[string]kgo.Acks{
		"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks(),
	} {
		topic := "franz-go-acks-" + name
		f.create(admin, topic, 1, nil)
		f.send(address, topic, allEvents(), kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
		same(allEvents(), f.read(address, topic, events), "records with acks="+name)
	}
}

func (f franz) idempotent(admin *kadm.Client, address string) {
	const topic = "franz-go-idempotent"
	f.create(admin, topic, 1, nil)
	for number, offset := range f.send(address, topic, allEvents()) {
		same(int64(number), offset, "offset")
	}
}

func (f franz) large(admin *kadm.Client, address string) {
	const topic = "franz-go-large"
	f.create(admin, topic, 1, map[string]string{"max.message.bytes": "2000"})
	client := f.client(address, kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer client.Close()
	result := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: make([]byte, 5000)})
	fails(kerr.MessageTooLarge, result.FirstErr(), "large record")
}

func (f franz) offsets(admin *kadm.Client, address string) {
	const topic = "franz-go-offsets"
	f.create(admin, topic, 1, nil)
	f.send(address, topic, allEvents(), kgo.ProducerBatchMaxBytes(1000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	listed := func(what string, wanted int, got kadm.ListedOffsets, err error) {
		must(err)
		one, _ := got.Lookup(topic, 0)
		must(one.Err)
		same(int64(wanted), one.Offset, what)
	}
	at, err := admin.ListStartOffsets(ctx, topic)
	listed("start", 0, at, err)
	at, err = admin.ListEndOffsets(ctx, topic)
	listed("end", events, at, err)
	at, err = admin.ListCommittedOffsets(ctx, topic)
	listed("committed end", events, at, err)
	at, err = admin.ListMaxTimestampOffsets(ctx, topic)
	listed("max timestamp", events-1, at, err)
	at, err = admin.ListOffsetsAfterMilli(ctx, firstTimestamp+77, topic)
	listed("by time", 77, at, err)
	for first, start := range map[int]kgo.Offset{
		0:           kgo.NewOffset().AtStart(),
		events - 10: kgo.NewOffset().At(events - 10),
		events - 3:  kgo.NewOffset().AtEnd().Relative(-3),
		123:         kgo.NewOffset().AfterMilli(firstTimestamp + 123),
	} {
		same(allEvents()[first:], f.readFrom(address, topic, start, events-first), fmt.Sprint("from ", start))
	}
	_, err = f.tryRead(address, topic, kgo.NewOffset().At(events+1), 1)
	fails(kerr.OffsetOutOfRange, err, "behind the end")
}

func (f franz) deleted(admin *kadm.Client, address string) {
	const topic = "franz-go-deleted"
	f.create(admin, topic, 1, nil)
	f.send(address, topic, allEvents())
	remove := func(before int64) kadm.DeleteRecordsResponse {
		wanted := kadm.Offsets{}
		wanted.AddOffset(topic, 0, before, -1)
		return value(admin.DeleteRecords(ctx, wanted))[topic][0]
	}
	done := remove(120)
	must(done.Err)
	same(int64(120), done.LowWatermark, "low watermark")
	fails(kerr.OffsetOutOfRange, remove(events+1).Err, "behind the end")
	same(allEvents()[120:], f.read(address, topic, events-120), "records left")
}

func (f franz) directories(admin *kadm.Client, address string) {
	const topic = "franz-go-directories"
	f.create(admin, topic, 2, nil)
	f.send(address, topic, allEvents())
	all := value(admin.DescribeAllLogDirs(ctx, kadm.TopicsSet{topic: {0: {}, 1: {}}}))
	same(1, len(all.Sorted()), "directories")
	directory := all.Sorted()[0]
	must(directory.Err)
	same(true, directory.TotalBytes > directory.UsableBytes && directory.UsableBytes > 0, "room")
	same(true, directory.Topics[topic][0].Size > events, "size of what was written to")
	same(int64(0), directory.Topics[topic][1].Size, "size of what was not")
}

func (f franz) operated(admin *kadm.Client) {
	const topic = "franz-go-operated"
	f.create(admin, topic, 1, nil)
	set := kadm.TopicsSet{topic: {0: {}}}
	id := value(admin.BrokerMetadata(ctx)).Controller
	same(0, len(value(admin.ListPartitionReassignments(ctx, set)).Sorted()), "reassignments")
	move := kadm.AlterPartitionAssignmentsReq{topic: {0: {id}}}
	must(value(admin.AlterPartitionAssignments(ctx, move))[topic][0].Err)
	elected := value(admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, set))
	fails(kerr.ElectionNotNeeded, elected[topic][0].Err, "election")
	same(true, len(value(admin.ListConfigResources(ctx)).Resources) > 0, "config resources")
	same(0, len(value(admin.DescribeProducers(ctx, set))[topic].Partitions[0].ActiveProducers), "producers")
	user, rate := "franz", 1234567.0
	entity := kadm.ClientQuotaEntity{{Type: "user", Name: &user}}
	for _, remove := range []bool{false, true} {
		operation := kadm.AlterClientQuotaOp{Key: "consumer_byte_rate", Value: rate, Remove: remove}
		entry := kadm.AlterClientQuotaEntry{Entity: entity, Ops: []kadm.AlterClientQuotaOp{operation}}
		must(value(admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{entry}))[0].Err)
		until("the quota", func() bool {
			filter := kadm.DescribeClientQuotaComponent{Type: "user", MatchName: &user}
			found := value(admin.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{filter}))
			return len(found) == 0 == remove
		})
	}
}

func (f franz) send(address, topic string, records []record, options ...kgo.Opt) []int64 {
	client := f.client(address, options...)
	defer client.Close()
	var all []*kgo.Record
	for _, one := range records {
		sent := &kgo.Record{Topic: topic, Key: one.Key, Value: one.Value, Timestamp: time.UnixMilli(one.Timestamp)}
		for _, pair := range one.Headers {
			sent.Headers = append(sent.Headers, kgo.RecordHeader{Key: pair.Name, Value: pair.Value})
		}
		all = append(all, sent)
	}
	must(client.ProduceSync(ctx, all...).FirstErr())
	var offsets []int64
	for _, one := range all {
		offsets = append(offsets, one.Offset)
	}
	return offsets
}

func (f franz) write(address, topic, codec string, records []record) {
	chosen := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}[codec]
	f.send(address, topic, records, kgo.ProducerBatchCompression(chosen))
}

func (f franz) read(address, topic string, count int) []record {
	return f.readFrom(address, topic, kgo.NewOffset().AtStart(), count)
}

func (f franz) readFrom(address, topic string, start kgo.Offset, count int) []record {
	return value(f.tryRead(address, topic, start, count))
}

func (f franz) tryRead(address, topic string, start kgo.Offset, count int) ([]record, error) {
	assigned := map[string]map[int32]kgo.Offset{topic: {0: start}}
	client := f.client(address, kgo.ConsumePartitions(assigned), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer client.Close()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var found []record
	for len(found) < count {
		fetches := client.PollFetches(limited)
		for _, failed := range fetches.Errors() {
			return found, errors.Join(fmt.Errorf("%d of %d records of %s", len(found), count, topic), failed.Err)
		}
		fetches.EachRecord(func(one *kgo.Record) {
			got := record{one.Offset, one.Timestamp.UnixMilli(), one.Key, one.Value, nil}
			for _, pair := range one.Headers {
				got.Headers = append(got.Headers, header{pair.Key, pair.Value})
			}
			found = append(found, got)
		})
	}
	same(count, len(found), "records of "+topic)
	return found, nil
}
