package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// The memory of what waits: so many goroutines (0), or connections with a goroutine each (1), whose other ends
// are this program in another process (2 COUNT PORT). Unlike the other programs it is no loop that is timed: it
// says the bytes of each, and ends.
//
//	$ versus idle 0 10000
//	{"bytes":2710.1}
func idle(numbers []int) program {
	kind, count := numbers[0], numbers[1]
	wait := idleGoroutine
	switch kind {
	case 1:
		wait = idleConnection(count + 1)
	case 2:
		idleClients(count, numbers[2])
		os.Exit(0)
	}
	ready := make(chan struct{}, count+1)
	// The first brings what all have in common.
	wait(ready)
	<-ready
	runtime.GC()
	before := residentBytes()
	for item := 0; item < count; item++ {
		wait(ready)
	}
	for item := 0; item < count; item++ {
		<-ready
	}
	fmt.Printf("{\"bytes\":%f}\n", float64(residentBytes()-before)/float64(count))
	os.Exit(0)
	return nil
}

func idleGoroutine(ready chan<- struct{}) {
	go func() {
		ready <- struct{}{}
		select {}
	}()
}

// A goroutine waits for each to say something.
func idleConnection(count int) func(ready chan<- struct{}) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	orFail(err)
	port := listener.Addr().(*net.TCPAddr).Port
	clients := exec.Command(os.Args[0], "idle", "2", strconv.Itoa(count), strconv.Itoa(port))
	// It ends when its input does, and that ends with this process.
	_, err = clients.StdinPipe()
	orFail(err)
	orFail(clients.Start())
	return func(ready chan<- struct{}) {
		server, err := listener.Accept()
		orFail(err)
		go func() {
			ready <- struct{}{}
			var said [1]byte
			_, _ = server.Read(said[:])
		}()
	}
}

func idleClients(count, port int) {
	var clients []net.Conn
	for len(clients) < count {
		client, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		orFail(err)
		clients = append(clients, client)
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	orFail(err)
	runtime.KeepAlive(clients)
}

func orFail(err error) {
	if err != nil {
		fail(err.Error())
	}
}

// The memory that this process has in use.
func residentBytes() int {
	status, err := os.ReadFile("/proc/self/status")
	orFail(err)
	for _, line := range strings.Split(string(status), "\n") {
		if size, is := strings.CutPrefix(line, "VmRSS:"); is {
			return number(strings.TrimSpace(strings.TrimSuffix(size, "kB"))) * 1024
		}
	}
	fail("/proc does not tell the resident memory")
	return 0
}
