//go:build unix

// Command aliyunround measures what a collection round of a large Alibaba Cloud
// account costs: calls, time, CPU and memory, beside the floor that the machine sets
// (bare HTTP and JSON of the same bytes). The account is simulated in a process of
// its own; all jobs of the account start at once.
//
//	go run ./loadtest/aliyunround                 # 5,000 resources, all metrics
//	go run ./loadtest/aliyunround -resources 500 -profile cpu.out
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

// Options of a run.
type options struct {
	resources int
	rounds    int
	rate      float64
	store     bool
	floor     bool
	profile   string
	serve     bool
}

func main() {
	var o options
	flag.IntVar(&o.resources, "resources", 5000, "resources of the account")
	flag.IntVar(&o.rounds, "rounds", 1, "rounds measured, one after the other; each reads 5 new minutes")
	flag.Float64Var(&o.rate, "rate", 20, "calls per second of the API of metrics")
	flag.BoolVar(&o.store, "store", false, "write the points into a store instead of dropping them")
	flag.BoolVar(&o.floor, "floor", true, "measure the floor, too")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the rounds to this file")
	flag.BoolVar(&o.serve, "serve", false, "be the simulated account (used by the command itself)")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	run := measure
	if o.serve {
		run = serve
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "aliyunround:", err)
		os.Exit(1)
	}
}
