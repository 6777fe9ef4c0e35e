package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

const maxBody = 16 << 20

// A request as it came; headers by lower-case name. Valid until the next one is read.
type request struct {
	method, target string
	headers        map[string]string
	body           []byte
	expects        bool
	closes         bool
}

// read reads the next request of a connection into r; out gets "100 Continue" where it is awaited.
func (r *request) read(in *bufio.Reader, out io.Writer) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	words := strings.Fields(string(line))
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/1.") {
		return fmt.Errorf("no HTTP: %q", line)
	}
	r.method, r.target = words[0], words[1]
	if err := r.readHeaders(in); err != nil {
		return err
	}
	if r.headers["transfer-encoding"] != "" {
		return fmt.Errorf("transfer encodings are not read")
	}
	length := 0
	if text := r.headers["content-length"]; text != "" {
		if length, err = strconv.Atoi(text); err != nil || length < 0 || length > maxBody {
			return fmt.Errorf("content length %q", text)
		}
	}
	r.expects = strings.EqualFold(r.headers["expect"], "100-continue")
	r.closes = strings.EqualFold(r.headers["connection"], "close")
	if r.expects {
		if _, err := io.WriteString(out, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return err
		}
	}
	if cap(r.body) < length {
		r.body = make([]byte, length, 2*length)
	}
	r.body = r.body[:length]
	_, err = io.ReadFull(in, r.body)
	return err
}

func (r *request) readHeaders(in *bufio.Reader) error {
	clear(r.headers)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return nil
		}
		name, text, found := bytes.Cut(line, []byte(":"))
		if !found {
			return fmt.Errorf("no header: %q", line)
		}
		key, value := strings.ToLower(string(name)), string(bytes.TrimSpace(text))
		if before, twice := r.headers[key]; twice {
			value = before + "," + value
		}
		r.headers[key] = value
	}
}

// answer makes the bytes of an answer, as the service words it.
func answer(status int, body string, headers ...string) []byte {
	var made strings.Builder
	fmt.Fprintf(&made, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	made.WriteString("x-amzn-RequestId: 5b1ed3b0-0b0e-4f8e-9a44-5c2f2c3f9e11\r\n")
	made.WriteString("Content-Type: application/json\r\n")
	for _, header := range headers {
		made.WriteString(header + "\r\n")
	}
	fmt.Fprintf(&made, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return []byte(made.String())
}

// serve answers the requests of one connection until it ends.
func (s *stub) serve(connection net.Conn) {
	defer connection.Close()
	s.connections.Add(1)
	in := bufio.NewReaderSize(connection, 64<<10)
	r := &request{headers: map[string]string{}}
	checks := s.verifier()
	for r.read(in, connection) == nil {
		if _, err := connection.Write(s.answer(r, checks)); err != nil || r.closes {
			return
		}
	}
}
