package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// socket is as little of a WebSocket client (RFC 6455) as a load generator needs: text frames, no
// fragments from us, a masking key of zero (allowed by §5.3, and it costs nothing to apply).
type socket struct {
	conn   net.Conn
	reader *bufio.Reader
	write  sync.Mutex
	buffer []byte
}

const closedText = "closed by the server with "

// A refusal is an answer that is no, and when to ask again (0: not said).
type refusal struct {
	kind  string
	after time.Duration
}

func (r *refusal) Error() string { return "refused: " + r.kind }

func refusedBy(response *http.Response) *refusal {
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
	return &refusal{strconv.Itoa(response.StatusCode), time.Duration(seconds) * time.Second}
}

func dial(address string) (*socket, error) { return dialPath(address, "/ws") }

func dialPath(address, path string) (*socket, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Protocol: polychat.v1.json\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		conn.Close()
		return nil, err
	}
	reader := bufio.NewReaderSize(conn, 8192)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		conn.Close()
		return nil, refusedBy(response)
	}
	return &socket{conn: conn, reader: reader}, nil
}

func (s *socket) send(text []byte) error {
	s.write.Lock()
	defer s.write.Unlock()
	b := append(s.buffer[:0], 0x81)
	switch {
	case len(text) < 126:
		b = append(b, 0x80|byte(len(text)))
	case len(text) < 1<<16:
		b = append(b, 0x80|126, byte(len(text)>>8), byte(len(text)))
	default:
		return errors.New("the frame is too long for a load generator")
	}
	b = append(b, 0, 0, 0, 0)
	b = append(b, text...)
	s.buffer = b
	_, err := s.conn.Write(b)
	return err
}

// receive gives the payload of the next text frame; it is valid until the next call.
func (s *socket) receive(into []byte) ([]byte, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(s.reader, head[:]); err != nil {
			return nil, err
		}
		length := uint64(head[1] & 0x7f)
		switch length {
		case 126:
			var extended [2]byte
			if _, err := io.ReadFull(s.reader, extended[:]); err != nil {
				return nil, err
			}
			length = uint64(binary.BigEndian.Uint16(extended[:]))
		case 127:
			var extended [8]byte
			if _, err := io.ReadFull(s.reader, extended[:]); err != nil {
				return nil, err
			}
			length = binary.BigEndian.Uint64(extended[:])
		}
		if uint64(cap(into)) < length {
			into = make([]byte, length)
		}
		into = into[:length]
		if _, err := io.ReadFull(s.reader, into); err != nil {
			return nil, err
		}
		switch head[0] & 0x0f {
		case 0x1:
			return into, nil
		case 0x8:
			code := uint16(0)
			if length >= 2 {
				code = binary.BigEndian.Uint16(into)
			}
			return nil, fmt.Errorf("%s%d", closedText, code)
		}
	}
}
