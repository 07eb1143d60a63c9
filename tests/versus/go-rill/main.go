// What rill does of it. It stands apart, because it needs a module of others. See ../go for how it is called.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/destel/rill"
)

func main() {
	if len(os.Args) != 3 || os.Args[1] != "ordered-map" {
		fail("usage: versus-rill ordered-map WIDTH")
	}
	width := number(os.Args[2])
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		items := number(lines.Text())
		cpu, start := processorTime(), time.Now()
		orderedMap(width, items)
		wall, cpu := time.Since(start), processorTime()-cpu
		each := func(taken time.Duration) float64 { return float64(taken) / float64(items) }
		fmt.Printf("{\"wall\":%f,\"cpu\":%f}\n", each(wall), each(cpu))
	}
}

func orderedMap(width, items int) {
	source := rill.Generate(func(send func(int), _ func(error)) {
		for item := 0; item < items; item++ {
			send(item)
		}
	})
	mapped := rill.OrderedMap(source, width, func(item int) (int, error) { return item + 1, nil })
	count := 0
	err := rill.ForEach(mapped, 1, func(int) error {
		count++
		return nil
	})
	if err != nil || count != items {
		fail("it lost some")
	}
}

// The time that all threads of this process have used.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err.Error())
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func number(word string) int {
	number, err := strconv.Atoi(word)
	if err != nil {
		fail(err.Error())
	}
	return number
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "error:", message)
	os.Exit(2)
}
