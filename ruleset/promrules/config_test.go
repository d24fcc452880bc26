package promrules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"watchkeeper/internal/strictyaml"
)

func TestConfigFromFile(t *testing.T) {
	cfg := DefaultConfig()
	_, err := strictyaml.Decode("w.yml", []byte(`
evaluation_interval: 30s
resend_delay: 2m
alerting:
  alert_relabel_configs: [{action: labeldrop, regex: replica}]
  alertmanagers:
  - scheme: https
    basic_auth: {username: u, password: wonderland}
    static_configs: [{targets: ['am-1:9093', 'am-2:9093']}]
`), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.EvaluationInterval != model.Duration(30*time.Second) || cfg.ResendDelay != model.Duration(2*time.Minute) {
		t.Errorf("durations: %v", cfg)
	}
	text, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{string(text), fmt.Sprintf("%v", cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg)} {
		if strings.Contains(printed, "wonderland") {
			t.Errorf("shows a password: %s", printed)
		}
	}
	conf, err := cfg.alerting()
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, tg := range targets(conf)["config-0"] {
		for _, target := range tg.Targets {
			addresses = append(addresses, string(target[model.AddressLabel]))
		}
	}
	if diff := cmp.Diff([]string{"am-1:9093", "am-2:9093"}, addresses); diff != "" {
		t.Error(diff)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ alerting, want string }{
		{"alertmanager: []", "alerting: field alertmanager not found in type config.plain"},
		{"alertmanagers: [{static_configs: [{targets: ['http://am:9093']}]}]", `alerting: "http://am:9093" is not a valid hostname`},
		{"alertmanagers: [{api_version: v1, static_configs: [{targets: ['am:9093']}]}]", "alerting: expected Alertmanager api version to be one of [v2] but got v1"},
		{"alertmanagers: [{file_sd_configs: [{files: [x.json]}]}]", "alerting: field file_sd_configs not found in type"},
		{"alertmanagers: [{tls_config: {ca_file: nowhere.pem}, static_configs: [{targets: ['am:9093']}]}]",
			"alerting.alertmanagers[0]: unable to read CA cert: unable to read file /etc/watchkeeper/nowhere.pem: open /etc/watchkeeper/nowhere.pem: no such file or directory"},
	} {
		cfg := DefaultConfig()
		cfg.Dir = "/etc/watchkeeper"
		if err := yaml.Unmarshal([]byte(c.alerting), &cfg.Alerting); err != nil {
			t.Fatal(err)
		}
		err := cfg.Validate()
		if err == nil || len(err.Error()) < len(c.want) || err.Error()[:len(c.want)] != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.alerting, err, c.want)
		}
	}
	cfg := DefaultConfig()
	cfg.ExternalLabels = map[string]string{"__name__": "x"}
	if err := cfg.Validate(); err == nil || err.Error() != `external_labels: invalid label name "__name__"` {
		t.Errorf("got %v", err)
	}
	cfg = DefaultConfig()
	to := cfg
	to.ExternalLabels = map[string]string{"site": "hangzhou"}
	if err := cfg.restart(to); err == nil || err.Error() != "external_labels: changed; this needs a restart" {
		t.Errorf("got %v", err)
	}
	cfg.AlertQueueCapacity = 0
	if err := cfg.Validate(); err == nil || err.Error() != "alert_queue_capacity: must be at least 1" {
		t.Errorf("got %v", err)
	}
}
