package main

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// saramaMember is the handler of a group. Sarama does not say how its commits end: after each the group's
// offset is asked for.
type saramaMember struct {
	notes   *notes
	admin   sarama.ClusterAdmin
	leaving context.Context
	given   *givenBack
}

// givenBack is what a session ended with. Sarama does not say whether it was lost before: who is another
// member in the next session was put out of the group.
type givenBack struct {
	claims map[string][]int32
	member string
	at     int64
}

func (s ibm) member(address string, n *notes) {
	client := value(sarama.NewClient([]string{address}, s.config(func(config *sarama.Config) {
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
	group := value(sarama.NewConsumerGroupFromClient(n.Group, client))
	admin := value(sarama.NewClusterAdmin([]string{address}, s.config()))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-n.leaving
		cancel()
	}()
	member := &saramaMember{notes: n, admin: admin, leaving: ctx}
	for ctx.Err() == nil {
		err := group.Consume(ctx, []string{n.Topic}, member)
		if err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
	}
	member.settle("lost")
	must(group.Close())
	must(admin.Close())
	must(client.Close())
}

func (m *saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	if m.given != nil && m.given.member == session.MemberID() {
		m.settle("revoked")
	}
	m.settle("lost")
	m.notes.moved("assigned", session.Claims(), session.GenerationID())
	return nil
}

func (m *saramaMember) Cleanup(session sarama.ConsumerGroupSession) error {
	m.given = &givenBack{session.Claims(), session.MemberID(), now()}
	if m.leaving.Err() != nil {
		m.settle("revoked")
	}
	return nil
}

// settle tells what became of what the last session ended with.
func (m *saramaMember) settle(event string) {
	if m.given != nil {
		m.notes.movedAt(m.given.at, event, m.given.claims, -1)
		m.given = nil
	}
}

func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case first, more := <-claim.Messages():
			if !more {
				return nil
			}
			last := m.handOut(first, claim)
			begun := now()
			session.MarkMessage(last, "")
			session.Commit()
			if m.committed(last) {
				m.notes.committed(begun, map[int32]int64{last.Partition: last.Offset + 1})
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

// committed says whether the group's offset is behind this message; what is handed out next is committed later.
func (m *saramaMember) committed(last *sarama.ConsumerMessage) bool {
	wanted := map[string][]int32{last.Topic: {last.Partition}}
	answer, err := m.admin.ListConsumerGroupOffsets(m.notes.Group, wanted)
	if err != nil {
		return false
	}
	block := answer.GetBlock(last.Topic, last.Partition)
	return block != nil && block.Err == sarama.ErrNoError && block.Offset == last.Offset+1
}

// handOut takes what is there already together with the first message; the last of them is returned.
func (m *saramaMember) handOut(first *sarama.ConsumerMessage, claim sarama.ConsumerGroupClaim) *sarama.ConsumerMessage {
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
