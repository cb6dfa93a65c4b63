package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync"
	"time"
)

// A crowd is thousands of clients that do what they are told, line by line: each line of the standard
// input is one JSON command, each is answered by one JSON line. The people exist already; the first
// argument names a file that says who they are.
type crowd struct {
	address string
	start   time.Time
	clients []*client
	members map[int64][]*client
	figures *figures
	labels  sync.Map
}

type crowdFile struct {
	Address string
	People  []struct {
		User  string
		Token string
		Rooms []string
	}
}

type command struct {
	Do           string
	First, Count int
	// connect: everybody's first attempt comes within this time; 0 is all at once.
	SpreadMillis int
	// connect: without jitter everybody waits the same time before they try again.
	Jitter bool
	// connect: every room's cursor is set to this before.
	Cursor *int64
	// wait, finish
	Seconds float64
	Up      int
	// send, stop, measure
	Label    string
	Rooms    []string
	Rate     float64
	Text     int
	Attempts int
	// finish
	Path string
}

func runCrowd(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var file crowdFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return err
	}
	c := &crowd{address: file.Address, start: time.Now(), members: map[int64][]*client{}, figures: newFigures()}
	for _, one := range file.People {
		made := newClient(c, one.Token)
		for _, text := range one.Rooms {
			room, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return err
			}
			made.cursors[room] = -1
			c.members[room] = append(c.members[room], made)
		}
		c.clients = append(c.clients, made)
		go made.live()
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var order command
		if err := json.Unmarshal(lines.Bytes(), &order); err != nil {
			return err
		}
		answer, err := c.obey(order)
		if err != nil {
			return err
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c *crowd) obey(order command) (any, error) {
	switch order.Do {
	case "connect":
		return c.connect(order), nil
	case "cut":
		for _, one := range c.clients[order.First : order.First+order.Count] {
			one.cut()
		}
		return c.state(), nil
	case "wait":
		return c.wait(order), nil
	case "state":
		return c.state(), nil
	case "send":
		return c.send(order)
	case "stop":
		return c.stop(order.Label)
	case "measure":
		return c.measure(order.Label)
	case "finish":
		return c.finish(order)
	}
	return nil, fmt.Errorf("there is no command %q", order.Do)
}

func (c *crowd) connect(order command) any {
	c.figures.storm(time.Now())
	for number, one := range c.clients[order.First : order.First+order.Count] {
		delay := time.Duration(order.SpreadMillis) * time.Millisecond
		one.connect(delay*time.Duration(number)/time.Duration(order.Count), order.Jitter, order.Cursor)
	}
	return map[string]int{"clients": order.Count}
}

// wait answers when so many clients are connected and have caught up, or when the time is over.
func (c *crowd) wait(order command) any {
	end := time.Now().Add(time.Duration(order.Seconds * float64(time.Second)))
	for time.Now().Before(end) && c.up() < order.Up {
		time.Sleep(10 * time.Millisecond)
	}
	return c.state()
}

func (c *crowd) up() int {
	count := 0
	for _, one := range c.clients {
		if one.isUp() {
			count++
		}
	}
	return count
}

func (c *crowd) state() any {
	report := c.figures.report()
	report["up"] = c.up()
	return report
}

// finish waits until every send has ended and every connected client has everything that was
// acknowledged, then writes `room sequence requestId` of each acknowledged send into a file, and
// says how far the last of each room's clients is, the largest number where none is connected.
func (c *crowd) finish(order command) (any, error) {
	end := time.Now().Add(time.Duration(order.Seconds * float64(time.Second)))
	for time.Now().Before(end) && !c.settled() {
		time.Sleep(20 * time.Millisecond)
	}
	file, err := os.Create(order.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	writer := bufio.NewWriter(file)
	waiting := 0
	for _, one := range c.clients {
		waiting += one.waiting()
	}
	for _, ack := range c.figures.acknowledged() {
		fmt.Fprintf(writer, "%d %d %s\n", ack.room, ack.sequence, ack.requestID)
	}
	lowest := map[string]int64{}
	for room, members := range c.members {
		low := int64(math.MaxInt64)
		for _, one := range members {
			if at, up := one.at(room); up {
				low = min(low, at) // -1 is behind everybody: nothing was ever told of the room
			}
		}
		lowest[strconv.FormatInt(room, 10)] = low
	}
	return map[string]any{"waiting": waiting, "lowest": lowest}, writer.Flush()
}

func (c *crowd) settled() bool {
	for _, one := range c.clients {
		if one.waiting() > 0 {
			return false
		}
	}
	for room, head := range c.figures.heads() {
		for _, one := range c.members[room] {
			if at, up := one.at(room); up && at < head {
				return false
			}
		}
	}
	return true
}
