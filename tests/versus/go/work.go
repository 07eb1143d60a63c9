package main

import "sync/atomic"

// Somewhere for results to go, so that the compiler keeps the work.
var sink atomic.Uint64

// Work that computes for so many rounds; each needs the one before it, and no compiler makes one of
// several. The Rust side does the same rounds.
//
//go:noinline
func spin(rounds int) uint64 {
	x := uint64(rounds)
	for ; rounds > 0; rounds-- {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}
