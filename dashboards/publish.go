package dashboards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	gapi "github.com/grafana/grafana-api-golang-client"
)

// folderUID and folderTitle name the one folder that holds all dashboards.
const (
	folderUID   = "watchkeeper"
	folderTitle = "Watchkeeper"
)

// Secret is a value that does not print.
type Secret string

// String hides the value, also under %v and %s.
func (Secret) String() string { return "<secret>" }

// GoString hides the value under %#v.
func (Secret) GoString() string { return "<secret>" }

// MarshalText hides the value in JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte("<secret>"), nil }

// Config says where to publish.
type Config struct {
	// URL is Grafana's base address, e.g. http://127.0.0.1:3000. Required; without user or password in it.
	URL string `yaml:"url"`
	// Key is a service account token with the right to write folders, dashboards
	// and data sources. Required; from a file or the environment, never from a flag.
	Key Secret `yaml:"-"`
	// PrometheusURL is where Grafana itself reaches our Prometheus API. Default http://127.0.0.1:9370.
	PrometheusURL string `yaml:"prometheus_url"`
	// Timeout bounds each request. Default 10s.
	Timeout time.Duration `yaml:"-"`
}

// DefaultConfig is a Grafana server and a watchkeeper on this machine.
func DefaultConfig() Config {
	return Config{URL: "http://127.0.0.1:3000", PrometheusURL: "http://127.0.0.1:9370", Timeout: 10 * time.Second}
}

// Validate names the first field that is wrong.
func (c Config) Validate() error {
	for _, field := range []struct{ path, value string }{{"url", c.URL}, {"prometheus_url", c.PrometheusURL}} {
		u, err := url.Parse(field.value)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%s: not an http or https address", field.path)
		}
		if u.User != nil {
			return fmt.Errorf("%s: holds a user or password: use a service account token", field.path)
		}
	}
	if c.Key == "" {
		return errors.New("key: no service account token given")
	}
	if c.Timeout <= 0 {
		return errors.New("timeout: not above zero")
	}
	return nil
}

// Published says what Publish did.
type Published struct {
	Folder     string            `json:"folder"`      // the folder's uid
	DataSource string            `json:"data_source"` // the data source's uid
	Dashboards map[string]string `json:"dashboards"`  // uid to address
}

// Errors that a caller can act on; the message says more.
var (
	ErrUnauthorized = errors.New("grafana refuses the token")           // give another token
	ErrForbidden    = errors.New("the token's role is too small")       // give it the role Editor, and Admin for data sources
	ErrConflict     = errors.New("grafana holds a conflicting version") // somebody took the uid or the title
	ErrUnreachable  = errors.New("grafana is not reachable")            // try again
)

// Publish puts the folder, the Prometheus data source and all dashboards on a
// Grafana server. It may be called any number of times: what is there is
// replaced, nothing is doubled. It stops at the first error.
func Publish(ctx context.Context, cfg Config) (Published, error) {
	if err := cfg.Validate(); err != nil {
		return Published{}, fmt.Errorf("publish dashboards: %w", err)
	}
	client, err := gapi.New(cfg.URL, gapi.Config{
		APIKey: string(cfg.Key),
		Client: &http.Client{Timeout: cfg.Timeout, Transport: withContext{ctx, http.DefaultTransport}},
	})
	if err != nil {
		return Published{}, fmt.Errorf("publish dashboards: %w", err)
	}
	p := publisher{client: client, cfg: cfg, done: Published{Dashboards: map[string]string{}}}
	for _, step := range []func() error{p.folder, p.dataSource, p.dashboards} {
		if err := ctx.Err(); err != nil {
			return p.done, fmt.Errorf("publish dashboards: %w", err)
		}
		if err := step(); err != nil {
			return p.done, fmt.Errorf("publish dashboards to %s: %w", cfg.URL, err)
		}
	}
	return p.done, nil
}

// withContext ends the requests of a client that knows no contexts.
type withContext struct {
	ctx  context.Context
	next http.RoundTripper
}

func (w withContext) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.next.RoundTrip(r.WithContext(w.ctx))
}

type publisher struct {
	client *gapi.Client
	cfg    Config
	done   Published
}

func (p *publisher) folder() error {
	_, err := p.client.FolderByUID(folderUID)
	if isNotFound(err) {
		_, err = p.client.NewFolder(folderTitle, folderUID)
	}
	if err != nil {
		return fmt.Errorf("folder %s: %w", folderUID, p.explain(err))
	}
	p.done.Folder = folderUID
	return nil
}

func (p *publisher) dataSource() error {
	want := &gapi.DataSource{
		UID: DataSourceUID, Name: DataSourceUID, Type: "prometheus", Access: "proxy", URL: p.cfg.PrometheusURL,
		JSONData: map[string]any{"httpMethod": "POST", "timeInterval": "1m", "prometheusType": "Prometheus"},
	}
	have, err := p.client.DataSourceByUID(DataSourceUID)
	switch {
	case isNotFound(err):
		_, err = p.client.NewDataSource(want)
	case err == nil:
		want.ID, want.IsDefault, want.Name = have.ID, have.IsDefault, have.Name
		err = p.client.UpdateDataSourceByUID(want)
	}
	if err != nil {
		return fmt.Errorf("data source %s: %w", DataSourceUID, p.explain(err))
	}
	p.done.DataSource = DataSourceUID
	return nil
}

func (p *publisher) dashboards() error {
	for _, d := range All() {
		text, err := d.JSON()
		if err != nil {
			return err
		}
		var model map[string]any
		if err := json.Unmarshal(text, &model); err != nil {
			return fmt.Errorf("dashboard %s: %w", d.UID, err)
		}
		if _, err := p.client.NewDashboard(gapi.Dashboard{
			Model: model, FolderUID: folderUID, Overwrite: true, Message: "published by watchkeeper",
		}); err != nil {
			return fmt.Errorf("dashboard %s: %w", d.UID, p.explain(err))
		}
		p.done.Dashboards[d.UID] = strings.TrimRight(p.cfg.URL, "/") + "/d/" + d.UID
	}
	return nil
}

func isNotFound(err error) bool {
	var notFound gapi.ErrNotFound
	return errors.As(err, &notFound)
}

// statusForm is how the client reports an answer of 400 and above.
var statusForm = regexp.MustCompile(`^status: (\d+), body: (?s:(.*))$`)

// explain turns the client's error into one that a person can act on. A
// server's answer is cut short, and should it repeat the token, without it.
func (p *publisher) explain(err error) error {
	if isNotFound(err) {
		return fmt.Errorf("status 404: is %s a Grafana server?", p.cfg.URL)
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		if errors.Is(err, context.Canceled) {
			return context.Canceled
		}
		return fmt.Errorf("%w: %w", ErrUnreachable, failed.Err)
	}
	m := statusForm.FindStringSubmatch(err.Error())
	if m == nil {
		return errors.New(p.clean(err.Error()))
	}
	detail := "status " + m[1] + ", " + p.clean(m[2])
	for status, known := range map[string]error{"401": ErrUnauthorized, "403": ErrForbidden, "409": ErrConflict, "412": ErrConflict} {
		if m[1] == status {
			return fmt.Errorf("%w: %s", known, detail)
		}
	}
	return errors.New(detail)
}

func (p *publisher) clean(body string) string {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal([]byte(body), &answer) == nil && answer.Message != "" {
		body = answer.Message
	}
	body = strings.ReplaceAll(body, string(p.cfg.Key), "<secret>")
	if len(body) > 200 {
		body = strings.ToValidUTF8(body[:200], "") + "…"
	}
	return fmt.Sprintf("%q", body)
}
