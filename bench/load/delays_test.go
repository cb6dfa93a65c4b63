package main

import (
	"math"
	"testing"
	"time"
)

func TestEveryDelayIsFoundWithinOnePercent(t *testing.T) {
	for micros := uint64(1); micros < 3_600_000_000; micros += 1 + micros/97 {
		if found := middle(bucket(micros)); math.Abs(found-float64(micros)) > max(0.5, 0.01*float64(micros)) {
			t.Fatalf("%d us became %f", micros, found)
		}
	}
}

func TestSpreadIsThatOfAList(t *testing.T) {
	counted, listed := &delays{}, []float64{}
	for micros := range 5000 {
		counted.add(time.Duration(micros) * time.Microsecond)
		listed = append(listed, float64(micros)/1e6)
	}
	of, want := counted.spread(), spread(listed)
	for name := range want {
		if math.Abs(of[name]-want[name]) > 0.01*want[name] {
			t.Errorf("%s is %f and should be %f", name, of[name], want[name])
		}
	}
	if empty := (&delays{}).spread(); empty["count"] != 0 || len(empty) != 1 {
		t.Errorf("nothing counted gives %v", empty)
	}
}
