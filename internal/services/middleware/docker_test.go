//go:build services

package middleware

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/docker"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

// startDocker starts an engine at a socket, with an image "test:1" of one static
// program, and returns what calls its client; nil when it may not run here. The
// engine needs the right to mount and to make control groups, which many CI
// machines keep from their jobs. There the recorded answers in the collector's
// own tests stand in.
func startDocker(t testing.TB, dir, socket string) func(args ...string) string {
	t.Helper()
	dockerd, err := exec.LookPath("dockerd")
	if err != nil {
		t.Log("no Docker engine here: not tested against the real one")
		return nil
	}
	d := start(t, nil, dockerd, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"),
		"-H", "unix://"+socket, "--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none")
	call := []string{"-H", "unix://" + socket}
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if d.hasEnded() || time.Since(began) > patience {
			t.Logf("the Docker engine may not run here: not tested against it\n%s", tail(d.out.String()))
			return nil
		}
		if _, err := tryClient(t, nil, "docker", append(call, "version")...); err == nil {
			break
		}
	}
	cli := func(args ...string) string { return client(t, nil, "docker", append(call, args...)...) }
	image(t, dir, cli)
	return cli
}

// hungryContainer starts a container that uses up its quota of CPU and nearly
// all of its memory.
func hungryContainer(cli func(...string) string) {
	cli("run", "-d", "--name", "hungry", "--network", "none", "--memory", "64m", "--shm-size", "64m", "--cpus", "0.05", "test:1", "/bin/sh", "-c",
		"dd if=/dev/zero of=/dev/shm/x bs=1M count=59 2>/dev/null; while :; do :; done")
}

func TestDocker(t *testing.T) {
	dir := folder(t, "root/bin")
	socket := filepath.Join(dir, "d.sock")
	cli := startDocker(t, dir, socket)
	if cli == nil {
		return
	}
	c := must(docker.New("acme", docker.Config{Settings: server.Settings{Name: "host-1"}, Socket: socket}, metrics.NewSet(), servertest.Log))(t)
	hungryContainer(cli)
	cli("run", "-d", "--name", "calm", "--network", "none", "--memory", "64m", "test:1", "/bin/sh", "-c", "while :; do sleep 1; done")
	defer func() { cli("rm", "-f", "calm") }()

	j := newJudge(t)
	j.check(t, c)
	eventually(t, patience, "memory in use", func() error {
		if values(t, c)[`docker_container_memory_used_bytes{container="hungry"}`] < 59<<20 {
			return errNotYet
		}
		return nil
	})
	eventually(t, patience, "a quota in use", func() error {
		time.Sleep(2 * time.Second) // over which the use is measured
		if p := values(t, c)[`docker_container_cpu_used_percent{container="hungry"}`]; p < 95 || p > 115 {
			return fmt.Errorf("%v %%", p)
		}
		return nil
	})
	j.until(t, c, "quota and limit used up", func() { time.Sleep(2 * time.Second) }, "docker-cpu", "docker-memory")
	v := values(t, c)
	var shown struct{ MemUsage string }
	if err := json.Unmarshal([]byte(cli("stats", "--no-stream", "--format", "{{json .}}", "calm")), &shown); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(shown.MemUsage, "64MiB") {
		t.Errorf("docker stats says %q", shown.MemUsage)
	}
	near(t, v, `docker_container_memory_limit_bytes{container="calm"}`, 64<<20, 0)
	near(t, v, `docker_container_memory_used_bytes{container="calm"}`, 1<<20, 4<<20)
	near(t, v, `docker_container_cpu_used_percent{container="calm"}`, 0, 20)
	near(t, v, `docker_containers{state="running"}`, 2, 0)
	cli("rm", "-f", "hungry")
	j.check(t, c)
	j.want(t, "the calm one alone", "!docker-cpu", "!docker-memory")
	cli("run", "-d", "--name", "short", "--network", "none", "test:1", "/bin/sh", "-c", "while :; do sleep 1; done")
	values(t, c)
	cli("rm", "-f", "short")
	b := servertest.CollectAt(t, c, now())
	if len(b.Ends) == 0 {
		t.Error("a removed container does not end its series")
	}
}

// image makes an image of one static program.
func image(t testing.TB, dir string, cli func(...string) string) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "root", "bin")
	if err := os.WriteFile(filepath.Join(bin, "busybox"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sh", "sleep", "dd", "tr"} {
		if err := os.Symlink("busybox", filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	archive := filepath.Join(dir, "root.tar")
	client(t, nil, "tar", "-C", filepath.Join(dir, "root"), "-cf", archive, ".")
	cli("import", archive, "test:1")
}
