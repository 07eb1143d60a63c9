package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"
)

// A server that answers lines, with so many workers, or with a goroutine for each connection where that is
// zero. It tells its port at first. Its clients are elsewhere: to do so many items is to wait for one more line
// of standard input, which says that they have their answers.
func echo(numbers []int) program {
	workers := numbers[0]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err.Error())
	}
	fmt.Printf("{\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	waiting := make(chan net.Conn, workers)
	for worker := 0; worker < workers; worker++ {
		go func() {
			for connection := range waiting {
				converse(connection)
			}
		}()
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if workers > 0 {
				waiting <- connection
			} else {
				go converse(connection)
			}
		}
	}()
	return func(int) { lines.Scan() }
}

// Answers lines until nobody listens, or none came for an hour.
func converse(connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 256)
	for {
		connection.SetReadDeadline(time.Now().Add(time.Hour))
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		answer := "Processed: " + strings.ToUpper(strings.TrimRight(line, " \r\n")) + "\n"
		if _, err := connection.Write([]byte(answer)); err != nil {
			return
		}
	}
}
