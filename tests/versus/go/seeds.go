package main

import (
	"sync"
	"time"
)

// The programs of the tables in the documents that this project began with. An item of theirs is a whole list
// of jobs.
func inLists(jobs int, do program) program {
	return func(lists int) {
		for ; lists > 0; lists-- {
			do(jobs)
		}
	}
}

// A job that waits for so many microseconds, and then computes for so many rounds.
func workOf(microseconds, rounds int) func(job uint64) uint64 {
	wait := time.Duration(microseconds) * time.Microsecond
	return func(job uint64) uint64 {
		if wait > 0 {
			time.Sleep(wait)
		}
		if rounds > 0 {
			return job + spin(rounds)
		}
		return job * 2
	}
}

// One job after another.
func seedLoop(numbers []int) program {
	jobs, work := numbers[0], workOf(numbers[1], numbers[2])
	return inLists(jobs, func(jobs int) {
		var sum uint64
		for job := 0; job < jobs; job++ {
			sum += work(uint64(job))
		}
		sink.Store(sum)
	})
}

// All jobs are sent and then all results read: there is room for all of both.
func seedPool(numbers []int) program {
	workers, jobs, work := numbers[0], numbers[1], workOf(numbers[2], 0)
	return inLists(jobs, func(count int) {
		jobs, results := make(chan uint64, count), make(chan uint64, count)
		for worker := 0; worker < workers; worker++ {
			go func() {
				for job := range jobs {
					results <- work(job)
				}
			}()
		}
		for job := 0; job < count; job++ {
			jobs <- uint64(job)
		}
		close(jobs)
		var sum uint64
		for result := 0; result < count; result++ {
			sum += <-results
		}
		sink.Store(sum)
	})
}

// The same, where a goroutine sends.
func seedFanOut(numbers []int) program {
	workers, jobs, work := numbers[0], numbers[1], workOf(numbers[2], numbers[3])
	return inLists(jobs, func(count int) {
		in, out := make(chan uint64, count), make(chan uint64, count)
		for worker := 0; worker < workers; worker++ {
			go func() {
				for job := range in {
					out <- work(job)
				}
			}()
		}
		go func() {
			for job := 0; job < count; job++ {
				in <- uint64(job)
			}
			close(in)
		}()
		var sum uint64
		for result := 0; result < count; result++ {
			sum += <-out
		}
		sink.Store(sum)
	})
}

// Squares, of which the even ones are tripled and kept, as a loop.
func seedNumbers(numbers []int) program {
	return inLists(numbers[0], func(count int) {
		kept := make([]uint64, 0, count)
		for n := uint64(0); n < uint64(count); n++ {
			square := n * n
			if square%2 == 0 {
				kept = append(kept, square*3)
			}
		}
		sink.Store(uint64(len(kept)))
	})
}

// The same as three goroutines, with channels that hold nothing between them.
func seedStages(numbers []int) program {
	return inLists(numbers[0], func(count int) {
		source, squares := make(chan uint64), make(chan uint64)
		go func() {
			for n := uint64(0); n < uint64(count); n++ {
				source <- n
			}
			close(source)
		}()
		go func() {
			for n := range source {
				squares <- n * n
			}
			close(squares)
		}()
		kept := make([]uint64, 0, count)
		for square := range squares {
			if square%2 == 0 {
				kept = append(kept, square*3)
			}
		}
		sink.Store(uint64(len(kept)))
	})
}

// Three goroutines that each compute for so many rounds an item.
func seedSpinning(numbers []int) program {
	rounds := numbers[1]
	return inLists(numbers[0], func(count int) {
		source, middle := make(chan uint64), make(chan uint64)
		go func() {
			for n := uint64(0); n < uint64(count); n++ {
				source <- n + spin(rounds)
			}
			close(source)
		}()
		go func() {
			for n := range source {
				middle <- n + spin(rounds)
			}
			close(middle)
		}()
		var sum uint64
		for n := range middle {
			sum += n + spin(rounds)
		}
		sink.Store(sum)
	})
}

// Pictures for a pool, each of them as slow as so many microseconds, and not more of them in a second than
// this; one worker is a loop, and a rate of zero is none.
func seedBatch(numbers []int) program {
	workers, pictures, work, perSecond := numbers[0], numbers[1], workOf(numbers[2], 0), numbers[3]
	return inLists(pictures, func(count int) {
		bucket := newBucket(perSecond, 10)
		if workers == 1 {
			var sum uint64
			for picture := 0; picture < count; picture++ {
				bucket.wait()
				sum += work(uint64(picture))
			}
			sink.Store(sum)
			return
		}
		pictures := make(chan uint64, workers)
		var group sync.WaitGroup
		group.Add(workers)
		for worker := 0; worker < workers; worker++ {
			go func() {
				defer group.Done()
				for picture := range pictures {
					sink.Store(work(picture))
				}
			}()
		}
		for picture := 0; picture < count; picture++ {
			bucket.wait()
			pictures <- uint64(picture)
		}
		close(pictures)
		group.Wait()
	})
}

// A token bucket for one goroutine, as golang.org/x/time/rate has one for many.
type bucket struct {
	interval, burst time.Duration
	// When it is full again.
	full time.Time
}

func newBucket(perSecond, burst int) *bucket {
	if perSecond == 0 {
		return &bucket{}
	}
	interval := time.Second / time.Duration(perSecond)
	return &bucket{interval, interval * time.Duration(burst), time.Now()}
}

func (b *bucket) wait() {
	if b.interval == 0 {
		return
	}
	now := time.Now()
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(b.interval)
	if wait := b.full.Add(-b.burst).Sub(now); wait > 0 {
		time.Sleep(wait)
	}
}
