// franz-go by an expert's hand: the same work as aiokafka_batch.py, in Go.
//
// Whole fetches in, answers to the partition with their request's number, flush and commit each second. Built and run by
// `headrace bench pipeline --peers franz_go`; called as `peer SERVERS GROUP RECORDS TOPIC…`, with the answer that every
// provider call brings in the variable ANSWER.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/goccy/go-json"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/crypto/blake2b"
)

const (
	responses  = "agent.responses"
	identifier = 256 // characters, as the contract has it
	timeoutS   = 86_400
)

// The fields of schemas/request.py. go-json: a third less CPU for this than encoding/json.
type request struct {
	RequestID      string         `json:"request_id"`
	AgentID        string         `json:"agent_id"`
	ConversationID *string        `json:"conversation_id"`
	Operation      string         `json:"operation"`
	Payload        map[string]any `json:"payload"`
	Cache          *struct {
		Mode string   `json:"mode"`
		TTL  *float64 `json:"ttl_s"`
	} `json:"cache"`
	TimeoutS  *float64   `json:"timeout_s"`
	Deadline  *time.Time `json:"deadline"`
	CreatedAt *string    `json:"created_at"`
}

// The fields of schemas/response.py.
type response struct {
	RequestID      string          `json:"request_id"`
	AgentID        string          `json:"agent_id"`
	ConversationID *string         `json:"conversation_id"`
	Status         string          `json:"status"`
	Payload        json.RawMessage `json:"payload"`
	Error          *struct{}       `json:"error"`
	Usage          usage           `json:"usage"`
	Cache          string          `json:"cache"`
	Provider       string          `json:"provider"`
	Model          *string         `json:"model"`
	Attempts       int             `json:"attempts"`
	Timing         timing          `json:"timing"`
	CompletedAt    time.Time       `json:"completed_at"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

type timing struct {
	Queue    float64 `json:"queue_ms"`
	Provider float64 `json:"provider_ms"`
	Total    float64 `json:"total_ms"`
}

var (
	answer  = json.RawMessage(os.Getenv("ANSWER"))
	answers = map[[16]byte]json.RawMessage{}
)

// validate says what schemas/request.py would refuse.
func (r *request) validate() error {
	model, _ := r.Payload["model"].(string)
	switch {
	case len(r.RequestID) > identifier || len(r.AgentID) > identifier:
		return errors.New("an id is too long")
	case model == "" || len(model) > 256:
		return errors.New("payload.model must be a string of 1 to 256 characters")
	case r.TimeoutS != nil && (*r.TimeoutS <= 0 || *r.TimeoutS > timeoutS):
		return errors.New("timeout_s is out of range")
	}
	switch r.Operation {
	case "chat.completions":
		if messages, _ := r.Payload["messages"].([]any); len(messages) == 0 {
			return errors.New("payload.messages must be a non-empty array")
		}
	case "embeddings":
		if r.Payload["input"] == nil {
			return errors.New("payload.input must be a non-empty string or array")
		}
	default:
		return errors.New("operation is unknown")
	}
	return nil
}

// digest is streams/cache/key.py's, but for the personalisation, which this BLAKE2b has not.
func digest(r *request) (key [16]byte, err error) {
	for _, ignored := range [...]string{"stream", "stream_options", "user", "safety_identifier", "metadata", "store",
		"prompt_cache_key", "prompt_cache_retention", "service_tier"} {
		delete(r.Payload, ignored)
	}
	canonical, err := json.MarshalWithOption(r.Payload, json.DisableHTMLEscape()) // sorted keys
	if err != nil {
		return key, err
	}
	hash, err := blake2b.New(16, nil)
	if err != nil {
		return key, err
	}
	hash.Write(canonical)
	hash.Write([]byte(r.Operation))
	hash.Sum(key[:0])
	return key, nil
}

// handle is ops/bench/work.py: decode and validate, key, look up, and the response.
func handle(record *kgo.Record) (*kgo.Record, error) {
	r := request{Operation: "chat.completions"}
	if err := json.Unmarshal(record.Value, &r); err != nil {
		return nil, err
	}
	if err := r.validate(); err != nil {
		return nil, err
	}
	key, err := digest(&r)
	if err != nil {
		return nil, err
	}
	found, ok := answers[key]
	if !ok {
		found, answers[key] = answer, answer
	}
	now := time.Now().UTC()
	waited := float64(now.Sub(record.Timestamp).Microseconds()) / 1000
	event := record.Topic + ":" + strconv.Itoa(int(record.Partition)) + ":" + strconv.FormatInt(record.Offset, 10)
	if r.RequestID == "" {
		r.RequestID = event
	}
	value, err := json.MarshalWithOption(response{
		RequestID: r.RequestID, AgentID: r.AgentID, ConversationID: r.ConversationID, Status: "ok", Payload: found,
		Cache: "memory", Provider: "bench", Timing: timing{Queue: waited, Total: waited}, CompletedAt: now,
	}, json.DisableHTMLEscape())
	if err != nil {
		return nil, err
	}
	return &kgo.Record{
		Topic: responses, Partition: record.Partition, Key: []byte(r.AgentID), Value: value,
		Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")},
			{Key: "ce_type", Value: []byte("headrace.response.v1")},
			{Key: "content-type", Value: []byte("application/json")},
			{Key: "ce_source", Value: []byte("/headrace")},
			{Key: "ce_time", Value: now.AppendFormat(nil, "2006-01-02T15:04:05.000Z")},
			{Key: "ce_id", Value: []byte(event)},
			{Key: "request_id", Value: []byte(r.RequestID)},
		},
	}, nil
}

func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		log.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func main() {
	if len(os.Args) < 5 {
		// One request on stdin, its answer on stdout: how tests see that the work is the same.
		if err := one(); err != nil {
			log.Fatal(err)
		}
		return
	}
	wanted, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Args[1], ",")...),
		kgo.ConsumerGroup(os.Args[2]),
		kgo.ConsumeTopics(os.Args[4:]...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchMaxBytes(262_144),
		kgo.ProducerBatchCompression(kgo.NoCompression()), // as the other peers
		kgo.MaxBufferedRecords(50_000),
	)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	var failed atomic.Pointer[error]
	acked := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.Store(&err)
		}
	}
	commit := func() {
		if err := client.Flush(ctx); err != nil {
			log.Fatal(err)
		}
		if err := failed.Load(); err != nil {
			log.Fatal(*err)
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			log.Fatal(err)
		}
	}
	var began time.Time
	var before time.Duration
	count, committed := 0, time.Now()
	for count < wanted {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		if began.IsZero() {
			began, before = time.Now(), cpu()
		}
		fetches.EachRecord(func(record *kgo.Record) {
			made, err := handle(record)
			if err != nil {
				log.Fatal(err)
			}
			client.Produce(ctx, made, acked)
			count++
		})
		if time.Since(committed) >= time.Second {
			commit()
			committed = time.Now()
		}
	}
	commit()
	ended, used := time.Now(), cpu()-before
	took := ended.Sub(began).Seconds()
	figures, err := json.Marshal(map[string]any{
		"records": count, "began_at": float64(began.UnixMicro()) / 1e6, "ended_at": float64(ended.UnixMicro()) / 1e6,
		"rate": float64(count) / took, "cpu_us": float64(used.Microseconds()) / float64(count),
		"cpu_cores": used.Seconds() / took,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("\nRESULT %s\n", figures)
}

func one() error {
	value, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	made, err := handle(&kgo.Record{Topic: "agent.requests.high", Partition: 3, Offset: 17, Value: value, Timestamp: time.Now()})
	if err != nil {
		return err
	}
	headers := map[string]string{}
	for _, each := range made.Headers {
		headers[each.Key] = string(each.Value)
	}
	said, err := json.Marshal(map[string]any{"key": string(made.Key), "value": string(made.Value), "headers": headers})
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", said)
	return nil
}
