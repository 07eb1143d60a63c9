package main

import (
	"fmt"
	"strings"
	"sync"
)

// A batch job: records are read, something is computed of each, and the results are written. An item of these
// programs is a whole list of records, whose results are written into memory.

func read(number int) string { return fmt.Sprintf("record %d", number) }

func convert(record string, rounds int) string {
	spin(rounds)
	return strings.ToUpper(record)
}

// What the results are written to; it begins anew with each list.
type writer struct{ lines []byte }

func (w *writer) write(record string) {
	w.lines = append(append(w.lines, record...), '\n')
	if len(w.lines) > 4096 {
		sink.Add(uint64(len(w.lines)))
		w.lines = w.lines[:0]
	}
}

// Workers on one channel, and one channel for their results.
func batchPool(numbers []int) program {
	workers, count, rounds, capacity := numbers[0], numbers[1], numbers[2], numbers[3]
	return inLists(count, func(count int) {
		records, results := make(chan string, capacity), make(chan string, capacity)
		var group sync.WaitGroup
		group.Add(workers)
		for worker := 0; worker < workers; worker++ {
			go func() {
				defer group.Done()
				for record := range records {
					results <- convert(record, rounds)
				}
			}()
		}
		go func() {
			defer close(records)
			for number := 0; number < count; number++ {
				records <- read(number)
			}
		}()
		go func() {
			group.Wait()
			close(results)
		}()
		var output writer
		for result := range results {
			output.write(result)
		}
	})
}

// Two stages, each of which does half of the computing.
func batchPipeline(numbers []int) program {
	count, rounds, capacity := numbers[0], numbers[1], numbers[2]
	return inLists(count, func(count int) {
		records, halves, results := make(chan string, capacity), make(chan string, capacity), make(chan string, capacity)
		go func() {
			defer close(records)
			for number := 0; number < count; number++ {
				records <- read(number)
			}
		}()
		go func() {
			defer close(halves)
			for record := range records {
				spin(rounds / 2)
				halves <- record
			}
		}()
		go func() {
			defer close(results)
			for record := range halves {
				results <- convert(record, rounds/2)
			}
		}()
		var output writer
		for result := range results {
			output.write(result)
		}
	})
}

// Workers on one channel, each with a channel of its own for its results, and a goroutine for each of these
// that merges it.
func batchFanOut(numbers []int) program {
	workers, count, rounds, capacity := numbers[0], numbers[1], numbers[2], numbers[3]
	return inLists(count, func(count int) {
		records, merged := make(chan string, capacity), make(chan string, capacity)
		go func() {
			defer close(records)
			for number := 0; number < count; number++ {
				records <- read(number)
			}
		}()
		var group sync.WaitGroup
		group.Add(workers)
		for worker := 0; worker < workers; worker++ {
			results := make(chan string)
			go func() {
				defer close(results)
				for record := range records {
					results <- convert(record, rounds)
				}
			}()
			go func() {
				defer group.Done()
				for result := range results {
					merged <- result
				}
			}()
		}
		go func() {
			group.Wait()
			close(merged)
		}()
		var output writer
		for result := range merged {
			output.write(result)
		}
	})
}
