// The same things in plain Go, for the rows that have Go beside them.
//
// A program is named by the arguments. It reads a number of items from standard input, line by line, does that
// many, and answers each line with what one item cost, in nanoseconds:
//
//	$ echo 1000000 | versus pipeline 128
//	{"wall":201.5,"cpu":380.1}
//
// It stays alive between two lines, so that its rounds can take turns with those of others in one run.
package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A program does so many items.
type program func(items int)

// By name; a program is made of the numbers that follow its name.
var programs = map[string]func(numbers []int) program{
	"pipeline":   pipeline,
	"pool":       pool,
	"pool-spin":  poolSpin,
	"pool-sleep": poolSleep,
	"closures":   closures,
	"goroutines": goroutines,
	"idle":       idle,
	"fan":        fan,
	"merge":      merge,
	"tee":        tee,
	"serial":     serial,
	"stages":     stages,
	"batches":    batches,

	"seed-loop":     seedLoop,
	"seed-pool":     seedPool,
	"seed-fan-out":  seedFanOut,
	"seed-numbers":  seedNumbers,
	"seed-stages":   seedStages,
	"seed-spinning": seedSpinning,
	"seed-batch":    seedBatch,

	"batch-pool":     batchPool,
	"batch-pipeline": batchPipeline,
	"batch-fan-out":  batchFanOut,

	"echo": echo,
}

// What it is told.
var lines = bufio.NewScanner(os.Stdin)

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		names := make([]string, 0, len(programs))
		for name := range programs {
			names = append(names, name)
		}
		sort.Strings(names)
		fail("usage: versus PROGRAM NUMBER..., with one of: " + strings.Join(names, ", "))
	}
	var numbers []int
	for _, word := range os.Args[2:] {
		numbers = append(numbers, number(word))
	}
	do := programs[os.Args[1]](numbers)
	for lines.Scan() {
		items := number(lines.Text())
		cpu, start := processorTime(), time.Now()
		do(items)
		wall, cpu := time.Since(start), processorTime()-cpu
		each := func(taken time.Duration) float64 { return float64(taken) / float64(items) }
		fmt.Printf("{\"wall\":%f,\"cpu\":%f}\n", each(wall), each(cpu))
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
