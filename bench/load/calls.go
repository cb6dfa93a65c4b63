package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// A callsFile says which unary calls to make, one after the other over one connection.
type callsFile struct {
	Address string
	Method  string
	// The first so many are not counted.
	Warm int
	// Every reply must hold this text so many times.
	Mark  string
	Marks int
	Calls []struct {
		Token string
		Body  json.RawMessage
	}
}

// runCalls prints how long each call took, and how many were answered with something else.
func runCalls(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var file callsFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return err
	}
	took, wrong, size := []int32{}, 0, 0
	web := &http.Client{Timeout: 60 * time.Second}
	for number, one := range file.Calls {
		began := time.Now()
		reply, err := call(web, file, one.Token, one.Body)
		if err != nil {
			return err
		}
		if number < file.Warm {
			continue
		}
		took = append(took, int32(time.Since(began)/time.Microsecond))
		size += len(reply)
		if bytes.Count(reply, []byte(file.Mark)) != file.Marks {
			wrong++
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"calls": len(took), "wrong": wrong, "millis": quantiles(took), "replyBytes": size / max(1, len(took)),
	})
}

func call(web *http.Client, file callsFile, token string, body []byte) ([]byte, error) {
	url := "http://" + file.Address + "/api/" + file.Method
	post, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	post.Header.Set("content-type", "application/json")
	post.Header.Set("authorization", "Bearer "+token)
	answer, err := web.Do(post)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", file.Method, answer.Status, text)
	}
	return text, err
}

func uuid() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
