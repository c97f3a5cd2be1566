// Package headrace is all that a Go program needs to ask a Headrace fleet: the contract's partitioner, and a client that
// publishes requests and awaits their answers.
package headrace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

const responses = "agent.responses"

// Partition is the contract's partitioner. Any other one works too; with this one an agent stays with one worker.
func Partition(key []byte, partitions int) int {
	number, bucket, candidate := xxhash.Sum64(key), 0, 0
	for candidate < partitions {
		bucket = candidate
		number = number*2862933555777941757 + 1
		candidate = int(float64(bucket+1) * (float64(1<<31) / float64((number>>33)+1)))
	}
	return bucket
}

// Message is one message of a chat.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Chat is the provider's request body.
type Chat struct {
	Model     string    `json:"model"`
	Messages  []Message `json:"messages"`
	MaxTokens int       `json:"max_tokens,omitempty"`
}

// Request is a request as the contract has it; see docs/contract.md for more fields.
type Request struct {
	RequestID string  `json:"request_id"`
	AgentID   string  `json:"agent_id"`
	TimeoutS  float64 `json:"timeout_s,omitempty"`
	Payload   Chat    `json:"payload"`
}

// Answer is a response as the contract has it; see docs/contract.md for more fields.
type Answer struct {
	RequestID string `json:"request_id"`
	Status    string `json:"status"`
	Payload   struct {
		Choices []struct{ Message Message } `json:"choices"`
	} `json:"payload"`
	Error *struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
	Timing struct {
		QueueMs float64 `json:"queue_ms"`
	} `json:"timing"`
}

// Open connects to KAFKA_BOOTSTRAP_SERVERS, by default 127.0.0.1:9092.
func Open() (*kgo.Client, error) {
	brokers := os.Getenv("KAFKA_BOOTSTRAP_SERVERS")
	if brokers == "" {
		brokers = "127.0.0.1:9092"
	}
	return kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
			return func(record *kgo.Record, partitions int) int { return Partition(record.Key, partitions) }
		})),
		// Without a group: this process alone reads all partitions, from shortly before its requests, so that no answer
		// can be missed. A service would use a group, or a topic of its own, and keep what is not its own.
		kgo.ConsumeTopics(responses),
		kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(time.Now().Add(-10*time.Second).UnixMilli())),
	)
}

// Publish sends a request of a class (high, normal, low) and returns its event id: the place of its record on the log, which
// the answer bears in the header ce_id. A request_id is a claim that anybody can make; an event id belongs to one record.
func Publish(ctx context.Context, client *kgo.Client, class string, request Request) (string, error) {
	value, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	record := &kgo.Record{Topic: "agent.requests." + class, Key: []byte(request.AgentID), Value: value}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s:%d:%d", record.Topic, record.Partition, record.Offset), nil
}

// Await reads answers until each of the events has one. The first one counts: answers come at least once.
func Await(ctx context.Context, client *kgo.Client, events ...string) (map[string]Answer, error) {
	wanted, found := map[string]bool{}, map[string]Answer{}
	for _, event := range events {
		wanted[event] = true
	}
	for len(found) < len(wanted) {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return found, errors.New("no answer in time")
		}
		for _, record := range fetches.Records() {
			event := ""
			for _, header := range record.Headers {
				if header.Key == "ce_id" {
					event = string(header.Value)
				}
			}
			if _, again := found[event]; again || !wanted[event] {
				continue
			}
			var answer Answer
			if err := json.Unmarshal(record.Value, &answer); err != nil {
				return found, err
			}
			found[event] = answer
		}
	}
	return found, nil
}
