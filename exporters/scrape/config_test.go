package scrape

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"watchkeeper/internal/strictyaml"
)

// file is a configuration file with nothing but scrape configurations.
type file struct {
	Configs []yaml.Node `yaml:"scrape_configs"`
}

func read(t *testing.T, text string) ([]Job, error) {
	t.Helper()
	var f file
	doc, err := strictyaml.Decode("w.yml", []byte(text), &f)
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := Jobs("acme", f.Configs, "/etc/watchkeeper")
	return jobs, doc.At(err)
}

func jobs(t *testing.T, text string) []Job {
	t.Helper()
	js, err := read(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// Each mistake is one line with file, line and path.
func TestMistakes(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown key", "scrape_configs:\n- job_name: a\n  # a comment\n  scrape_intervall: 1m\n", "w.yml:4: scrape_configs[0].scrape_intervall: unknown key"},
		{"unknown key, flow style", "scrape_configs:\n- {job_name: a, static_configs: [{targets: [b], lables: {}}]}\n", "w.yml:2: scrape_configs[0].static_configs[0].lables: unknown key"},
		{"key twice", "scrape_configs:\n- job_name: a\n  scheme: http\n  scheme: http\n", "w.yml:"},
		{"wrong type", "scrape_configs:\n- job_name: a\n- job_name: b\n  sample_limit: many\n", "w.yml:4: scrape_configs[1].sample_limit: cannot unmarshal !!str `many` into uint"},
		{"no name", "scrape_configs:\n- metrics_path: /m\n", "w.yml:2: scrape_configs[0]: job_name is empty"},
		{"not a mapping", "scrape_configs:\n- word\n", "w.yml:2: scrape_configs[0]: cannot unmarshal"},
		{"null", "scrape_configs:\n- job_name: a\n-\n", "w.yml:3: scrape_configs[1]: "},
		{"name twice", "scrape_configs:\n- job_name: a\n- job_name: a\n", `w.yml:3: scrape_configs[1].job_name: "a" is scrape_configs[0] already`},
		{"timeout", "scrape_configs:\n- {job_name: a, scrape_interval: 1s, scrape_timeout: 2s}\n", "w.yml:2: scrape_configs[0]: scrape timeout greater than scrape interval"},
		{"relabelling", "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - {action: explode}\n", `w.yml:2: scrape_configs[0]: unknown relabel action "explode"`},
		{"native histograms", "scrape_configs:\n- job_name: a\n  scrape_native_histograms: true\n", "w.yml:3: scrape_configs[0].scrape_native_histograms: native histograms are not stored"},
		{"other discovery", "scrape_configs:\n- job_name: a\n  dns_sd_configs: [{names: [b]}]\n", "w.yml:3: scrape_configs[0].dns_sd_configs: "},
		{"password", "scrape_configs:\n- job_name: a\n  basic_auth: {username: u, password: hunter2}\n", "w.yml:3: scrape_configs[0].basic_auth.password: credentials are read from files: use password_file"},
		{"bearer token", "scrape_configs:\n- job_name: a\n  bearer_token: hunter2\n", "w.yml:2: scrape_configs[0].authorization.credentials: credentials are read from files"},
		{"token of discovery", "scrape_configs:\n- job_name: a\n  http_sd_configs: [{url: \"http://x/\", authorization: {credentials: hunter2}}]\n", "w.yml:3: scrape_configs[0].http_sd_configs.authorization.credentials"},
		{"password in address", "scrape_configs:\n- job_name: a\n  http_sd_configs: [{url: \"http://u:hunter2@x/\"}]\n", "w.yml:3: scrape_configs[0].http_sd_configs.url: holds a password"},
		{"header", "scrape_configs:\n- job_name: a\n  http_headers: {X-Key: {secrets: [hunter2]}}\n", "w.yml:3: scrape_configs[0].http_headers.X-Key.secrets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := read(t, test.text)
			if err == nil {
				t.Fatalf("taken; want %q", test.want)
			}
			if !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q, want %q", err, test.want)
			}
		})
	}
}

// Prometheus's format is taken as it is, files are found beside the
// configuration, and what is left out has a limit.
func TestJobs(t *testing.T) {
	js := jobs(t, `
scrape_configs:
- job_name: node
  scheme: https
  basic_auth: &login {username: u, password_file: secrets/node}
  file_sd_configs: [{files: ["targets/*.yml"], refresh_interval: 1m}]
  relabel_configs:
  - {source_labels: [__address__], regex: "(.*):.*", target_label: instance}
- job_name: team/mysql
  scrape_interval: 5s
  scrape_timeout: 3s
  sample_limit: 10
  basic_auth: *login
  static_configs: [{targets: ["db-1:9104"], labels: {env: prod}}]
`)
	if len(js) != 2 || js[0].Name != "node" || js[1].Name != "team/mysql" || js[0].Customer != "acme" {
		t.Fatalf("jobs: %+v", js)
	}
	a, b := js[0].config.ScrapeConfigs[0], js[1].config.ScrapeConfigs[0]
	if a.HTTPClientConfig.BasicAuth.PasswordFile != "/etc/watchkeeper/secrets/node" || b.HTTPClientConfig.BasicAuth.PasswordFile != "/etc/watchkeeper/secrets/node" {
		t.Errorf("password files: %q, %q", a.HTTPClientConfig.BasicAuth.PasswordFile, b.HTTPClientConfig.BasicAuth.PasswordFile)
	}
	if a.ScrapeInterval.String() != "30s" || a.ScrapeTimeout.String() != "10s" || a.SampleLimit != 50000 || a.BodySizeLimit == 0 || a.TargetLimit == 0 || a.LabelLimit == 0 {
		t.Errorf("defaults: %+v", a)
	}
	if b.SampleLimit != 10 || b.ScrapeInterval.String() != "5s" {
		t.Errorf("own values: %+v", b)
	}
	again := jobs(t, "scrape_configs:\n- job_name: node\n  static_configs: [{targets: [a]}]\n")
	same := jobs(t, "scrape_configs:\n- {job_name: node, static_configs: [{targets: [a]}]} # reformatted\n")
	if again[0].revision != same[0].revision || again[0].revision == js[0].revision {
		t.Error("the revision must change with the content and with nothing else")
	}
}

func TestFilesAreTried(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	js := jobs(t, "scrape_configs:\n- job_name: a\n  tls_config: {ca_file: "+ca+"}\n")
	if err := TryFiles(js); err == nil || !strings.Contains(err.Error(), `scrape job "a"`) {
		t.Errorf("a missing CA file: %v", err)
	}
	if err := os.WriteFile(ca, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := TryFiles(js); err == nil {
		t.Error("a file without a certificate is taken")
	}
}

func FuzzJobs(f *testing.F) {
	f.Add("- job_name: a\n  static_configs: [{targets: [b]}]\n")
	f.Add("- &a\n  job_name: x\n  params: {a: [*a]}\n")
	f.Add("- {job_name: a, relabel_configs: [{regex: '('}]}\n- \n")
	f.Fuzz(func(t *testing.T, text string) {
		var nodes []yaml.Node
		if yaml.Unmarshal([]byte(text), &nodes) != nil {
			return
		}
		if js, err := Jobs("acme", nodes, "/"); err == nil && len(js) != len(nodes) {
			t.Errorf("%d of %d jobs", len(js), len(nodes))
		}
	})
}
