// The clients for Go, franz-go and sarama, as programs for tests/interop.
//
// Usage: clients franz-go|sarama tour HOST:PORT STOP…, or write HOST:PORT, or read HOST:PORT.
// `tour` goes to the named stops and prints `ok` and the stop's name after each; any surprise ends
// the program. `write` produces the topics that its standard input lists in JSON, each with the codec
// that is asked for; `read` reads topics to the count that is asked for and prints their records as
// JSON. Bytes are hexadecimal, or null. `member HOST:PORT SETTINGS` joins a group until standard input
// ends, and prints what happens to it (see tests/interop/clients/member.py); `loop HOST:PORT SETTINGS`
// is franz-go's read-process-write loop (see confluent_loop.py there).
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"
)

const (
	events         = 300
	firstTimestamp = int64(1_700_000_000_000)
	patience       = 30 * time.Second
)

// record is a record as clients take and give it.
type record struct {
	Offset    int64
	Timestamp int64
	Key       []byte
	Value     []byte
	Headers   []header
}

type header struct {
	Name  string
	Value []byte
}

// client is one library's way to do what the programs do.
type client interface {
	stops(address string) map[string]func()
	write(address, topic, codec string, records []record)
	read(address, topic string, count int) []record
	member(address string, notes *notes)
}

func main() {
	chosen := map[string]client{"franz-go": franz{}, "sarama": ibm{}}[os.Args[1]]
	address := os.Args[3]
	switch os.Args[2] {
	case "tour":
		stops := chosen.stops(address)
		for _, stop := range os.Args[4:] {
			stops[stop]()
			fmt.Println("ok", stop)
		}
	case "write":
		for _, topic := range asked() {
			chosen.write(address, topic.Topic, topic.Codec, topic.decoded())
		}
	case "member":
		chosen.member(address, joined(os.Args[4]))
	case "loop":
		franz{}.loop(address, joined(os.Args[4]))
	case "read":
		found := map[string][]jsonRecord{}
		for _, topic := range asked() {
			found[topic.Topic] = encoded(chosen.read(address, topic.Topic, topic.Count))
		}
		must(json.NewEncoder(os.Stdout).Encode(found))
	}
}

// What goes through standard input and output.
type jsonTopic struct {
	Topic   string       `json:"topic"`
	Codec   string       `json:"codec"`
	Count   int          `json:"count"`
	Records []jsonRecord `json:"records"`
}

type jsonRecord struct {
	Offset    int64        `json:"offset"`
	Timestamp int64        `json:"timestamp"`
	Key       *string      `json:"key"`
	Value     *string      `json:"value"`
	Headers   [][2]*string `json:"headers"`
}

func asked() []jsonTopic {
	var topics []jsonTopic
	must(json.NewDecoder(os.Stdin).Decode(&topics))
	return topics
}

func (topic jsonTopic) decoded() []record {
	var records []record
	for _, one := range topic.Records {
		decoded := record{Timestamp: one.Timestamp, Key: fromHex(one.Key), Value: fromHex(one.Value)}
		for _, pair := range one.Headers {
			decoded.Headers = append(decoded.Headers, header{*pair[0], fromHex(pair[1])})
		}
		records = append(records, decoded)
	}
	return records
}

func encoded(records []record) []jsonRecord {
	var found []jsonRecord
	for _, one := range records {
		headers := [][2]*string{}
		for _, pair := range one.Headers {
			headers = append(headers, [2]*string{&pair.Name, toHex(pair.Value)})
		}
		found = append(found, jsonRecord{
			one.Offset, one.Timestamp, toHex(one.Key), toHex(one.Value), headers,
		})
	}
	return found
}

func fromHex(text *string) []byte {
	if text == nil {
		return nil
	}
	raw, err := hex.DecodeString(*text)
	must(err)
	return raw
}

func toHex(raw []byte) *string {
	if raw == nil {
		return nil
	}
	text := hex.EncodeToString(raw)
	return &text
}

// event is one of the records that tours produce.
func event(number int) record {
	return record{
		Offset:    int64(number),
		Timestamp: firstTimestamp + int64(number),
		Key:       fmt.Appendf(nil, "key-%d", number),
		Value:     fmt.Appendf(nil, "value-%d", number),
		Headers:   []header{{"number", fmt.Appendf(nil, "%d", number)}},
	}
}

func allEvents() []record {
	var all []record
	for number := range events {
		all = append(all, event(number))
	}
	return all
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func value[T any](got T, err error) T {
	must(err)
	return got
}

func same(wanted, got any, what string) {
	if !reflect.DeepEqual(wanted, got) {
		panic(fmt.Sprintf("%s: wanted %v, got %v", what, wanted, got))
	}
}

func fails(wanted, got error, what string) {
	if !errors.Is(got, wanted) {
		panic(fmt.Sprintf("%s: wanted %v, got %v", what, wanted, got))
	}
}

// until waits for what reaches clients in time, not at once.
func until(what string, holds func() bool) {
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic(what)
		}
	}
}
