package main

import (
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// ibm is sarama.
type ibm struct{}

func (ibm) config(change ...func(*sarama.Config)) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Consumer.MaxWaitTime = 10 * time.Millisecond
	for _, one := range change {
		one(config)
	}
	return config
}

func (s ibm) stops(address string) map[string]func() {
	admin := value(sarama.NewClusterAdmin([]string{address}, s.config()))
	return map[string]func(){
		"cluster":     func() { s.cluster(admin, address) },
		"topics":      func() { s.topics(admin) },
		"configs":     func() { s.configs(admin) },
		"acks":        func() { s.acks(admin, address) },
		"idempotent":  func() { s.idempotent(admin, address) },
		"large":       func() { s.large(admin, address) },
		"offsets":     func() { s.offsets(admin, address) },
		"deleted":     func() { s.deleted(admin, address) },
		"directories": func() { s.directories(admin, address) },
		"operated":    func() { s.operated(admin) },
	}
}

func (ibm) cluster(admin sarama.ClusterAdmin, address string) {
	brokers, controller, err := admin.DescribeCluster()
	must(err)
	same(1, len(brokers), "brokers")
	same(address, brokers[0].Addr(), "address")
	same(brokers[0].ID(), controller, "controller")
}

func (s ibm) create(admin sarama.ClusterAdmin, topic string, partitions int, configs map[string]string) {
	wanted := map[string]*string{}
	for name, text := range configs {
		wanted[name] = &text
	}
	must(admin.CreateTopic(topic, &sarama.TopicDetail{
		NumPartitions: int32(partitions), ReplicationFactor: 1, ConfigEntries: wanted,
	}, false))
	s.awaitLeaders(admin, topic, partitions)
}

func (ibm) awaitLeaders(admin sarama.ClusterAdmin, topic string, partitions int) {
	until("leaders of "+topic, func() bool {
		led := 0
		for _, partition := range value(admin.DescribeTopics([]string{topic}))[0].Partitions {
			if partition.Leader >= 0 && partition.Err == sarama.ErrNoError {
				led++
			}
		}
		return led == partitions
	})
}

func (s ibm) topics(admin sarama.ClusterAdmin) {
	const topic = "sarama-topics"
	one := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}
	s.create(admin, topic, 2, map[string]string{"retention.ms": "3600000"})
	listed := value(admin.ListTopics())[topic]
	same("3600000", *listed.ConfigEntries["retention.ms"], "retention.ms")
	fails(sarama.ErrTopicAlreadyExists, admin.CreateTopic(topic, one, false), "created twice")
	fails(sarama.ErrInvalidTopic, admin.CreateTopic("bad name", one, false), "bad name")
	must(admin.CreatePartitions(topic, 5, nil, false))
	s.awaitLeaders(admin, topic, 5)
	fails(sarama.ErrInvalidPartitions, admin.CreatePartitions(topic, 3, nil, false), "fewer partitions")
	must(admin.DeleteTopic(topic))
	until("the topic is gone", func() bool {
		_, there := value(admin.ListTopics())[topic]
		return !there
	})
	fails(sarama.ErrUnknownTopicOrPartition, admin.DeleteTopic(topic), "deleted twice")
}

func (s ibm) configs(admin sarama.ClusterAdmin) {
	const topic = "sarama-configs"
	s.create(admin, topic, 1, map[string]string{"segment.bytes": "2000000"})
	described := func(name string) string {
		resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{name}}
		entries := value(admin.DescribeConfig(resource))
		same(1, len(entries), "configs by name")
		return entries[0].Value
	}
	alter := func(operation sarama.IncrementalAlterConfigsOperation, name, text string) error {
		change := map[string]sarama.IncrementalAlterConfigsEntry{name: {Operation: operation, Value: &text}}
		return admin.IncrementalAlterConfig(sarama.TopicResource, topic, change, false)
	}
	same("2000000", described("segment.bytes"), "segment.bytes")
	must(alter(sarama.IncrementalAlterConfigsOperationAppend, "cleanup.policy", "compact"))
	until("append", func() bool { return described("cleanup.policy") == "delete,compact" })
	must(alter(sarama.IncrementalAlterConfigsOperationSubtract, "cleanup.policy", "delete"))
	until("subtract", func() bool { return described("cleanup.policy") == "compact" })
	must(alter(sarama.IncrementalAlterConfigsOperationDelete, "segment.bytes", ""))
	until("delete", func() bool { return described("segment.bytes") == "1073741824" })
	fails(sarama.ErrInvalidConfig, alter(sarama.IncrementalAlterConfigsOperationSet, "cleanup.policy", "burn"), "bad value")
	text := "3000"
	must(admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"max.message.bytes": &text}, false))
	until("all at once", func() bool {
		return described("max.message.bytes") == "3000" && described("cleanup.policy") == "delete"
	})
}

func (s ibm) acks(admin sarama.ClusterAdmin, address string) {
	for name, acks := range map[string]sarama.RequiredAcks{
		"0": sarama.NoResponse, "1": sarama.WaitForLocal, "all": sarama.WaitForAll,
	} {
		topic := "sarama-acks-" + name
		s.create(admin, topic, 1, nil)
		s.send(address, topic, allEvents(), func(config *sarama.Config) { config.Producer.RequiredAcks = acks })
		same(allEvents(), s.read(address, topic, events), "records with acks="+name)
	}
}

func (s ibm) idempotent(admin sarama.ClusterAdmin, address string) {
	const topic = "sarama-idempotent"
	s.create(admin, topic, 1, nil)
	for number, offset := range s.send(address, topic, allEvents(), func(config *sarama.Config) {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
		config.Producer.Flush.MaxMessages = 7
	}) {
		same(int64(number), offset, "offset")
	}
}

func (s ibm) large(admin sarama.ClusterAdmin, address string) {
	const topic = "sarama-large"
	s.create(admin, topic, 1, map[string]string{"max.message.bytes": "2000"})
	producer := value(sarama.NewSyncProducer([]string{address}, s.config()))
	defer producer.Close()
	_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(make([]byte, 5000))})
	fails(sarama.ErrMessageSizeTooLarge, err, "large record")
}

func (s ibm) offsets(admin sarama.ClusterAdmin, address string) {
	const topic = "sarama-offsets"
	s.create(admin, topic, 1, nil)
	s.send(address, topic, allEvents(), func(config *sarama.Config) { config.Producer.Flush.MaxMessages = 7 })
	client := value(sarama.NewClient([]string{address}, s.config()))
	defer client.Close()
	for time, wanted := range map[int64]int64{
		sarama.OffsetOldest: 0, sarama.OffsetNewest: events, firstTimestamp + 77: 77, firstTimestamp + events: -1,
	} {
		same(wanted, value(client.GetOffset(topic, 0, time)), fmt.Sprint("offset at ", time))
		listed := value(admin.ListOffsets(map[string]map[int32]int64{topic: {0: time}}, nil))[topic][0]
		fails(sarama.ErrNoError, listed.Err, "error of ListOffsets")
		same(wanted, listed.Offset, fmt.Sprint("listed offset at ", time))
	}
	for _, first := range []int{0, events - 10} {
		same(allEvents()[first:], s.readFrom(address, topic, int64(first), events-first), fmt.Sprint("from ", first))
	}
	same(allEvents(), s.readFrom(address, topic, sarama.OffsetOldest, events), "from the oldest")
	consumer := value(sarama.NewConsumerFromClient(client))
	_, err := consumer.ConsumePartition(topic, 0, events+1)
	fails(sarama.ErrOffsetOutOfRange, err, "behind the end")
}

func (s ibm) deleted(admin sarama.ClusterAdmin, address string) {
	const topic = "sarama-deleted"
	s.create(admin, topic, 1, nil)
	s.send(address, topic, allEvents())
	must(admin.DeleteRecords(topic, map[int32]int64{0: 120}))
	fails(sarama.ErrOffsetOutOfRange, admin.DeleteRecords(topic, map[int32]int64{0: events + 1}), "behind the end")
	same(allEvents()[120:], s.read(address, topic, events-120), "records left")
}

func (s ibm) directories(admin sarama.ClusterAdmin, address string) {
	const topic = "sarama-directories"
	s.create(admin, topic, 2, nil)
	s.send(address, topic, allEvents())
	_, id, err := admin.DescribeCluster()
	must(err)
	directories := value(admin.DescribeLogDirs([]int32{id}))[id]
	same(1, len(directories), "directories")
	fails(sarama.ErrNoError, directories[0].ErrorCode, "error of the directory")
	same(true, directories[0].TotalBytes > directories[0].UsableBytes && directories[0].UsableBytes > 0, "room")
	sizes := map[int32]int64{}
	for _, one := range directories[0].Topics {
		for _, partition := range one.Partitions {
			if one.Topic == topic {
				sizes[partition.PartitionID] = partition.Size
			}
		}
	}
	same(true, sizes[0] > events, "size of what was written to")
	same(map[int32]int64{0: sizes[0], 1: 0}, sizes, "sizes")
}

func (s ibm) operated(admin sarama.ClusterAdmin) {
	const topic = "sarama-operated"
	s.create(admin, topic, 1, nil)
	_, id, err := admin.DescribeCluster()
	must(err)
	same(0, len(value(admin.ListPartitionReassignments(topic, []int32{0}))), "reassignments")
	must(admin.AlterPartitionReassignments(topic, [][]int32{{id}}))
	elected := value(admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{topic: {0}}))
	fails(sarama.ErrElectionNotNeeded, elected[topic][0].ErrorCode, "election")
}

func (s ibm) send(address, topic string, records []record, change ...func(*sarama.Config)) []int64 {
	producer := value(sarama.NewSyncProducer([]string{address}, s.config(change...)))
	var all []*sarama.ProducerMessage
	for _, one := range records {
		sent := &sarama.ProducerMessage{Topic: topic, Timestamp: time.UnixMilli(one.Timestamp)}
		// A typed nil would be an empty value.
		if one.Key != nil {
			sent.Key = sarama.ByteEncoder(one.Key)
		}
		if one.Value != nil {
			sent.Value = sarama.ByteEncoder(one.Value)
		}
		for _, pair := range one.Headers {
			sent.Headers = append(sent.Headers, sarama.RecordHeader{Key: []byte(pair.Name), Value: pair.Value})
		}
		all = append(all, sent)
	}
	must(producer.SendMessages(all))
	must(producer.Close())
	var offsets []int64
	for _, one := range all {
		offsets = append(offsets, one.Offset)
	}
	return offsets
}

func (s ibm) write(address, topic, codec string, records []record) {
	s.send(address, topic, records, func(config *sarama.Config) {
		must(config.Producer.Compression.UnmarshalText([]byte(codec)))
	})
}

func (s ibm) read(address, topic string, count int) []record {
	return s.readFrom(address, topic, sarama.OffsetOldest, count)
}

func (s ibm) readFrom(address, topic string, offset int64, count int) []record {
	consumer := value(sarama.NewConsumer([]string{address}, s.config()))
	defer consumer.Close()
	partition := value(consumer.ConsumePartition(topic, 0, offset))
	defer partition.Close()
	late := time.After(patience)
	var found []record
	for len(found) < count {
		select {
		case one := <-partition.Messages():
			got := record{one.Offset, one.Timestamp.UnixMilli(), one.Key, one.Value, nil}
			for _, pair := range one.Headers {
				got.Headers = append(got.Headers, header{string(pair.Key), pair.Value})
			}
			found = append(found, got)
		case err := <-partition.Errors():
			panic(err)
		case <-late:
			panic(fmt.Sprintf("%d of %d records of %s", len(found), count, topic))
		}
	}
	return found
}
