//go:build !race

package demo

// raced says that the race detector is on: everything takes several times as long.
const raced = false
