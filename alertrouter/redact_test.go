package alertrouter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRedacted(t *testing.T) {
	for in, want := range map[string]string{
		`parse "http://u:SECRET@h:80 80/x": invalid character " " in host name`: `parse "http://<redacted>@<redacted>/<redacted>": invalid character "<redacted>" in host name`,
		`parse "http://u:SECRET@h:x/": invalid port ":x" after host`:            `parse "http://<redacted>@h:x/": invalid port "<redacted>" after host`,
		`parse "http://u:SEC/RET@h/": invalid port ":SEC" after host`:           `parse "http://<redacted>": invalid port "<redacted>" after host`,
		`parse "1u:SECRET@h": first path segment`:                               `parse "<redacted>": first path segment`,
		`parse "http://h/?q=\"SECRET\"%zz": invalid URL escape "%zz"`:           `parse "http://h/<redacted>": invalid URL escape "<redacted>"`,
		"cannot unmarshal !!str `http://u:SECRET@h` into int":                   "cannot unmarshal !!str `http://<redacted>@h` into int",
		`field http://u:SECRET@h/ not found`:                                    `field http://<redacted>@h/ not found`,
		`proxy "https://h/?token=SECRET" is bad`:                                `proxy "https://h/<redacted>" is bad`,
		`undefined receiver "duty" used in route`:                               `undefined receiver "duty" used in route`,
	} {
		if got := redacted(errors.New(in)).Error(); got != want {
			t.Errorf("redacted(%s)\n got %s\nwant %s", in, got, want)
		}
		if got := redacted(errors.New(want)).Error(); got != want {
			t.Errorf("redacted twice: %s\nwant %s", got, want)
		}
	}
}

// What the errors of a configuration say of URLs is nobody's secret, wherever
// the configuration comes from.
func TestErrorsOfTheRoutingHideCredentials(t *testing.T) {
	for _, bad := range []string{
		"http://u:SECRETPW@host:port/", "http://u:SECRETPW@host name/", "http://u:SECRETPW@/?token=SECRETPW", "http://h/%zz?token=SECRETPW",
		"ftp://u:SECRETPW@host/", "http://u:SEC/SECRETPW@host", "u:SECRETPW@host",
	} {
		for field, text := range map[string]string{
			"webhook": fmt.Sprintf("route: {receiver: r}\nreceivers: [{name: r, webhook_configs: [{url: %q}]}]\n", bad),
			"proxy":   fmt.Sprintf("route: {receiver: r}\nreceivers: [{name: r, webhook_configs: [{url: 'http://h/', http_config: {proxy_url: %q}}]}]\n", bad),
			"slack":   fmt.Sprintf("global: {slack_api_url: %q}\nroute: {receiver: r}\nreceivers: [{name: r}]\n", bad),
			"type":    fmt.Sprintf("route: {receiver: r, continue: %q}\nreceivers: [{name: r}]\n", bad),
		} {
			file := filepath.Join(t.TempDir(), "alertmanager.yml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			inline, fromFile := DefaultConfig(), DefaultConfig()
			inline.Routing, fromFile.RoutingFile = text, file
			for _, err := range []error{inline.Validate(), fromFile.Validate()} {
				if err == nil && field != "proxy" { // a proxy of any scheme is taken
					t.Errorf("%s %s: no error", field, bad)
				}
				if err != nil && strings.Contains(err.Error(), "SECRETPW") {
					t.Errorf("%s: %v", field, err)
				}
			}
		}
	}
	c := DefaultConfig()
	c.ExternalURL = "http://u:SECRETPW@host:port/"
	if err := c.Validate(); err == nil || strings.Contains(err.Error(), "SECRETPW") {
		t.Error(err)
	}
}
