// Load for one scenario: registers people, opens rooms, connects everybody, then sends at a fixed rate
// (open loop: a send leaves when it is due, whatever the answers do) and checks every delivery: none
// lost, none twice, one order per room. Prints `begin` and `end` around the measured time, so that the
// caller can count the servers' CPU between them, and then one JSON object.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type settings struct {
	address       string
	rooms, people int
	rate, text    int
	warm, measure time.Duration
}

// A message that was sent: when it was due, and when its answer came (nanoseconds since the start).
type message struct {
	due   int64
	acked atomic.Int64
}

type run struct {
	settings
	start    time.Time
	messages []message
	sends    atomic.Int64
	acks     atomic.Int64
	refused  atomic.Int64
	first    int
	last     int
}

// A member is one connection and what it saw of its room.
type member struct {
	run       *run
	socket    *socket
	room      string
	sequence  int64
	received  int64
	twice     int64
	holes     int64
	latencies []int32
	failure   error
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "crowd" {
		end(runCrowd(os.Args[2]))
	}
	var s settings
	flag.StringVar(&s.address, "address", "127.0.0.1:8080", "host:port of the edges")
	flag.IntVar(&s.rooms, "rooms", 20, "rooms")
	flag.IntVar(&s.people, "members", 50, "members of each room")
	flag.IntVar(&s.rate, "rate", 200, "messages a second, over all rooms")
	flag.IntVar(&s.text, "text", 128, "bytes of a text")
	flag.DurationVar(&s.warm, "warm", 10*time.Second, "sending before the measured time")
	flag.DurationVar(&s.measure, "measure", 20*time.Second, "measured time")
	flag.Parse()
	end(measure(s))
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func measure(s settings) error {
	base := "http://" + s.address
	people, err := register(base, "load-"+uuid()[:8], s.rooms*s.people)
	if err != nil {
		return err
	}
	interval := time.Second / time.Duration(s.rate)
	total := int((s.warm + s.measure) / interval)
	r := &run{settings: s, messages: make([]message, total), first: int(s.warm / interval), last: total}
	members, err := connect(r, base, people)
	if err != nil {
		return err
	}
	var readers sync.WaitGroup
	r.start = time.Now()
	for _, m := range members {
		readers.Add(1)
		go func() { defer readers.Done(); m.read() }()
	}
	r.send(members, interval)
	settle(r, members)
	fmt.Println("end")
	for _, m := range members {
		m.socket.conn.Close()
	}
	readers.Wait()
	return r.report(members)
}

func connect(r *run, base string, people []person) ([]*member, error) {
	members := []*member{}
	for number := range r.rooms {
		crowd := people[number*r.people : (number+1)*r.people]
		room, err := open(base, uuid(), fmt.Sprintf("load %d", number), crowd)
		if err != nil {
			return nil, err
		}
		for _, one := range crowd {
			m, err := join(r, room, one)
			if err != nil {
				return nil, err
			}
			members = append(members, m)
		}
	}
	return members, nil
}

func join(r *run, room string, one person) (*member, error) {
	socket, err := dial(r.address)
	if err != nil {
		return nil, err
	}
	hello := fmt.Sprintf(`{"id":1,"hello":{"accessToken":%q,"client":"load/1","rooms":[]}}`, one.token)
	if err := socket.send([]byte(hello)); err != nil {
		return nil, err
	}
	raw, err := socket.receive(nil)
	if err != nil {
		return nil, err
	}
	var reply struct {
		Welcome *struct {
			Rooms []struct{ RoomId, HeadSequence string }
		}
	}
	if err := json.Unmarshal(raw, &reply); err != nil || reply.Welcome == nil {
		return nil, fmt.Errorf("no welcome: %s", raw)
	}
	m := &member{run: r, socket: socket, room: room}
	for _, state := range reply.Welcome.Rooms {
		if state.RoomId == room {
			m.sequence, err = strconv.ParseInt(state.HeadSequence, 10, 64)
		}
	}
	if m.sequence == 0 {
		return nil, fmt.Errorf("room %s is not in the welcome of %s", room, one.name)
	}
	return m, err
}

func (r *run) send(members []*member, interval time.Duration) {
	for number := range r.messages {
		due := time.Duration(number) * interval
		if wait := due - time.Since(r.start); wait > 0 {
			time.Sleep(wait)
		}
		if number == r.first {
			fmt.Println("begin")
		}
		room := number % r.rooms
		m := members[room*r.people+(number/r.rooms)%r.people]
		r.messages[number].due = int64(due)
		head := fmt.Sprintf("%d ", number)
		frame := fmt.Appendf(nil, `{"id":%d,"send":{"roomId":"%s","requestId":"%s","text":"%s%s"}}`,
			number+2, m.room, uuid(), head, bytes.Repeat([]byte("x"), max(0, r.text-len(head))))
		if m.socket.send(frame) == nil {
			r.sends.Add(1)
		}
	}
}

// settle waits until everything that was sent is answered and delivered, at most ten seconds.
func settle(r *run, members []*member) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		delivered := int64(0)
		for _, m := range members {
			delivered += atomic.LoadInt64(&m.received)
		}
		if r.acks.Load()+r.refused.Load() >= r.sends.Load() && delivered >= r.acks.Load()*int64(r.people) {
			return
		}
	}
}

func (m *member) read() {
	buffer := make([]byte, 4096)
	for {
		frame, err := m.socket.receive(buffer)
		if err != nil {
			m.failure = err
			return
		}
		m.take(frame)
	}
}

func (m *member) take(frame []byte) {
	now := int64(time.Since(m.run.start))
	switch {
	case bytes.HasPrefix(frame, []byte(`{"event":`)):
		m.event(frame, now)
	case bytes.Contains(frame[:min(len(frame), 40)], []byte(`"sent":`)):
		m.run.messages[number(frame, `"id":`)-2].acked.Store(now)
		m.run.acks.Add(1)
	case bytes.Contains(frame[:min(len(frame), 40)], []byte(`"error":`)):
		m.run.refused.Add(1)
		fmt.Fprintf(os.Stderr, "%s\n", frame)
	case bytes.HasPrefix(frame, []byte(`{"ping":`)):
		m.socket.send([]byte(`{"pong":{}}`))
	}
}

func (m *member) event(frame []byte, now int64) {
	sequence := number(frame, `"sequence":"`)
	if !bytes.Contains(frame, []byte(m.room)) || !bytes.Contains(frame, []byte(`"text":"`)) {
		return
	}
	switch {
	case sequence <= m.sequence:
		m.twice++
		return
	case sequence > m.sequence+1:
		m.holes += sequence - m.sequence - 1
	}
	m.sequence = sequence
	atomic.AddInt64(&m.received, 1)
	if sent := int(number(frame, `"text":"`)); sent >= m.run.first {
		m.latencies = append(m.latencies, int32((now-m.run.messages[sent].due)/1000))
	}
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

func (r *run) report(members []*member) error {
	delivered, twice, holes := int64(0), int64(0), int64(0)
	latencies, acks := []int32{}, []int32{}
	for _, m := range members {
		delivered, twice, holes = delivered+m.received, twice+m.twice, holes+m.holes
		latencies = append(latencies, m.latencies...)
	}
	for n := r.first; n < r.last; n++ {
		if acked := r.messages[n].acked.Load(); acked > 0 {
			acks = append(acks, int32((acked-r.messages[n].due)/1000))
		}
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"rooms": r.rooms, "members": r.people, "rate": r.rate, "textBytes": r.text,
		"sends": r.sends.Load(), "acks": r.acks.Load(), "refused": r.refused.Load(),
		"deliveries": delivered, "lost": r.acks.Load()*int64(r.people) - delivered, "twice": twice, "holes": holes,
		"measuredMessages":    r.last - r.first,
		"deliverMillis":       quantiles(latencies),
		"ackMillis":           quantiles(acks),
		"generatorCpuSeconds": float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9,
	})
}

func quantiles(micros []int32) map[string]float64 {
	slices.Sort(micros)
	result := map[string]float64{}
	for name, share := range map[string]float64{"p50": 0.5, "p99": 0.99, "max": 1} {
		if len(micros) > 0 {
			result[name] = float64(micros[int(share*float64(len(micros)-1))]) / 1000
		}
	}
	return result
}
