package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const connectingAtOnce = 8

// A place is a room and who is in it; every room of a load has as many members.
type place struct {
	Room   string
	Tokens []string
}

type settings struct {
	address       string
	floor         bool
	rooms         []place
	rate, text    int
	warm, measure time.Duration
	// How long what is missing is waited for at the end.
	settle time.Duration
}

func (s *settings) people() int { return len(s.rooms[0].Tokens) }

// A message that was sent: when it was due, and when its answer came (nanoseconds since the start).
type message struct {
	due   int64
	acked atomic.Int64
}

// A run sends at a fixed rate (open loop: a send leaves when it is due, whatever the answers do) and
// checks every delivery: none lost, none twice, one order per room.
type run struct {
	settings
	start    time.Time
	messages []message
	sends    atomic.Int64
	acks     atomic.Int64
	refused  atomic.Int64
	reasons  sync.Map
	closed   atomic.Int64
	over     atomic.Bool
	first    int
	spent    time.Duration
	// Begins every text of this run.
	tag []byte
}

func readPlace(path string) ([]place, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rooms []place
	if err := json.Unmarshal(raw, &rooms); err != nil {
		return nil, err
	}
	for _, one := range rooms {
		if len(one.Tokens) == 0 || len(one.Tokens) != len(rooms[0].Tokens) {
			return nil, errors.New("the rooms of a place have the same number of members, at least one")
		}
	}
	return rooms, nil
}

// floorRooms names rooms as long as the product does, so that the frames are as long.
func floorRooms(count, people int) []place {
	rooms := make([]place, count)
	for number := range rooms {
		rooms[number] = place{strconv.FormatInt(floorID+int64(number), 10), make([]string, people)}
	}
	return rooms
}

// measure prints `begin` and `end` around the measured time, so that the caller can count the servers'
// CPU between them, and then one JSON object.
func measure(s settings) error {
	interval := time.Second / time.Duration(s.rate)
	total := int((s.warm + s.measure) / interval)
	r := &run{settings: s, messages: make([]message, total), first: int(s.warm / interval)}
	r.tag = []byte(uuid()[:8] + " ")
	members, err := connect(r)
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
	r.settled(members)
	r.spent = used() - r.spent
	fmt.Println("end")
	r.over.Store(true)
	for _, m := range members {
		m.socket.conn.Close()
	}
	readers.Wait()
	return r.report(members)
}

// connect brings everybody in, in the order of their rooms, a few at once.
func connect(r *run) ([]*member, error) {
	people := r.people()
	members := make([]*member, len(r.rooms)*people)
	failures := make(chan error, len(members))
	turns := make(chan int)
	var workers sync.WaitGroup
	for range connectingAtOnce {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for number := range turns {
				made, err := join(r, number/people, number%people)
				if err != nil {
					failures <- err
				}
				members[number] = made
			}
		}()
	}
	for number := range members {
		turns <- number
	}
	close(turns)
	workers.Wait()
	close(failures)
	return members, <-failures
}

func (r *run) send(members []*member, interval time.Duration) {
	for number := range r.messages {
		due := time.Duration(number) * interval
		if wait := due - time.Since(r.start); wait > 0 {
			time.Sleep(wait)
		}
		if number == r.first {
			fmt.Println("begin")
			r.spent = used()
		}
		m := members[number%len(r.rooms)*r.people()+r.author(number)]
		r.messages[number].due = int64(due)
		head := fmt.Sprintf("%s%d ", r.tag, number)
		text := append([]byte(head), bytes.Repeat([]byte("x"), max(0, r.text-len(head)))...)
		if m.socket.send(r.frame(m, number, text)) == nil {
			r.sends.Add(1)
		}
	}
}

func (r *run) author(number int) int { return number / len(r.rooms) % r.people() }

// frame is what a client sends; the floor passes it on as it is, so there it is the event itself.
func (r *run) frame(m *member, number int, text []byte) []byte {
	if r.floor {
		return fmt.Appendf(nil, floorEvent, m.room, uuid(), text)
	}
	return fmt.Appendf(nil, `{"id":%d,"send":{"roomId":"%s","requestId":"%s","text":"%s"}}`,
		number+2, m.room, uuid(), text)
}

// settled waits until everything that was sent is answered and delivered.
func (r *run) settled(members []*member) {
	for end := time.Now().Add(r.settle); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		delivered := int64(0)
		for _, m := range members {
			delivered += m.received.Load()
		}
		if r.acks.Load()+r.refused.Load() >= r.sends.Load() && delivered >= r.acks.Load()*int64(r.people()) {
			return
		}
	}
}

// used is the CPU time of this process so far.
func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func (r *run) report(members []*member) error {
	delivered, twice, holes, gapped, bytes := int64(0), int64(0), int64(0), int64(0), int64(0)
	latencies, acks := []int32{}, []int32{}
	for _, m := range members {
		delivered, twice, holes = delivered+m.received.Load(), twice+m.twice, holes+m.holes
		gapped, bytes = gapped+m.gapped, bytes+m.bytes
		latencies = append(latencies, m.latencies...)
	}
	for n := r.first; n < len(r.messages); n++ {
		if acked := r.messages[n].acked.Load(); acked > 0 {
			acks = append(acks, int32((acked-r.messages[n].due)/1000))
		}
	}
	reasons := map[string]int64{}
	r.reasons.Range(func(reason, count any) bool {
		reasons[reason.(string)] = count.(*atomic.Int64).Load()
		return true
	})
	sends, answered := r.sends.Load(), r.acks.Load()
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"rooms": len(r.rooms), "members": r.people(), "rate": r.rate, "textBytes": r.text,
		"sends": sends, "acks": answered, "refused": r.refused.Load(), "reasons": reasons,
		"unanswered": sends - answered - r.refused.Load(), "unsent": int64(len(r.messages)) - sends,
		"deliveries": delivered, "lost": answered*int64(r.people()) - delivered,
		"twice": twice, "holes": holes, "gapped": gapped, "closed": r.closed.Load(),
		"measuredMessages":    len(r.messages) - r.first,
		"eventBytes":          bytes / max(1, delivered),
		"deliverMillis":       quantiles(latencies),
		"ackMillis":           quantiles(acks),
		"generatorCpuSeconds": r.spent.Seconds(),
	})
}
