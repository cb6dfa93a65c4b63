package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A label is one stream of sends: so many a second into some rooms, open loop, and what became of them.
type label struct {
	name     string
	attempts int
	filling  string
	stopped  chan struct{}
	delivery atomic.Pointer[delays] // apart from the window: it is added to for every frame that comes
	late     atomic.Pointer[delays] // from when a send was due to when it was written: our own doing
	mutex    sync.Mutex
	window   window
}

// A window is what a label counts between two `measure`.
type window struct {
	began     time.Time
	offered   int64
	heldBack  int64
	acks      int64
	duplicate int64
	givenUp   int64
	errors    map[string]int64
	ack       []float64
	refusal   []float64
}

// A sending is one message from the moment it was due to its end.
type sending struct {
	label     *label
	room      int64
	requestID string
	due       time.Time
	written   time.Time
	tries     int
}

func newWindow() window { return window{began: time.Now(), errors: map[string]int64{}} }

func (c *crowd) send(order command) (any, error) {
	made := &label{
		name: order.Label, attempts: max(1, order.Attempts), filling: strings.Repeat("x", order.Text),
		stopped: make(chan struct{}), window: newWindow(),
	}
	made.delivery.Store(&delays{})
	made.late.Store(&delays{})
	if _, taken := c.labels.LoadOrStore(order.Label, made); taken {
		return nil, fmt.Errorf("label %q is in use", order.Label)
	}
	rooms := []int64{}
	for _, text := range order.Rooms {
		room, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, err
		}
		rooms = append(rooms, room)
	}
	go c.offer(made, rooms, order.Rate)
	return map[string]any{"label": order.Label}, nil
}

// offer sends when it is due, whatever the answers do.
func (c *crowd) offer(made *label, rooms []int64, rate float64) {
	began := time.Now()
	for number := 0; ; number++ {
		due := began.Add(time.Duration(float64(number) / rate * float64(time.Second)))
		select {
		case <-made.stopped:
			return
		case <-time.After(time.Until(due)):
		}
		room := rooms[number%len(rooms)]
		members := c.members[room]
		one := members[number/len(rooms)%len(members)]
		made.count(func(w *window) { w.offered++ })
		if !one.submit(&sending{label: made, room: room, requestID: uuid(), due: due}) {
			made.count(func(w *window) { w.heldBack++ })
		}
	}
}

func (c *crowd) label(name string) (*label, error) {
	found, there := c.labels.Load(name)
	if !there {
		return nil, fmt.Errorf("there is no label %q", name)
	}
	return found.(*label), nil
}

// stop ends the sending; what is under way goes on. The name is free again.
func (c *crowd) stop(name string) (any, error) {
	found, err := c.label(name)
	if err != nil {
		return nil, err
	}
	c.labels.Delete(name)
	close(found.stopped)
	return found.take(), nil
}

func (c *crowd) measure(name string) (any, error) {
	found, err := c.label(name)
	if err != nil {
		return nil, err
	}
	return found.take(), nil
}

func (l *label) count(change func(*window)) {
	l.mutex.Lock()
	change(&l.window)
	l.mutex.Unlock()
}

// take gives what was counted since the last time, and begins anew.
func (l *label) take() map[string]any {
	l.mutex.Lock()
	w := l.window
	l.window = newWindow()
	l.mutex.Unlock()
	delivery, late := l.delivery.Swap(&delays{}), l.late.Swap(&delays{})
	return map[string]any{
		"seconds": time.Since(w.began).Seconds(), "offered": w.offered, "heldBack": w.heldBack,
		"acks": w.acks, "duplicates": w.duplicate, "givenUp": w.givenUp, "errors": w.errors,
		"ackSeconds": spread(w.ack), "deliverySeconds": delivery.spread(), "refusalSeconds": spread(w.refusal),
		"lateSeconds": late.spread(),
	}
}

func (l *label) delivered(due, now time.Time) { l.delivery.Load().add(now.Sub(due)) }

func (l *label) acked(s *sending, now time.Time, duplicate bool) {
	l.count(func(w *window) {
		w.acks++
		if duplicate {
			w.duplicate++
		}
		w.ack = append(w.ack, now.Sub(s.due).Seconds())
	})
}

// refused counts an error; it gives the wait before the next attempt, or false when there is none.
func (l *label) refused(s *sending, reason string, retryable bool, after time.Duration, now time.Time) (time.Duration, bool) {
	s.tries++
	again := retryable && s.tries < l.attempts
	l.count(func(w *window) {
		w.errors[reason]++
		w.refusal = append(w.refusal, now.Sub(s.written).Seconds())
		if !again {
			w.givenUp++
		}
	})
	after = max(after, 100*time.Millisecond<<min(s.tries, 6))
	return after + time.Duration(rand.Float64()*float64(after)), again
}

// text says which label a message is of and when it was due, so that every receiver can measure.
func (s *sending) text(start time.Time) string {
	return fmt.Sprintf("@%s %d %s", s.label.name, s.due.Sub(start).Nanoseconds(), s.label.filling)
}
