package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

const textMark = `"text":"`

// floorID and floorEvent look like what the product sends, so that a frame of the floor is as long (the
// actor makes good for the zeros, which the floor writes the sequence over).
const floorID = 290_000_000_000_000_000
const floorEvent = `{"event":{"roomId":"%s","sequence":"000000000000","createTime":"2026-01-01T00:00:00.000Z",` +
	`"actorUserId":"290000000","requestId":"%s","messageCreated":{"message":` +
	`{"messageId":"290000000000000000","messageNumber":"1","senderUserId":"290000000000000000","text":"%s"}}}}`

// A member is one connection and what it saw of its room.
type member struct {
	run       *run
	socket    *socket
	room      string
	place     int
	sequence  int64
	received  atomic.Int64
	bytes     int64
	twice     int64
	holes     int64
	gapped    int64
	latencies []int32
}

// join connects the member with this place in the room.
func join(r *run, room, place int) (*member, error) {
	m := &member{run: r, room: r.rooms[room].Room, place: place}
	var err error
	if r.floor {
		m.socket, err = dialPath(r.address, fmt.Sprintf("/room/%d", room))
		return m, err
	}
	if m.socket, err = dial(r.address); err != nil {
		return nil, err
	}
	hello := fmt.Sprintf(`{"id":1,"hello":{"accessToken":%q,"client":"load/1","rooms":[]}}`,
		r.rooms[room].Tokens[place])
	if err := m.socket.send([]byte(hello)); err != nil {
		return nil, err
	}
	raw, err := m.socket.receive(nil)
	if err != nil {
		return nil, err
	}
	return m, m.welcome(raw)
}

func (m *member) welcome(raw []byte) error {
	var reply struct {
		Welcome *struct {
			Rooms []struct{ RoomId, HeadSequence string }
		}
	}
	if err := json.Unmarshal(raw, &reply); err != nil || reply.Welcome == nil {
		return fmt.Errorf("no welcome: %s", raw)
	}
	for _, state := range reply.Welcome.Rooms {
		if state.RoomId == m.room {
			var err error
			m.sequence, err = strconv.ParseInt(state.HeadSequence, 10, 64)
			return err
		}
	}
	return fmt.Errorf("room %s is not in a welcome", m.room)
}

func (m *member) read() {
	buffer := make([]byte, 4096)
	for {
		frame, err := m.socket.receive(buffer)
		if err != nil {
			if !m.run.over.Load() {
				m.run.closed.Add(1)
			}
			return
		}
		m.take(frame)
	}
}

func (m *member) take(frame []byte) {
	now := int64(time.Since(m.run.start))
	head := frame[:min(len(frame), 40)]
	switch {
	case bytes.HasPrefix(frame, []byte(`{"event":`)):
		m.event(frame, now)
	case bytes.Contains(head, []byte(`"sent":`)):
		m.run.acked(int(number(frame, `"id":`)-2), now)
	case bytes.Contains(head, []byte(`"error":`)):
		m.run.refuse(frame)
	case bytes.HasPrefix(frame, []byte(`{"gap":`)):
		to := number(frame, `"headSequence":"`)
		m.gapped += max(0, to-m.sequence)
		m.sequence = max(to, m.sequence)
	case bytes.HasPrefix(frame, []byte(`{"ping":`)):
		m.socket.send([]byte(`{"pong":{}}`))
	}
}

func (r *run) refuse(frame []byte) {
	if r.refused.Add(1) == 1 {
		fmt.Fprintf(os.Stderr, "the first refusal: %s\n", frame)
	}
	reason := "?"
	if _, rest, found := bytes.Cut(frame, []byte(`"reason":"`)); found {
		name, _, _ := bytes.Cut(rest, []byte(`"`))
		reason = string(name)
	}
	count, _ := r.reasons.LoadOrStore(reason, &atomic.Int64{})
	count.(*atomic.Int64).Add(1)
}

func (r *run) acked(sent int, now int64) {
	r.messages[sent].acked.Store(now)
	r.acks.Add(1)
}

func (m *member) event(frame []byte, now int64) {
	if !bytes.Contains(frame, []byte(m.room)) {
		return
	}
	sequence := number(frame, `"sequence":"`)
	switch {
	case sequence <= m.sequence:
		m.twice++
		return
	case sequence > m.sequence+1:
		m.holes += sequence - m.sequence - 1
	}
	m.sequence = sequence
	text := bytes.Index(frame, []byte(textMark))
	if text < 0 || !bytes.HasPrefix(frame[text+len(textMark):], m.run.tag) {
		return // no message, or a late one of the run before
	}
	m.bytes += int64(len(frame))
	sent := int(number(frame[text+len(textMark):], string(m.run.tag)))
	if m.run.floor && m.run.author(sent) == m.place {
		m.run.acked(sent, now) // the floor answers with the message itself
	}
	if sent >= m.run.first {
		m.latencies = append(m.latencies, int32((now-m.run.messages[sent].due)/1000))
	}
	m.received.Add(1)
}

// number reads the digits behind a mark.
func number(frame []byte, mark string) int64 {
	at := bytes.Index(frame, []byte(mark))
	value := int64(0)
	for _, c := range frame[at+len(mark):] {
		if c < '0' || c > '9' {
			break
		}
		value = value*10 + int64(c-'0')
	}
	return value
}
