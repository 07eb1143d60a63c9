package main

import "sync"

// One source, so many workers that take from it, and one channel that all of them send to.
func fan(numbers []int) program {
	workers, capacity := numbers[0], numbers[1]
	return poolOf(workers, capacity, func(item uint64) uint64 { return item + 1 })
}

// So many channels with a sender each as one channel: a goroutine for each of them.
func merge(numbers []int) program {
	inputs, capacity := numbers[0], numbers[1]
	return func(items int) {
		merged := make(chan uint64, capacity)
		var group sync.WaitGroup
		group.Add(inputs)
		for number := 0; number < inputs; number++ {
			input := make(chan uint64, capacity)
			go func() {
				defer close(input)
				for item := number; item < items; item += inputs {
					input <- uint64(item)
				}
			}()
			go func() {
				defer group.Done()
				for item := range input {
					merged <- item
				}
			}()
		}
		go func() {
			group.Wait()
			close(merged)
		}()
		var sum uint64
		for item := range merged {
			sum += item
		}
		sink.Store(sum)
	}
}

// Every item to so many readers, each with a channel of its own.
func tee(numbers []int) program {
	readers, capacity := numbers[0], numbers[1]
	return func(items int) {
		outputs := make([]chan uint64, readers)
		var group sync.WaitGroup
		group.Add(readers)
		for reader := range outputs {
			output := make(chan uint64, capacity)
			outputs[reader] = output
			go func() {
				defer group.Done()
				var sum uint64
				for item := range output {
					sum += item
				}
				sink.Store(sum)
			}()
		}
		for item := 0; item < items; item++ {
			for _, output := range outputs {
				output <- uint64(item)
			}
		}
		for _, output := range outputs {
			close(output)
		}
		group.Wait()
	}
}
