package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amcommoncfg "github.com/prometheus/alertmanager/config/common"
	amnotify "github.com/prometheus/alertmanager/notify"
	amwebhook "github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/alertmanager/template"
	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"watchkeeper/alertrouter/notify"
)

func TestEachMessageCarriesItsOwnKey(t *testing.T) {
	var got []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Idempotency-Key")+" "+r.Header.Get("X-Team"))
	}))
	defer srv.Close()
	tmpl, err := template.FromGlobs(nil)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.ExternalURL = &url.URL{}
	conf := &amwebhook.WebhookConfig{
		URL: amcommoncfg.SecretTemplateURL(srv.URL),
		HTTPConfig: &commoncfg.HTTPClientConfig{HTTPHeaders: &commoncfg.Headers{
			Headers: map[string]commoncfg.Header{"X-Team": {Values: []string{"duty"}}},
		}},
	}
	n, err := New(conf, tmpl, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx := amnotify.WithGroupLabels(amnotify.WithReceiverName(amnotify.WithGroupKey(context.Background(), "{}:{}"), "duty"), nil)
	ctx = amnotify.WithNotificationReason(ctx, amnotify.ReasonFirstNotification)
	a := &alert.Alert{Alert: model.Alert{Labels: model.LabelSet{"alertname": "Down"}, StartsAt: time.Unix(1, 0)}}
	for _, key := range []string{"one", "two", "two", ""} {
		if _, err := n.Notify(notify.WithIdempotencyKey(ctx, key), a); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"one duty", "two duty", "two duty", " duty"}; !slices.Equal(got, want) {
		t.Errorf("headers = %q, want %q", got, want)
	}
	if len(conf.HTTPConfig.HTTPHeaders.Headers) != 1 {
		t.Error("the configuration was changed")
	}
}

func TestBadHTTPConfigIsAnErrorAtLoad(t *testing.T) {
	conf := &amwebhook.WebhookConfig{HTTPConfig: &commoncfg.HTTPClientConfig{TLSConfig: commoncfg.TLSConfig{CAFile: "/none.pem"}}}
	if _, err := New(conf, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error")
	}
}
