package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

var counted = []string{"holes", "twice", "gaps", "skips", "events", "joins", "closed", "frames", "bytes"}

// figures is what the whole crowd counts; every method may be called by every client.
type figures struct {
	counts  map[string]*atomic.Int64 // of names; the map itself never changes
	mutex   sync.Mutex
	refused map[string]int64
	stormed time.Time
	back    []float64
	slowest float64
	acks    []ack
	highest map[int64]int64
}

// An ack is a send that was answered `sent`.
type ack struct {
	room, sequence int64
	requestID      string
}

func newFigures() *figures {
	made := &figures{counts: map[string]*atomic.Int64{}, refused: map[string]int64{}, highest: map[int64]int64{}}
	for _, name := range counted {
		made.counts[name] = &atomic.Int64{}
	}
	return made
}

// storm begins to count the time until clients are back.
func (f *figures) storm(now time.Time) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.stormed, f.back, f.slowest, f.refused = now, nil, 0, map[string]int64{}
}

func (f *figures) add(name string, by int64) { f.counts[name].Add(by) }

// refusal counts an attempt to connect that was answered with no, and how long that took.
func (f *figures) refusal(kind string, after time.Duration) {
	f.mutex.Lock()
	f.refused[kind]++
	f.slowest = max(f.slowest, after.Seconds())
	f.mutex.Unlock()
}

func (f *figures) caughtUp(now time.Time) {
	f.mutex.Lock()
	f.back = append(f.back, now.Sub(f.stormed).Seconds())
	f.mutex.Unlock()
}

func (f *figures) acknowledge(done ack) {
	f.mutex.Lock()
	f.acks = append(f.acks, done)
	f.highest[done.room] = max(f.highest[done.room], done.sequence)
	f.mutex.Unlock()
}

func (f *figures) acknowledged() []ack {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return slices.Clone(f.acks)
}

// heads gives the highest acknowledged sequence of each room.
func (f *figures) heads() map[int64]int64 {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	copied := map[int64]int64{}
	for room, head := range f.highest {
		copied[room] = head
	}
	return copied
}

func (f *figures) report() map[string]any {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	report := map[string]any{
		"refused": copyOf(f.refused), "slowestRefusalSeconds": f.slowest, "backSeconds": spread(f.back),
		"acknowledged": len(f.acks),
	}
	for name, count := range f.counts {
		report[name] = count.Load()
	}
	return report
}

func copyOf(counts map[string]int64) map[string]int64 {
	copied := map[string]int64{}
	for name, count := range counts {
		copied[name] = count
	}
	return copied
}

func spread(values []float64) map[string]float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	result := map[string]float64{"count": float64(len(sorted))}
	for name, share := range map[string]float64{"p50": 0.5, "p99": 0.99, "max": 1} {
		if len(sorted) > 0 {
			result[name] = sorted[int(share*float64(len(sorted)-1))]
		}
	}
	return result
}
