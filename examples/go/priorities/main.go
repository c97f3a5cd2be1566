// How do urgent requests overtake the others? Each class has a topic of its own.
//
//	go run ./priorities
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"example/headrace/headrace"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := headrace.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	classes, events := []string{"high", "normal", "low"}, []string{}
	for _, class := range classes {
		event, err := headrace.Publish(ctx, client, class, headrace.Request{
			RequestID: fmt.Sprintf("go-%s-%d", class, time.Now().UnixNano()),
			AgentID:   "agent-17",
			Payload:   headrace.Chat{Model: "small", Messages: []headrace.Message{{Role: "user", Content: "A question of class " + class}}, MaxTokens: 16},
		})
		if err != nil {
			log.Fatal(err)
		}
		events = append(events, event)
	}
	answers, err := headrace.Await(ctx, client, events...)
	if err != nil {
		log.Fatal(err)
	}
	for index, class := range classes {
		answer := answers[events[index]]
		fmt.Printf("%s: %s, waited %.0f ms in the queue\n", class, answer.Status, answer.Timing.QueueMs)
	}
}
