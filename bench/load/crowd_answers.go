package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// submit writes a message when the client is connected and few enough are under way; false: it is not sent.
func (c *client) submit(one *sending) bool {
	c.mutex.Lock()
	if !c.greeted || len(c.sent) >= inFlight {
		keep := one.tries > 0 || !one.written.IsZero()
		if keep {
			c.unsent = append(c.unsent, one)
		}
		c.mutex.Unlock()
		return keep
	}
	id := c.nextID
	c.nextID++
	c.sent[id] = one
	first := one.written.IsZero()
	one.written = time.Now()
	socket := c.socket
	c.mutex.Unlock()
	frame := fmt.Appendf(nil, `{"id":%d,"send":{"roomId":"%d","requestId":"%s","text":"%s"}}`,
		id, one.room, one.requestID, one.text(c.crowd.start))
	_ = socket.send(frame) // a connection that is gone shows at its reader, which keeps what is under way
	if first {
		one.label.late.Load().add(time.Since(one.due))
	}
	return true
}

func (c *client) answered(frame []byte) *sending {
	id := number(frame, `"id":`)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	one := c.sent[id]
	delete(c.sent, id)
	return one
}

func (c *client) acked(frame []byte, now time.Time) {
	one := c.answered(frame)
	if one == nil {
		return
	}
	duplicate := bytes.Contains(frame, []byte(`"duplicate":true`))
	one.label.acked(one, now, duplicate)
	c.crowd.figures.acknowledge(ack{one.room, number(frame, `"sequence":"`), one.requestID})
	c.next()
}

// next sends what waited for room in flight.
func (c *client) next() {
	c.mutex.Lock()
	var one *sending
	if len(c.unsent) > 0 && c.greeted {
		one, c.unsent = c.unsent[0], c.unsent[1:]
	}
	c.mutex.Unlock()
	if one != nil {
		c.submit(one)
	}
}

// failed takes an error: of a send, or, before the welcome, of the hello itself, which ends the connection.
func (c *client) failed(frame []byte, now time.Time) error {
	var reply struct {
		Id    int64
		Error struct {
			Reason     string
			Retryable  bool
			RetryAfter string
		}
	}
	if err := json.Unmarshal(frame, &reply); err != nil {
		return err
	}
	after, _ := time.ParseDuration(reply.Error.RetryAfter)
	one := c.answered(frame)
	if one == nil {
		c.mutex.Lock()
		greeted := c.greeted
		c.mutex.Unlock()
		if greeted {
			return nil
		}
		return &refusal{kind: c.closeCode(reply.Error.Reason), after: after}
	}
	wait, again := one.label.refused(one, reply.Error.Reason, reply.Error.Retryable, after, now)
	if again {
		c.mutex.Lock()
		c.resting++
		c.mutex.Unlock()
		time.AfterFunc(wait, func() {
			c.mutex.Lock()
			c.resting--
			c.mutex.Unlock()
			c.submit(one)
		})
	}
	c.next()
	return nil
}

// closeCode reads on to the close frame behind an error.
func (c *client) closeCode(reason string) string {
	for {
		if _, err := c.socket.receive(nil); err != nil {
			_, code, _ := strings.Cut(err.Error(), closedText)
			return strings.TrimSpace(code + " " + reason)
		}
	}
}
