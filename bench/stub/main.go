// A stand-in of the Feature Store runtime for benchmarks: it verifies signatures, counts records,
// waits as long as it is told to, and does nothing else, so that clients are measured and not it.
//
// Loopback only. It prints one line of JSON with its ports and ends when standard input does.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	var who identity
	address := flag.String("listen", "127.0.0.1:0", "plain HTTP; loopback only")
	secure := flag.String("tls", "127.0.0.1:0", "TLS; loopback only")
	authority := flag.String("ca", "", "file the certificate of the TLS listener is written to")
	flag.StringVar(&who.key, "key", "AKIDEXAMPLE", "access key every request must be signed with")
	flag.StringVar(&who.secret, "secret", "secret", "its secret")
	flag.StringVar(&who.token, "token", "", "its session token")
	flag.Parse()

	server := newStub(who)
	plain := listen(*address)
	go accept(plain, server)
	ports := map[string]int{"http": port(plain)}
	if *authority != "" {
		certificate, err := selfSigned(*authority)
		if err != nil {
			log.Fatal(err)
		}
		inner := listen(*secure)
		settings := &tls.Config{
			Certificates: []tls.Certificate{certificate},
			NextProtos:   []string{"http/1.1"},
		}
		go accept(tls.NewListener(inner, settings), server)
		ports["https"] = port(inner)
	}
	said, _ := json.Marshal(ports)
	fmt.Println(string(said))
	_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
}

// listen refuses every address but those of this machine itself.
func listen(address string) net.Listener {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		log.Fatalf("%q is not a loopback address", address)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func accept(listener net.Listener, server *stub) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Print(err)
			return
		}
		go server.serve(connection)
	}
}

func port(listener net.Listener) int {
	return listener.Addr().(*net.TCPAddr).Port
}
