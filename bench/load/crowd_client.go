package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

const inFlight = 32
const slowestBackoff = 5 * time.Second

// A client is one person with one connection at a time, who comes back for as long as they are to.
type client struct {
	crowd   *crowd
	token   string
	mutex   sync.Mutex
	wanted  bool
	delay   time.Duration
	jitter  bool
	wake    chan struct{}
	socket  *socket
	up      bool
	greeted bool
	cursors map[int64]int64
	targets map[int64]int64
	nextID  int64
	sent    map[int64]*sending
	resting int
	unsent  []*sending
}

func newClient(c *crowd, token string) *client {
	return &client{
		crowd: c, token: token, wake: make(chan struct{}, 1), cursors: map[int64]int64{},
		targets: map[int64]int64{}, nextID: 2, sent: map[int64]*sending{},
	}
}

func (c *client) connect(delay time.Duration, jitter bool, cursor *int64) {
	c.mutex.Lock()
	c.wanted, c.delay, c.jitter = true, delay, jitter
	if cursor != nil {
		for room := range c.cursors {
			c.cursors[room] = *cursor
		}
	}
	c.mutex.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *client) cut() {
	c.mutex.Lock()
	c.wanted = false
	if c.socket != nil {
		c.socket.conn.Close()
	}
	c.mutex.Unlock()
}

func (c *client) isUp() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.up
}

// at says how far the client is in a room, and whether it is connected.
func (c *client) at(room int64) (int64, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.cursors[room], c.greeted
}

func (c *client) waiting() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return len(c.sent) + len(c.unsent) + c.resting
}

func (c *client) live() {
	for range c.wake {
		c.mutex.Lock()
		wanted, wait := c.wanted, c.delay
		c.mutex.Unlock()
		for tries := 0; wanted; tries++ {
			time.Sleep(wait)
			greeted, err := c.session()
			c.mutex.Lock()
			wanted = c.wanted
			c.mutex.Unlock()
			if greeted {
				tries = 0
			}
			wait = c.backoff(tries, err)
		}
	}
}

func (c *client) backoff(tries int, err error) time.Duration {
	wait := min(slowestBackoff, 250*time.Millisecond<<min(tries, 6))
	var no *refusal
	if errors.As(err, &no) && no.after > 0 {
		wait = no.after
		if c.jitter {
			return wait + time.Duration(rand.Float64()*float64(wait))
		}
		return wait
	}
	if c.jitter {
		return time.Duration(rand.Float64() * float64(wait))
	}
	return wait
}

// session is one connection from the handshake to its end; true when it was welcomed.
func (c *client) session() (bool, error) {
	began := time.Now()
	socket, err := dial(c.crowd.address)
	if err != nil {
		c.count(err, began)
		return false, err
	}
	defer socket.conn.Close()
	c.mutex.Lock()
	if !c.wanted {
		c.mutex.Unlock()
		return false, nil
	}
	c.socket = socket
	hello := c.hello()
	c.mutex.Unlock()
	err = socket.send(hello)
	buffer := make([]byte, 4096)
	for err == nil {
		var frame []byte
		if frame, err = socket.receive(buffer); err == nil {
			err = c.take(frame)
		}
	}
	return c.lost(err, began), err
}

func (c *client) hello() []byte {
	rooms := []string{}
	for room, at := range c.cursors {
		if at >= 0 {
			rooms = append(rooms, fmt.Sprintf(`{"roomId":"%d","sequence":"%d"}`, room, at))
		}
	}
	return fmt.Appendf(nil, `{"id":1,"hello":{"accessToken":%q,"client":"crowd/1","rooms":[%s]}}`,
		c.token, strings.Join(rooms, ","))
}

func (c *client) count(err error, began time.Time) {
	kind := "no connection"
	var no *refusal
	if errors.As(err, &no) {
		kind = no.kind
	} else if _, code, closed := strings.Cut(err.Error(), closedText); closed {
		kind = code
	}
	c.crowd.figures.refusal(kind, time.Since(began))
}

// lost ends a connection: what was under way is sent again on the next.
func (c *client) lost(err error, began time.Time) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	greeted, wanted := c.greeted, c.wanted
	c.socket, c.up, c.greeted = nil, false, false
	for id, one := range c.sent {
		delete(c.sent, id)
		c.unsent = append(c.unsent, one)
	}
	if wanted && greeted {
		c.crowd.figures.add("closed", 1)
	}
	if wanted && !greeted {
		c.count(err, began)
	}
	return greeted
}

func (c *client) take(frame []byte) error {
	now := time.Now()
	c.crowd.figures.add("frames", 1)
	c.crowd.figures.add("bytes", int64(len(frame)))
	head := frame[:min(len(frame), 40)]
	switch {
	case bytes.HasPrefix(frame, []byte(`{"event":`)):
		c.event(frame, now)
	case bytes.Contains(head, []byte(`"sent":`)):
		c.acked(frame, now)
	case bytes.Contains(head, []byte(`"error":`)):
		return c.failed(frame, now)
	case bytes.Contains(head, []byte(`"welcome":`)):
		return c.welcome(frame, now)
	case bytes.HasPrefix(frame, []byte(`{"ping":`)):
		return c.socket.send([]byte(`{"pong":{}}`))
	case bytes.HasPrefix(frame, []byte(`{"skip":`)):
		c.crowd.figures.add("skips", 1)
		c.move(number(frame, `"roomId":"`), number(frame, `"fromSequence":"`), number(frame, `"toSequence":"`), now)
	case bytes.HasPrefix(frame, []byte(`{"gap":`)):
		c.crowd.figures.add("gaps", 1)
		c.move(number(frame, `"roomId":"`), number(frame, `"fromSequence":"`), number(frame, `"headSequence":"`), now)
	}
	return nil
}

func (c *client) welcome(frame []byte, now time.Time) error {
	var reply struct {
		Welcome struct {
			Rooms []struct{ RoomId, HeadSequence string }
		}
	}
	if err := json.Unmarshal(frame, &reply); err != nil {
		return err
	}
	c.mutex.Lock()
	c.greeted = true
	for _, state := range reply.Welcome.Rooms {
		room, _ := strconv.ParseInt(state.RoomId, 10, 64)
		head, _ := strconv.ParseInt(state.HeadSequence, 10, 64)
		if at, known := c.cursors[room]; !known || at < 0 {
			c.cursors[room] = head
		}
		c.targets[room] = head
	}
	unsent := c.unsent
	c.unsent = nil
	c.arrive(now)
	c.mutex.Unlock()
	for _, one := range unsent {
		c.submit(one)
	}
	return nil
}

// arrive notes when everything is there that the welcome told of.
func (c *client) arrive(now time.Time) {
	if c.up || !c.greeted {
		return
	}
	for room, target := range c.targets {
		if c.cursors[room] < target {
			return
		}
	}
	clear(c.targets)
	c.up = true
	c.crowd.figures.caughtUp(now)
}

func (c *client) event(frame []byte, now time.Time) {
	c.crowd.figures.add("events", 1)
	sequence := number(frame, `"sequence":"`)
	c.move(number(frame, `"roomId":"`), sequence, sequence, now)
	if bytes.Contains(frame, []byte(`"memberJoined":`)) {
		c.crowd.figures.add("joins", 1)
	}
	mark := []byte(`"text":"@`)
	if at := bytes.Index(frame, mark); at >= 0 {
		name, rest, _ := bytes.Cut(frame[at+len(mark):], []byte(" "))
		if found, err := c.crowd.label(string(name)); err == nil {
			found.delivered(c.crowd.start.Add(time.Duration(number(rest, ""))), now)
		}
	}
}

// move takes a stretch of a room's log: it must begin where the last one ended.
func (c *client) move(room, from, to int64, now time.Time) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	at, known := c.cursors[room]
	if !known || at < 0 {
		at = from - 1 // a room that was joined meanwhile begins with its memberJoined
	}
	switch {
	case from <= at:
		c.crowd.figures.add("twice", 1)
	case from > at+1:
		c.crowd.figures.add("holes", from-at-1)
	}
	c.cursors[room] = max(at, to)
	c.arrive(now)
}
