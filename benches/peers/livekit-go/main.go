// Participants of the official Go SDK, for the benches `echo`, `flood` and `fleet`: the same jobs,
// asked for in the same way, as benches/src/bin/livekit-participants.rs does with ours.
//
// Each line of standard input is a request in JSON, each line of standard output its answer; the
// end of the input ends the program.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
)

type request struct {
	Do        string   `json:"do"`
	URL       string   `json:"url"`
	AtOnce    int      `json:"at_once"`
	Members   []member `json:"members"`
	Reliable  bool     `json:"reliable"`
	Bytes     int      `json:"bytes"`
	PerSecond float64  `json:"per_second"`
	Seconds   float64  `json:"seconds"`
}

type member struct {
	Token string `json:"token"`
	// Identity of whom it sends to.
	To   string `json:"to"`
	room *lksdk.Room
}

var (
	members []member
	started = time.Now()

	pongs     []int64
	pongsLock sync.Mutex
	received  atomic.Int64
	next      atomic.Uint64
	disorder  atomic.Int64
	// Of a member's connection, since the program began.
	reconnecting atomic.Int64
)

func main() {
	lksdk.SetLogger(logger.LogRLogger(logr.Discard()))
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	output := json.NewEncoder(os.Stdout)
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked request
		if err := json.Unmarshal(line, &asked); err != nil {
			fail(err)
		}
		answer, err := handle(&asked)
		if err != nil {
			fail(err)
		}
		if err := output.Encode(answer); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func handle(asked *request) (any, error) {
	switch asked.Do {
	case "join":
		return join(asked)
	case "echo":
		return echo(asked)
	case "flood":
		return flood(asked)
	case "chat":
		return chat(asked)
	}
	return nil, fmt.Errorf("no request %q", asked.Do)
}

// Joins all, so many at once.
func join(asked *request) (any, error) {
	joining := make(chan struct{}, asked.AtOnce)
	errors := make(chan error, len(asked.Members))
	for i := range asked.Members {
		joining <- struct{}{}
		go func(joined *member) {
			var err error
			joined.room, err = connect(asked.URL, joined.Token)
			<-joining
			errors <- err
		}(&asked.Members[i])
	}
	for range asked.Members {
		if err := <-errors; err != nil {
			return nil, err
		}
	}
	members = append(members, asked.Members...)
	return map[string]int{"joined": len(members)}, nil
}

func connect(url, token string) (*lksdk.Room, error) {
	var room *lksdk.Room
	callback := lksdk.NewRoomCallback()
	callback.OnReconnecting = func() { reconnecting.Add(1) }
	callback.OnDataPacket = func(data lksdk.DataPacket, params lksdk.DataReceiveParams) {
		if packet, ok := data.(*lksdk.UserDataPacket); ok {
			handlePacket(room, packet, params.SenderIdentity)
		}
	}
	room = lksdk.NewRoom(callback)
	err := room.JoinWithToken(url, token, lksdk.WithAutoSubscribe(false))
	return room, err
}

func handlePacket(room *lksdk.Room, packet *lksdk.UserDataPacket, from string) {
	if len(packet.Payload) < 8 {
		return
	}
	number := binary.LittleEndian.Uint64(packet.Payload)
	switch packet.Topic {
	case "ping", "PING":
		reliable, topic := packet.Topic == "PING", "pong"
		_ = send(room, packet.Payload, topic, reliable, from)
	case "pong":
		took := int64(time.Since(started)) - int64(number)
		pongsLock.Lock()
		pongs = append(pongs, took)
		pongsLock.Unlock()
	case "flood":
		received.Add(1)
		if next.Swap(number+1) != number {
			disorder.Add(1)
		}
	case "chat":
		received.Add(1)
	}
}

func send(room *lksdk.Room, payload []byte, topic string, reliable bool, to string) error {
	return room.LocalParticipant.PublishDataPacket(
		lksdk.UserData(payload),
		lksdk.WithDataPublishTopic(topic),
		lksdk.WithDataPublishReliable(reliable),
		lksdk.WithDataPublishDestination([]string{to}),
	)
}

// The first sends to the second at a steady rate, who sends each packet back.
func echo(asked *request) (any, error) {
	topic := "ping"
	if asked.Reliable {
		topic = "PING"
	}
	pongsLock.Lock()
	pongs = nil
	pongsLock.Unlock()
	count := int(asked.PerSecond * asked.Seconds)
	begun := time.Now()
	for i := range count {
		due := time.Duration(float64(i) / asked.PerSecond * float64(time.Second))
		time.Sleep(time.Until(begun.Add(due)))
		payload := make([]byte, asked.Bytes)
		binary.LittleEndian.PutUint64(payload, uint64(time.Since(started)))
		if err := send(members[0].room, payload, topic, asked.Reliable, members[0].To); err != nil {
			return nil, err
		}
	}
	deadline := time.Now().Add(stragglers)
	for {
		pongsLock.Lock()
		latencies := pongs
		pongsLock.Unlock()
		if len(latencies) >= count || time.Now().After(deadline) {
			return map[string]any{"sent": count, "latencies_ns": latencies}, nil
		}
		time.Sleep(poll)
	}
}

// The first sends to the second at a steady rate, who counts.
func flood(asked *request) (any, error) {
	received.Store(0)
	next.Store(0)
	disorder.Store(0)
	count := int(asked.PerSecond * asked.Seconds)
	begun := time.Now()
	schedule := begun
	for sent := 0; sent < count; {
		due := min(int(time.Since(schedule).Seconds()*asked.PerSecond)+1, count)
		if due > sent+burst {
			// This thread was late. It does not make up for it by what no sender would do.
			due = sent + burst
			ahead := time.Duration(float64(due) / asked.PerSecond * float64(time.Second))
			schedule = time.Now().Add(-ahead)
		}
		for ; sent < due; sent++ {
			payload := make([]byte, asked.Bytes)
			binary.LittleEndian.PutUint64(payload, uint64(sent))
			if err := send(members[0].room, payload, "flood", asked.Reliable, members[0].To); err != nil {
				return nil, err
			}
		}
		time.Sleep(pause)
	}
	perSecond := float64(count) / time.Since(begun).Seconds()
	waitForReceived(count)
	return map[string]any{
		"sent": count, "per_second": perSecond, "refused": 0, "received": received.Load(), "disorder": disorder.Load(),
	}, nil
}

// Each sends to its neighbour at a steady rate, all of them spread over time.
func chat(asked *request) (any, error) {
	received.Store(0)
	begun := time.Now()
	count := int(asked.PerSecond * asked.Seconds)
	total := count * len(members)
	perSecond := asked.PerSecond * float64(len(members))
	for sent := 0; sent < total; {
		due := min(int(time.Since(begun).Seconds()*perSecond)+1, total)
		for ; sent < due; sent++ {
			from := &members[sent%len(members)]
			payload := make([]byte, asked.Bytes)
			if err := send(from.room, payload, "chat", asked.Reliable, from.To); err != nil {
				return nil, err
			}
		}
		time.Sleep(time.Millisecond)
	}
	waitForReceived(total)
	return map[string]any{
		"sent": total, "received": received.Load(), "reconnecting": reconnecting.Load(),
	}, nil
}

func waitForReceived(count int) {
	deadline := time.Now().Add(stragglers)
	for received.Load() < int64(count) && time.Now().Before(deadline) {
		time.Sleep(poll)
	}
}

const (
	// How long to wait for what is under way.
	stragglers = 500 * time.Millisecond
	poll       = 5 * time.Millisecond
	// Between the packets of a flood, so that they come in small bursts, and the largest of them.
	pause = 250 * time.Microsecond
	burst = 16
)
