package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// A person is a registered user with an access token.
type person struct {
	id    string
	name  string
	token string
}

var web = &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

func call(base, method, token string, request any, reply any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		post, err := http.NewRequest("POST", base+"/api/"+method, bytes.NewReader(body))
		if err != nil {
			return err
		}
		post.Header.Set("content-type", "application/json")
		if token != "" {
			post.Header.Set("authorization", "Bearer "+token)
		}
		answer, err := web.Do(post)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return err
		}
		if answer.StatusCode == http.StatusOK {
			return json.Unmarshal(text, reply)
		}
		if attempt == 5 || (answer.StatusCode != 429 && answer.StatusCode != 503) {
			return fmt.Errorf("%s: %s %s", method, answer.Status, text)
		}
		time.Sleep(time.Duration(attempt+1) * 300 * time.Millisecond)
	}
}

// register makes people, a few at once: a password costs the server some 20 ms of CPU.
func register(base, prefix string, count int) ([]person, error) {
	people := make([]person, count)
	failures := make(chan error, count)
	turns := make(chan int)
	var workers sync.WaitGroup
	for range 4 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for number := range turns {
				var reply struct {
					User        struct{ UserId string }
					AccessToken string
				}
				name := fmt.Sprintf("%s-%d", prefix, number)
				request := map[string]string{"username": name, "password": "a password for " + name}
				if err := call(base, "polychat.auth.v1.AuthService/Register", "", request, &reply); err != nil {
					failures <- err
					continue
				}
				people[number] = person{reply.User.UserId, name, reply.AccessToken}
			}
		}()
	}
	for number := range count {
		turns <- number
	}
	close(turns)
	workers.Wait()
	close(failures)
	return people, <-failures
}

// open makes a group of these people; the first owns it.
func open(base, requestId, title string, people []person) (string, error) {
	var reply struct{ Room struct{ RoomId string } }
	owner := people[0].token
	create := map[string]string{"requestId": requestId, "title": title, "kind": "ROOM_KIND_GROUP"}
	if err := call(base, "polychat.chat.v1.RoomService/CreateRoom", owner, create, &reply); err != nil {
		return "", err
	}
	for start := 1; start < len(people); start += 50 {
		ids := []string{}
		for _, one := range people[start:min(start+50, len(people))] {
			ids = append(ids, one.id)
		}
		add := map[string]any{"roomId": reply.Room.RoomId, "userIds": ids}
		if err := call(base, "polychat.chat.v1.MembershipService/AddMembers", owner, add, &struct{}{}); err != nil {
			return "", err
		}
	}
	return reply.Room.RoomId, nil
}

func uuid() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
