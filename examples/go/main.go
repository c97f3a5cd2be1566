// Publish one request and wait for its answer.
//
//	go run . "What is a headrace?"
//
// The broker is KAFKA_BOOTSTRAP_SERVERS, by default 127.0.0.1:9092.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partition is the contract's partitioner. Any other one works too; with this one an agent stays with one worker.
func partition(key []byte, partitions int) int {
	number, bucket, candidate := xxhash.Sum64(key), 0, 0
	for candidate < partitions {
		bucket = candidate
		number = number*2862933555777941757 + 1
		candidate = int(float64(bucket+1) * (float64(1<<31) / float64((number>>33)+1)))
	}
	return bucket
}

func main() {
	question := strings.Join(os.Args[1:], " ")
	if question == "" {
		question = "What is a headrace?"
	}
	brokers := os.Getenv("KAFKA_BOOTSTRAP_SERVERS")
	if brokers == "" {
		brokers = "127.0.0.1:9092"
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
			return func(record *kgo.Record, partitions int) int { return partition(record.Key, partitions) }
		})),
		// Without a group: this process alone reads all partitions, from shortly before the request, so that its
		// answer cannot be missed. A service would use a group and keep what is not its own.
		kgo.ConsumeTopics("agent.responses"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(time.Now().Add(-10*time.Second).UnixMilli())),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	agentID, requestID := "agent-17", fmt.Sprintf("go-%d", time.Now().UnixNano())
	value, err := json.Marshal(map[string]any{
		"request_id": requestID, "agent_id": agentID, "timeout_s": 30,
		"payload": map[string]any{
			"model": "small", "messages": []map[string]string{{"role": "user", "content": question}}, "max_tokens": 64,
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	request := &kgo.Record{Topic: "agent.requests.normal", Key: []byte(agentID), Value: value}
	if err := client.ProduceSync(ctx, request).FirstErr(); err != nil {
		log.Fatal(err)
	}
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			log.Fatal("no answer within a minute")
		}
		for _, record := range fetches.Records() {
			var answer struct {
				RequestID string `json:"request_id"`
			}
			// At least once: the first answer counts.
			if json.Unmarshal(record.Value, &answer) == nil && answer.RequestID == requestID {
				fmt.Println(string(record.Value))
				return
			}
		}
	}
}
