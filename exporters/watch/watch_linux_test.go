package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"watchkeeper/internal/sample"
)

type sink struct {
	batch sample.Batch
	err   error
}

func (s *sink) Append(_ context.Context, b sample.Batch) error {
	s.batch = b
	return s.err
}

// rig is a folder that is watched.
type rig struct {
	t      *testing.T
	dir    string
	cfg    Config
	adjust func(*Collector)
	c      *Collector
	at     time.Time
	last   sample.Batch
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), at: time.UnixMilli(1_790_000_020_000)}
	r.cfg = DefaultConfig()
	r.cfg.Instance, r.cfg.Accounts, r.cfg.HostName, r.cfg.Firewall, r.cfg.Ports = "web-1", false, false, false, false
	r.cfg.Files = []FileSet{{Name: "conf", Paths: []string{r.path("*.conf"), r.path("sites/**/*.conf")}}}
	if change != nil {
		change(&r.cfg)
	}
	r.restart()
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) state() string { return r.path("state/watch.json") }

func (r *rig) restart() {
	r.t.Helper()
	c, err := New("acme", r.cfg, r.state(), metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		r.t.Fatal(err)
	}
	if r.adjust != nil {
		r.adjust(c)
	}
	r.c = c
}

// check makes a check and returns, for each change that is told with this
// check's time, "thing: reason".
func (r *rig) check() []string {
	r.t.Helper()
	r.at = r.at.Add(time.Minute)
	var s sink
	if err := r.c.Collect(context.Background(), r.at, &s); err != nil {
		r.t.Fatal(err)
	}
	r.last = s.batch
	var changed []string
	for _, x := range s.batch.Samples {
		if strings.HasSuffix(x.Labels.Get("__name__"), suffixChangedTimestamp) && x.V == float64(r.at.UnixMilli())/1000 {
			thing := ""
			for _, l := range []string{"path", "user", "firewall", "protocol", "address", "port"} {
				if v := x.Labels.Get(l); v != "" {
					thing += strings.TrimPrefix(v, r.dir+"/") + " "
				}
			}
			changed = append(changed, thing+x.Labels.Get("reason"))
		}
	}
	slices.Sort(changed)
	return changed
}

func (r *rig) want(what string, want ...string) {
	r.t.Helper()
	if d := cmp.Diff(want, r.check()); d != "" {
		r.t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// value is a sample of the last check.
func (r *rig) value(metric, reason string) float64 {
	for _, x := range r.last.Samples {
		if x.Labels.Get("__name__") == metric && x.Labels.Get("reason") == reason {
			return x.V
		}
	}
	return -1
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) do(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	r := newRig(t, nil)
	r.write("a.conf", "user www;")
	r.write("sites/b.conf", "b")
	r.write("sites/deep/er/c.conf", "c")
	r.write("sites/deep/er/c.txt", "not watched")
	r.want("first check: nothing has changed")
	if r.value("file_changes_total", "content") != 0 || r.value("files_watched", "") != 3 {
		t.Errorf("at the start: %v", r.last.Samples)
	}
	r.want("nothing has changed")
	r.write("a.conf", "user bbb;") // as long as before
	r.do(os.Chtimes(r.path("a.conf"), r.at, time.UnixMilli(1_700_000_000_000)))
	r.want("content", "a.conf content")
	r.do(os.Chmod(r.path("a.conf"), 0o600))
	r.want("mode", "a.conf mode")
	r.do(os.Chtimes(r.path("a.conf"), r.at, r.at))
	r.want("time alone", "a.conf touched")
	r.do(os.Remove(r.path("sites/b.conf")))
	r.write("d.conf", "d")
	r.want("one gone, one new", "d.conf created", "sites/b.conf removed")
	r.do(os.Remove(r.path("d.conf")))
	r.do(os.Symlink(r.path("sites/deep/er/c.conf"), r.path("d.conf")))
	r.want("another file behind a link", "d.conf content", "d.conf type")
	r.write("sites/deep/er/c.conf", "changed")
	r.want("a file and the link to it", "d.conf content", "sites/deep/er/c.conf content")
	r.do(os.Remove(r.path("sites/deep/er/c.conf")))
	r.want("a link to nowhere", "sites/deep/er/c.conf removed")
	if os.Getuid() == 0 {
		r.do(os.Chown(r.path("a.conf"), 65534, 65534))
		r.want("owner", "a.conf group", "a.conf owner")
	}
	if got := r.value("file_changes_total", "content"); got != 4 {
		t.Errorf("%g changes of content are counted", got)
	}
	text, err := os.ReadFile(r.state())
	if err != nil || strings.Contains(string(text), "user bbb") {
		t.Errorf("the state holds content: %v", err)
	}
}

func TestATimeThatIsSetBackHidesNothing(t *testing.T) {
	r := newRig(t, nil)
	r.write("a.conf", "good")
	info, err := os.Stat(r.path("a.conf"))
	r.do(err)
	r.check()
	r.write("a.conf", "evil")
	r.do(os.Chtimes(r.path("a.conf"), info.ModTime(), info.ModTime()))
	r.want("same size, same time", "a.conf content")
}

func TestChangesWhileWeWereDown(t *testing.T) {
	r := newRig(t, nil)
	r.write("a.conf", "1")
	r.check()
	r.write("a.conf", "2")
	r.restart()
	r.want("seen after the restart", "a.conf content")
	r.restart()
	r.want("not told again")
	if got := r.value("file_changes_total", "content"); got != 1 {
		t.Errorf("counted %g times", got)
	}
	if r.value("file_changed_timestamp_seconds", "content") < 0 {
		t.Error("the change is not remembered")
	}
}

func TestAnotherDeclarationIsNoChange(t *testing.T) {
	r := newRig(t, nil)
	r.write("a.conf", "1")
	r.write("a.ini", "1")
	r.check()
	r.write("a.conf", "2")
	r.check()
	r.cfg.Files[0].Paths = []string{r.path("*.ini")}
	r.restart()
	r.want("other files are watched now")
	if r.value("file_changes_total", "content") != 1 {
		t.Error("the counter began anew")
	}
	r.cfg.Files = nil
	r.restart()
	r.check()
	if len(r.last.Ends) != 10 { // 8 reasons, the number of files, the change
		t.Errorf("ends: %v", r.last.Ends)
	}
	r.check()
	if len(r.last.Ends) != 0 {
		t.Errorf("told twice: %v", r.last.Ends)
	}
}

func TestChangesAreForgotten(t *testing.T) {
	r := newRig(t, nil)
	r.write("a.conf", "1")
	r.check()
	r.write("a.conf", "2")
	r.check()
	r.at = r.at.Add(24 * time.Hour)
	s := sink{err: errors.New("store is full")}
	if err := r.c.Collect(t.Context(), r.at, &s); !errors.Is(err, s.err) {
		t.Fatal(err)
	}
	r.restart() // the end was not taken
	r.check()
	if len(r.last.Ends) != 1 || r.last.Ends[0].Reason != ReasonForgotten {
		t.Errorf("ends: %v", r.last.Ends)
	}
	for i := range maxRemembered + 50 {
		r.write(fmt.Sprintf("n%03d.conf", i), "x")
	}
	if n := len(r.check()); n != maxRemembered {
		t.Errorf("%d changes are told one by one", n)
	}
	if got := r.value("file_changes_total", "created"); got != maxRemembered+50 {
		t.Errorf("%g are counted", got)
	}
}

func TestTooManyFiles(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxFiles = 2 })
	for i := range 3 {
		r.write(fmt.Sprintf("%d.conf", i), "x")
	}
	r.want("none is told")
	if len(r.last.Samples) != 0 {
		t.Errorf("delivered: %v", r.last.Samples)
	}
}

func TestLargeFilesBySizeAndTime(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxHashBytes = 10 })
	r.write("a.conf", strings.Repeat("x", 100))
	r.check()
	r.write("a.conf", strings.Repeat("x", 101))
	r.want("larger", "a.conf content")
}

const (
	passwd = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann:/home/ann:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n"
	shadow = "root:$6$salt$hash:19000:0:99999:7:::\nann:$6$abc$1:19000:0:::::\nbob:!:19000::::::\n"
)

func TestAccounts(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Files, c.Accounts = nil, true })
	hidden := 0
	r.adjust = func(c *Collector) {
		c.kinds[0].read = accounts{passwd: r.path("passwd"), shadow: r.path("shadow"), hidden: func() { hidden++ }}.read
	}
	r.restart()
	r.write("passwd", passwd)
	r.write("shadow", shadow)
	r.want("first check")
	r.write("shadow", strings.Replace(shadow, "$6$abc$1", "$6$def$2", 1))
	r.want("a password", "ann password")
	r.write("passwd", strings.Replace(passwd, "1001:1001::/home/bob:/bin/sh", "0:1001::/home/bob:/bin/bash", 1))
	r.want("a user becomes root", "bob shell", "bob uid")
	r.do(os.Remove(r.path("shadow")))
	r.want("passwords that cannot be read are no change")
	r.write("shadow", strings.Replace(shadow, "bob:!", "bob:$6$x$y", 1))
	r.want("changed meanwhile", "ann password", "bob password")
	r.write("passwd", passwd+"eve:x:0:0::/:/bin/sh\n")
	r.want("a new user", "bob shell", "bob uid", "eve created")
	r.write("passwd", "")
	r.want("all gone", "ann removed", "bob removed", "eve removed", "root removed")
	text, err := os.ReadFile(r.state())
	if err != nil || strings.Contains(string(text), "$6$") || strings.Contains(string(text), "/bin/") {
		t.Errorf("the state holds more than fingerprints: %v", err)
	}
	if hidden != 1 {
		t.Errorf("hidden passwords counted %d times", hidden)
	}
	for _, x := range r.last.Samples {
		if strings.Contains(x.Labels.String(), "$6$") {
			t.Errorf("a hash is delivered: %s", x.Labels)
		}
	}
}

func TestAccountsOfThisHost(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Files, c.Accounts, c.HostName, c.Ports = nil, true, true, true })
	r.want("nothing has changed")
	if r.value("accounts_watched", "") < 1 || r.value("hostname_changes_total", "name") != 0 || r.value("listening_ports_watched", "") < 0 {
		t.Errorf("delivered: %v", r.last.Samples)
	}
}

func TestHostName(t *testing.T) {
	name := "web-1"
	r := newRig(t, func(c *Config) { c.Files, c.HostName = nil, true })
	r.adjust = func(c *Collector) {
		c.kinds[0].read = func(context.Context) (snapshot, error) { return snapshot{"": {aspectName: name}}, nil }
	}
	r.restart()
	r.check()
	name = "web-2"
	r.want("renamed", "name")
}

func TestPorts(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		r := newRig(t, func(c *Config) { c.Files, c.Ports = nil, true })
		r.check()
		l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil && address == "::1" {
			continue // a machine without IPv6
		}
		r.do(err)
		_, port, err := net.SplitHostPort(l.Addr().String())
		r.do(err)
		has := func(what, line string) {
			t.Helper()
			// Other programs of this machine open ports too.
			if got := r.check(); !slices.Contains(got, line) {
				t.Errorf("%s: %q is not in %q", what, line, got)
			}
		}
		has("opened", "tcp "+address+" "+port+" created")
		r.do(l.Close())
		has("closed", "tcp "+address+" "+port+" removed")
	}
}

func TestSocketTables(t *testing.T) {
	const table = `  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000100007F:C350 01 00000000:00000000
`
	got, err := socketsOf(strings.NewReader(table), tcpListen)
	if err != nil || fmt.Sprint(got) != "[[::1]:8080 [::]:22]" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "0100007F", "01:50", "0100007G:0050", "0100007F:10000"} {
		if a, err := socketAddress(bad); err == nil {
			t.Errorf("%q is %s", bad, a)
		}
	}
}

// TestFirewall runs programs of the names that the rules are read with.
func TestFirewall(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Files, c.Firewall = nil, true })
	bin := t.TempDir()
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	program := func(name, script string) {
		r.do(os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	r.want("no firewall at all")
	program("iptables-save", `printf '# Generated on %s\n*filter\n:INPUT ACCEPT [12:3400]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n' "$(date +%N)"`)
	r.want("one appears", "iptables created")
	program("iptables-save", `printf '# Generated on another day\n*filter\n:INPUT ACCEPT [99:9999]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n'`)
	r.want("counters and times are no rules")
	program("iptables-save", `echo no permission >&2; exit 4`)
	r.want("rules that cannot be read are no change")
	program("iptables-save", `printf '*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n'`)
	r.want("a rule is gone", "iptables rules")
	program("nft", `[ "$*" = "--stateless list ruleset" ] && printf 'table inet f {\n\tset s { elements = { 10.0.0.1 expires 5m3s } }\n\tcounter packets 5 bytes 6\n}\n'`)
	r.want("another firewall", "nftables created")
	program("nft", `printf 'table inet f {\n  set s { elements = { 10.0.0.1 expires 1s } }\n counter packets 7 bytes 8 # handle 4\n}\n'`)
	r.want("what is left of a time, handles")
}

func TestBrokenState(t *testing.T) {
	for _, text := range []string{"{", `{"kinds":{"files/conf":{"spec":"x","things":{"a":null},"recent":[{}]}},"known":{"x":[[],null,["a"]]},"gone":[[]]}`} {
		r := newRig(t, nil)
		r.write("state/watch.json", text)
		r.write("a.conf", "1")
		r.want("begins anew")
	}
}

func TestRefusedConfigurations(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := DefaultConfig()
		c.Files = []FileSet{{Name: "a", Paths: []string{"/etc/*.conf"}}}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("interval", func(c *Config) { c.Interval = 0 })
	f("remember", func(c *Config) { c.Remember = 0 })
	f("files[0].name", func(c *Config) { c.Files[0].Name = "" })
	f("files[0].paths", func(c *Config) { c.Files[0].Paths = nil })
	f("files[0].paths[0]", func(c *Config) { c.Files[0].Paths[0] = "/etc/**.conf" })
	f("files[0].paths[0]", func(c *Config) { c.Files[0].Paths[0] = "[" })
	f("files[1].name", func(c *Config) { c.Files = append(c.Files, c.Files[0]) })
}
