package app_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"watchkeeper/internal/app/apptest"
	sim "watchkeeper/internal/sim/aliyun"
)

// refuses opens an App that must not start and holds the error against what it
// has to say. A refused start leaves nothing behind: the same file opens once
// the fault is gone.
func refuses(t *testing.T, file string, says ...string) {
	t.Helper()
	a, err := open(file, &logBuffer{})
	if err == nil {
		a.Close()
		t.Fatal("it opened")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has more than one line: %v", err)
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestOccupiedPort(t *testing.T) {
	t.Parallel()
	for _, section := range []string{"api", "ingest"} {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		text := `{listen: "127.0.0.1:0"}`
		sections := map[string]string{"api": text, "ingest": text}
		sections[section] = `{listen: "` + taken.Addr().String() + `"}`
		dir := files(t, map[string]string{"watchkeeper.yml": "data_dir: data\napi: " + sections["api"] + "\ningest: " + sections["ingest"] + "\n"})
		file := filepath.Join(dir, "watchkeeper.yml")
		refuses(t, file, section+".listen", taken.Addr().String(), "address already in use")
		if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
			t.Error("a start that failed made the data folder")
		}
		taken.Close()
		serve(t, file).stop()
	}
}

func TestSecondServerOnTheFolder(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"watchkeeper.yml": listeners})
	file := filepath.Join(dir, "watchkeeper.yml")
	first := serve(t, file)
	refuses(t, file, "data folder", "in use by process", "stop it first")
	first.stop()
	serve(t, file).stop()
}

func TestDataFolderBelowAFile(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"watchkeeper.yml": strings.Replace(listeners, "data_dir: data", "data_dir: file/data", 1), "file": "not a folder"})
	refuses(t, filepath.Join(dir, "watchkeeper.yml"), "data folder", "not a directory")
}

// A folder that cannot be written: by its mode for a user, by a read-only mount
// for root, whom modes do not stop.
func TestReadOnlyDataFolder(t *testing.T) {
	dir := files(t, map[string]string{"watchkeeper.yml": listeners})
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := syscall.Mount("tmpfs", data, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
			t.Logf("root may not mount here (%v): the folder is made immutable instead", err)
			if out, err := exec.Command("chattr", "+i", data).CombinedOutput(); err != nil {
				t.Logf("nor that (%s): what remains is covered by TestDataFolderBelowAFile", out)
				return
			}
			t.Cleanup(func() { _ = exec.Command("chattr", "-i", data).Run() })
		} else {
			t.Cleanup(func() { _ = syscall.Unmount(data, 0) })
		}
	}
	refuses(t, filepath.Join(dir, "watchkeeper.yml"), "data folder", "not writable")
}

// A wrong AccessKey is no reason to stop: the source is shown as down, every
// failed try is counted, and the right key works without a restart.
func TestWrongAccessKey(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	dir := files(t, map[string]string{"watchkeeper.yml": listeners + c.customer(), "cloud-secret": "not-the-secret"})
	s := serve(t, filepath.Join(dir, "watchkeeper.yml"))
	apptest.Until(t, "failed calls in the metrics", func() bool { return sum(s, "watchkeeper_aliyun_call_failures_total{") >= 2 })
	apptest.Until(t, "failed collections in the metrics", func() bool { return sum(s, "watchkeeper_exporters_collection_failures_total{") > 0 })
	apptest.Until(t, "the reason in the log", func() bool { return strings.Contains(s.log.String(), "SignatureDoesNotMatch") })
	if strings.Contains(s.log.String(), "not-the-secret") {
		t.Error("the log shows the wrong secret")
	}
	healthy(s)
	write(t, filepath.Join(dir, "cloud-secret"), cloudKey.Secret)
	apptest.Until(t, "samples after the key was put right", func() bool { return len(query(s, "aliyun_ecs_cpu_utilization_percent")) == 2 })
}

// An endpoint that nobody listens at, and later somebody does.
func TestUnreachableCloud(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := files(t, map[string]string{"watchkeeper.yml": listeners + account(address), "cloud-secret": cloudKey.Secret})
	s := serve(t, filepath.Join(dir, "watchkeeper.yml"))
	apptest.Until(t, "failed calls in the metrics", func() bool { return sum(s, "watchkeeper_aliyun_call_failures_total{") >= 2 })
	apptest.Until(t, "the reason in the log", func() bool { return strings.Contains(s.log.String(), "connection refused") })
	healthy(s)
}

// The cloud throttles, cuts connections and answers nonsense, and recovers.
func TestFailingCloudRecovers(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	c.inject(t, sim.Throttle{When: sim.When{Count: 3}})
	for _, kind := range []sim.OutageKind{sim.InternalError, sim.Reset, sim.Truncated, sim.NotJSON} {
		c.inject(t, sim.Outage{When: sim.When{Count: 2}, Kind: kind})
	}
	dir := files(t, map[string]string{"watchkeeper.yml": listeners + c.customer(), "cloud-secret": cloudKey.Secret})
	s := serve(t, filepath.Join(dir, "watchkeeper.yml"))
	apptest.Until(t, "samples after the faults", func() bool { return len(query(s, "aliyun_ecs_cpu_utilization_percent")) == 2 })
	if sum(s, "watchkeeper_aliyun_call_failures_total{") == 0 {
		t.Error("the faults are not in the metrics")
	}
	healthy(s)
}

func healthy(s *server) {
	s.t.Helper()
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		if code, body := apptest.Get(s.URL() + path); code != http.StatusOK {
			s.t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if strings.Contains(s.log.String(), "panic") {
		s.t.Error("there is a panic in the log")
	}
}
