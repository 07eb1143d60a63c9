package main

// A source, three stages and a sink, as in Go's article on pipelines: a goroutine each, with channels of this
// capacity between them.
func pipeline(numbers []int) program {
	capacity := numbers[0]
	stage := func(in <-chan uint64) <-chan uint64 {
		out := make(chan uint64, capacity)
		go func() {
			defer close(out)
			for item := range in {
				out <- item + 1
			}
		}()
		return out
	}
	return func(items int) {
		source := make(chan uint64, capacity)
		go func() {
			defer close(source)
			for item := 0; item < items; item++ {
				source <- uint64(item)
			}
		}()
		var sum uint64
		for item := range stage(stage(stage(source))) {
			sum += item
		}
		sink.Store(sum)
	}
}

// So many stages that each compute for so many rounds an item, with channels of this capacity between them.
func stages(numbers []int) program {
	count, capacity, rounds := numbers[0], numbers[1], numbers[2]
	stage := func(in <-chan uint64) <-chan uint64 {
		out := make(chan uint64, capacity)
		go func() {
			defer close(out)
			for item := range in {
				out <- item + spin(rounds)
			}
		}()
		return out
	}
	return func(items int) {
		source := make(chan uint64, capacity)
		go func() {
			defer close(source)
			for item := 0; item < items; item++ {
				source <- uint64(item)
			}
		}()
		var line <-chan uint64 = source
		for number := 0; number < count; number++ {
			line = stage(line)
		}
		var sum uint64
		for item := range line {
			sum += item
		}
		sink.Store(sum)
	}
}

// So many stages as a loop.
func serial(numbers []int) program {
	count, rounds := numbers[0], numbers[1]
	return func(items int) {
		var sum uint64
		for item := 0; item < items; item++ {
			value := uint64(item)
			for number := 0; number < count; number++ {
				value += spin(rounds)
			}
			sum += value
		}
		sink.Store(sum)
	}
}
