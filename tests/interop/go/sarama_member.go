package main

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// saramaMember is the handler of a group; sarama does not say how its commits end.
type saramaMember struct{ notes *notes }

func (s ibm) member(address string, n *notes) {
	group := value(sarama.NewConsumerGroup([]string{address}, n.Group, s.config(func(config *sarama.Config) {
		strategies := map[string]sarama.BalanceStrategy{
			"range": sarama.NewBalanceStrategyRange(), "sticky": sarama.NewBalanceStrategySticky(),
		}
		config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategies[n.Assignor]}
		config.Consumer.Group.Session.Timeout = n.session()
		config.Consumer.Group.Heartbeat.Interval = n.heartbeat()
		config.Consumer.Group.Rebalance.Timeout = 10 * time.Second
		config.Consumer.Offsets.Initial = sarama.OffsetOldest
		config.Consumer.Offsets.AutoCommit.Enable = false
		config.Consumer.MaxWaitTime = 50 * time.Millisecond
		if n.Isolation == "read_committed" {
			config.Consumer.IsolationLevel = sarama.ReadCommitted
		}
		if n.Instance != nil {
			config.Consumer.Group.InstanceId = *n.Instance
		}
	})))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-n.leaving
		cancel()
	}()
	for ctx.Err() == nil {
		err := group.Consume(ctx, []string{n.Topic}, saramaMember{n})
		if err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
	}
	must(group.Close())
}

func (m saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	m.notes.moved("assigned", session.Claims(), session.GenerationID())
	return nil
}

func (m saramaMember) Cleanup(session sarama.ConsumerGroupSession) error {
	m.notes.moved("revoked", session.Claims(), -1)
	return nil
}

func (m saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case first, more := <-claim.Messages():
			if !more {
				return nil
			}
			last := m.handOut(first, claim)
			session.MarkMessage(last, "")
			session.Commit()
		case <-session.Context().Done():
			return nil
		}
	}
}

// handOut takes what is there already together with the first message; the last of them is returned.
func (m saramaMember) handOut(first *sarama.ConsumerMessage, claim sarama.ConsumerGroupClaim) *sarama.ConsumerMessage {
	last, records := first, [][2]any{{first.Offset, string(first.Value)}}
	for len(records) < 500 {
		select {
		case next, more := <-claim.Messages():
			if !more {
				m.notes.consumed(claim.Partition(), records)
				return last
			}
			last = next
			records = append(records, [2]any{next.Offset, string(next.Value)})
		default:
			m.notes.consumed(claim.Partition(), records)
			return last
		}
	}
	m.notes.consumed(claim.Partition(), records)
	return last
}
