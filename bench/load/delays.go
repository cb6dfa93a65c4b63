package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// delays counts many durations without a lock, each within 1 % of what it was: 64 buckets for each power of
// two of microseconds.
type delays struct {
	buckets [48 << 6]atomic.Int64
	longest atomic.Int64
}

func (d *delays) add(delay time.Duration) {
	micros := max(0, delay.Microseconds())
	d.buckets[bucket(uint64(micros))].Add(1)
	for longest := d.longest.Load(); micros > longest && !d.longest.CompareAndSwap(longest, micros); {
		longest = d.longest.Load()
	}
}

func bucket(micros uint64) int {
	shift := max(0, bits.Len64(micros)-7)
	return shift<<6 + int(micros>>shift)
}

// middle is the number of microseconds in the middle of a bucket.
func middle(bucket int) float64 {
	shift := max(0, bucket>>6-1)
	return (float64(bucket-shift<<6) + 0.5) * float64(int64(1)<<shift)
}

// spread says in seconds what was counted, as the function of the same name does for a list.
func (d *delays) spread() map[string]float64 {
	counts, count := make([]int64, len(d.buckets)), int64(0)
	for index := range d.buckets {
		counts[index] = d.buckets[index].Load()
		count += counts[index]
	}
	result := map[string]float64{"count": float64(count)}
	if count == 0 {
		return result
	}
	result["max"] = float64(d.longest.Load()) / 1e6
	for name, share := range map[string]float64{"p50": 0.5, "p99": 0.99} {
		rank, index := int64(share*float64(count-1)), 0
		for rank -= counts[0]; rank >= 0; rank -= counts[index] {
			index++
		}
		result[name] = min(middle(index)/1e6, result["max"])
	}
	return result
}
