// The clients of every measurement, in a process of their own: a load at a fixed rate (this file,
// load.go, member.go), a crowd that does what it is told (crowd.go), unary calls (calls.go).
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "crowd" {
		end(runCrowd(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == "calls" {
		end(runCalls(os.Args[2]))
	}
	var s settings
	var place string
	var rooms, people int
	flag.StringVar(&s.address, "address", "127.0.0.1:8080", "host:port of the edges")
	flag.StringVar(&place, "place", "", "file with the rooms and their members' access tokens")
	flag.BoolVar(&s.floor, "floor", false, "load bench/floor/floor.c, which needs no place")
	flag.IntVar(&rooms, "rooms", 20, "rooms, at the floor")
	flag.IntVar(&people, "members", 50, "members of each room, at the floor")
	flag.IntVar(&s.rate, "rate", 200, "messages a second, over all rooms")
	flag.IntVar(&s.text, "text", 128, "bytes of a text")
	flag.DurationVar(&s.warm, "warm", 10*time.Second, "sending before the measured time")
	flag.DurationVar(&s.measure, "measure", 20*time.Second, "measured time")
	flag.DurationVar(&s.settle, "settle", 10*time.Second, "wait for what is missing at the end")
	flag.Parse()
	if s.floor {
		s.rooms = floorRooms(rooms, people)
	} else {
		read, err := readPlace(place)
		if err != nil {
			end(err)
		}
		s.rooms = read
	}
	end(measure(s))
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
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
