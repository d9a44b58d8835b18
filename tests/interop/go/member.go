package main

import (
	"encoding/json"
	"io"
	"os"
	"sort"
	"sync"
	"time"
)

// settings say how a member joins its group.
type settings struct {
	Client    string  `json:"client"`
	Group     string  `json:"group"`
	Topic     string  `json:"topic"`
	Assignor  string  `json:"assignor"`
	Instance  *string `json:"instance"`
	Session   int     `json:"session_ms"`
	Heartbeat int     `json:"heartbeat_ms"`
	Isolation string  `json:"isolation"`
	Protocol  string  `json:"protocol"`
	Sink      string  `json:"sink"`
	TxnID     string  `json:"transactional"`
}

func (s settings) session() time.Duration { return time.Duration(s.Session) * time.Millisecond }

func (s settings) heartbeat() time.Duration { return time.Duration(s.Heartbeat) * time.Millisecond }

// notes prints the events of one member.
type notes struct {
	settings
	leaving chan struct{}
	lock    sync.Mutex
}

// joined takes the settings; `leaving` is closed when standard input ends.
func joined(text string) *notes {
	n := &notes{leaving: make(chan struct{})}
	must(json.Unmarshal([]byte(text), &n.settings))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(n.leaving)
	}()
	return n
}

// now is microseconds of the machine's clock, which all programs read.
func now() int64 { return time.Now().UnixMicro() }

func (n *notes) note(event string, fields map[string]any) { n.noteAt(now(), event, fields) }

func (n *notes) noteAt(at int64, event string, fields map[string]any) {
	n.lock.Lock()
	defer n.lock.Unlock()
	fields["event"], fields["client"], fields["at"] = event, n.Client, at
	_, err := os.Stdout.Write(append(value(json.Marshal(fields)), '\n'))
	must(err)
}

// moved tells of partitions that were assigned, revoked or lost; a generation below 0 is not known.
func (n *notes) moved(event string, topics map[string][]int32, generation int32) {
	n.movedAt(now(), event, topics, generation)
}

func (n *notes) movedAt(at int64, event string, topics map[string][]int32, generation int32) {
	places := [][2]any{}
	for topic, partitions := range topics {
		sort.Slice(partitions, func(a, b int) bool { return partitions[a] < partitions[b] })
		for _, partition := range partitions {
			places = append(places, [2]any{topic, partition})
		}
	}
	fields := map[string]any{"group": n.Group, "partitions": places}
	if generation >= 0 {
		fields["generation"] = generation
	}
	n.noteAt(at, event, fields)
}

// consumed tells of records of one partition: pairs of offset and value.
func (n *notes) consumed(partition int32, records [][2]any) {
	n.note("consumed", map[string]any{
		"topic": n.Topic, "partition": partition, "records": records, "group": n.Group,
		"isolation": n.Isolation,
	})
}

func (n *notes) committed(begun int64, offsets map[int32]int64) {
	told := [][3]any{}
	for partition, offset := range offsets {
		told = append(told, [3]any{n.Topic, partition, offset})
	}
	n.note("committed", map[string]any{"group": n.Group, "begun": begun, "offsets": told})
}
