// Package aliyunsoak collects a customer's simulated Alibaba Cloud account for a
// day in minutes, with everything that goes wrong in a day, and compares what was
// stored with what the account published.
//
// The test runs in a bubble of testing/synctest: collectors, scheduler, budget,
// time-outs, the SDK, the simulator and the store all read one clock, which jumps
// ahead when all of them wait. Requests travel over connections in memory, since a
// bubble's clock would stand while anybody waits for a socket. So nothing is left
// out and nothing is told to hurry: the simulator checks the signatures' times on
// the clock by which the SDK signs.
//
//	make soak-aliyun                       # 24 simulated hours
//	go test ./loadtest/aliyunsoak          # 2 simulated hours
package aliyunsoak
