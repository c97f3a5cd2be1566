// How do I ask a question and await its answer?
//
//	go run ./ask "What is a headrace?"
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"example/headrace/headrace"
)

func main() {
	question := strings.Join(os.Args[1:], " ")
	if question == "" {
		question = "What is a headrace?"
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := headrace.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	event, err := headrace.Publish(ctx, client, "normal", headrace.Request{
		RequestID: fmt.Sprintf("go-%d", time.Now().UnixNano()),
		AgentID:   "agent-17",
		TimeoutS:  30,
		Payload:   headrace.Chat{Model: "small", Messages: []headrace.Message{{Role: "user", Content: question}}, MaxTokens: 64},
	})
	if err != nil {
		log.Fatal(err)
	}
	answers, err := headrace.Await(ctx, client, event)
	if err != nil {
		log.Fatal(err)
	}
	answer := answers[event]
	if answer.Status != "ok" {
		log.Fatalf("%s: %s: %s", answer.Status, answer.Error.Type, answer.Error.Message)
	}
	fmt.Println(answer.Payload.Choices[0].Message.Content)
}
