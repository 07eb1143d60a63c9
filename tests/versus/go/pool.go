package main

import (
	"sync"
	"time"
)

// So many workers on a channel of jobs, with a channel for their results; both of this capacity.
func pool(numbers []int) program {
	workers, capacity := numbers[0], numbers[1]
	return poolOf(workers, capacity, func(job uint64) uint64 { return job + 1 })
}

// The same, and each job computes for so many rounds.
func poolSpin(numbers []int) program {
	workers, capacity, rounds := numbers[0], numbers[1], numbers[2]
	return poolOf(workers, capacity, func(job uint64) uint64 { return job + spin(rounds) })
}

// The same, and each job sleeps for so many microseconds.
func poolSleep(numbers []int) program {
	workers, capacity, microseconds := numbers[0], numbers[1], numbers[2]
	return poolOf(workers, capacity, func(job uint64) uint64 {
		time.Sleep(time.Duration(microseconds) * time.Microsecond)
		return job
	})
}

func poolOf(workers, capacity int, work func(uint64) uint64) program {
	return func(items int) {
		jobs, results := make(chan uint64, capacity), make(chan uint64, capacity)
		var group sync.WaitGroup
		group.Add(workers)
		for worker := 0; worker < workers; worker++ {
			go func() {
				defer group.Done()
				for job := range jobs {
					results <- work(job)
				}
			}()
		}
		go func() {
			group.Wait()
			close(results)
		}()
		go func() {
			defer close(jobs)
			for job := 0; job < items; job++ {
				jobs <- uint64(job)
			}
		}()
		var sum uint64
		for result := range results {
			sum += result
		}
		sink.Store(sum)
	}
}

// Workers that call what is sent to them, without results.
func closures(numbers []int) program {
	workers, capacity := numbers[0], numbers[1]
	return func(items int) {
		jobs := make(chan func(), capacity)
		var group sync.WaitGroup
		group.Add(workers)
		for worker := 0; worker < workers; worker++ {
			go func() {
				defer group.Done()
				for job := range jobs {
					job()
				}
			}()
		}
		for item := 0; item < items; item++ {
			number := uint64(item)
			jobs <- func() { sink.Store(number) }
		}
		close(jobs)
		group.Wait()
	}
}

// A goroutine for each job, of which so many are there at a time; each computes for so many rounds.
func goroutines(numbers []int) program {
	most, rounds := numbers[0], numbers[1]
	return func(items int) {
		places := make(chan struct{}, most)
		var group sync.WaitGroup
		group.Add(items)
		for item := 0; item < items; item++ {
			places <- struct{}{}
			go func() {
				sink.Store(spin(rounds))
				<-places
				group.Done()
			}()
		}
		group.Wait()
	}
}

// Jobs in batches of this size, for so many workers; each batch sleeps for so many microseconds.
func batches(numbers []int) program {
	workers, size, microseconds := numbers[0], numbers[1], numbers[2]
	return func(items int) {
		jobs := make(chan []int)
		var group sync.WaitGroup
		group.Add(workers)
		for worker := 0; worker < workers; worker++ {
			go func() {
				defer group.Done()
				for range jobs {
					time.Sleep(time.Duration(microseconds) * time.Microsecond)
				}
			}()
		}
		batch := make([]int, 0, size)
		for item := 0; item < items; item++ {
			batch = append(batch, item)
			if len(batch) == size || item+1 == items {
				jobs <- batch
				batch = make([]int, 0, size)
			}
		}
		close(jobs)
		group.Wait()
	}
}
