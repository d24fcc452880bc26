// Package contract holds the alarm table of the managed-service contract as
// data: the table itself (Rows), the rule pack that fulfils it row by row
// (Pack), every place where a shipped rule differs from the literal text
// (Deviations), and the names of all metrics that rules and collectors share
// (Metrics and the constants).
//
// One row is one rule; its id is the rule's. What a rule file says beyond the
// table follows three decisions:
//
//   - Rows for hosts that are not ECS ("非 ECS") are joined with host_ecs_info,
//     which the agent of an ECS instance appends at every check. The series of
//     the host carry no label for it, so that nothing splits when a host moves.
//   - Points of CloudMonitor come minutes late and in batches; the aliyun-*.yml
//     files wait for them with missing_after and lateness.
//   - Values are judged as raw as they are collected: a share of a limit is
//     divided in the rule, so that both numbers can be seen.
package contract
