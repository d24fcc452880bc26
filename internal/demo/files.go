package demo

import (
	"bytes"
	"os"
	"path/filepath"
	"text/template"

	sim "watchkeeper/internal/sim/aliyun"
)

// customer is whose resources the demo watches.
const customer = "acme"

// key is the simulated account's AccessKey.
var key = sim.Key{ID: "testid", Secret: "testsecret"}

var configFile = template.Must(template.New("watchkeeper.yml").Parse(`# Written by 'watchkeeper demo'; the server in it runs with this file.
data_dir: data
api: {listen: "{{.API}}"}
ingest:
  listen: "{{.Ingest}}"
  open: {customer: acme}          # remote write without a token, loopback only
customers:
- name: acme
  host: {interval: 10s}
  probes:
    targets:
    - {name: gateway, tcp: "{{.Site}}", interval: 10s, timeout: 2s}
    - {name: shop, url: "http://{{.Site}}/", interval: 10s, timeout: 2s, http: {expect_body: "open for business"}}
  aliyun:
    accounts:
    - name: main
      regions: [cn-hangzhou]
      access_key_id: testid
      access_key_secret_file: access-key-secret
      scheme: http                # a simulator: the real service is called by https
      endpoint: "{{.Cloud}}"
      interval: 5s                # every five minutes is right for the real one
      normal_interval: 1m
      inventory_interval: 1m
      fill_in: 1h
alertmanager:
  route: {receiver: tickets, group_by: [alertname, instance], group_wait: 2s, group_interval: 3s, repeat_interval: 4h}
  receivers:
  - name: tickets
    webhook_configs: [{url: "http://{{.Tickets}}/webhook"}]
contracts: [hosting.yml]
`))

var contractFile = template.Must(template.New("hosting.yml").Parse(`id: hosting-connectivity
customer: acme
title: Hosting network connectivity (机房网络连通性)
literal:
- name: availability
  text: 每月网络连通时间不低于 99.9%, 即 30 天 x 24 小时 x 60 分钟 = 43,200 分钟 x 99.9% = 43,156 分钟
- name: refund
  text: 当月累计中断时间达到或超过 44 分钟, 次月费用减免 = 月费 / 30 x 超出 44 分钟的中断小时数, 不足一小时按一小时计, 以月费为限
zone: Asia/Shanghai
cycle: month
objective: 99.9%
unavailable: {kind: verdicts, rule: port-down, selector: '{instance="gateway"}', combine: any, unmeasured: show}
allowance: {kind: fixed, minutes: 44, basis: "43,200 min x 99.9 %, whatever the month's length", breached: reached}
refund: {kind: fee_per_started_unit, fee: {amount: 3000.00, currency: CNY}, divisor: 30, unit_minutes: 60, cap: 100%, applied_to: the fee of the next month}
`))

// writeFiles writes configuration, contract and secret and returns the
// configuration's name.
func writeFiles(cfg Config, s *simulated) (string, error) {
	api, err := freeAddress(cfg.API)
	if err != nil {
		return "", err
	}
	ingest, err := freeAddress(cfg.Ingest)
	if err != nil {
		return "", err
	}
	values := map[string]string{
		"API": api, "Ingest": ingest,
		"Site": s.siteListener.Addr().String(), "Cloud": s.cloudListener.Addr().String(), "Tickets": s.ticketListener.Addr().String(),
	}
	name := filepath.Join(cfg.Dir, "watchkeeper.yml")
	for file, t := range map[string]*template.Template{name: configFile, filepath.Join(cfg.Dir, "hosting.yml"): contractFile} {
		var b bytes.Buffer
		if err := t.Execute(&b, values); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			return "", err
		}
	}
	return name, os.WriteFile(filepath.Join(cfg.Dir, "access-key-secret"), []byte(key.Secret+"\n"), 0o600)
}
