//go:build services

package middleware

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/rabbitmq"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/services/ports"
)

func dial(t testing.TB, port string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const rabbitConf = `
listeners.tcp.1 = 127.0.0.1:PORT
management.tcp.ip = 127.0.0.1
management.tcp.port = API
loopback_users = none
default_user = admin
default_pass = wk-admin-pass
default_user_tags.administrator = true
log.console = true
log.file = false
vm_memory_high_watermark.absolute = 256MB
disk_free_limit.absolute = 50MB
collect_statistics_interval = 1000
handshake_timeout = 600000
`

// rabbitMQ is one node with an own folder and name service.
type rabbitMQ struct {
	port, api, epmd string
	env             []string
}

// newRabbitMQ prepares a node; more are arguments of its virtual machine.
func newRabbitMQ(t testing.TB, more string) rabbitMQ {
	t.Helper()
	dir := folder(t, "home", "db", "log")
	r := rabbitMQ{port: ports.Free(t), api: ports.Free(t), epmd: ports.Free(t)}
	write(t, filepath.Join(dir, "plugins"), "[rabbitmq_management].")
	write(t, filepath.Join(dir, "rabbitmq.conf"), rabbitConf, "PORT", r.port, "API", r.api)
	r.env = []string{"HOME=" + filepath.Join(dir, "home"), "RABBITMQ_NODENAME=wk" + r.port + "@localhost", "RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"), "RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "db"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"), "RABBITMQ_DIST_PORT=" + ports.Free(t), "ERL_EPMD_PORT=" + r.epmd, "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none +A 4 -kernel inet_dist_use_interface {127,0,0,1} " + more}
	return r
}

// start starts the node with a limit of open files, unless that is empty.
func (r rabbitMQ) start(t testing.TB, files string) *daemon {
	t.Helper()
	start(t, r.env, "epmd", "-port", r.epmd, "-address", "127.0.0.1")
	const node = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if files != "" {
		return start(t, r.env, "bash", "-c", `ulimit -n $1; exec `+node, "-", files)
	}
	return start(t, r.env, node)
}

func (r rabbitMQ) ctl(t testing.TB, args ...string) string {
	t.Helper()
	return client(t, r.env, "/usr/lib/rabbitmq/bin/rabbitmqctl", args...)
}

func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	r := newRabbitMQ(t, "")
	port, api, d := r.port, r.api, r.start(t, "")
	ctl := func(args ...string) string { return r.ctl(t, args...) }
	collector := func(user, password string) *server.Collector {
		cfg := rabbitmq.Config{Settings: server.Settings{Name: "mq"}, HTTP: server.HTTP{URL: "http://127.0.0.1:" + api,
			Credentials: server.Credentials{Username: user, PasswordFile: servertest.PasswordFile(t, password)}}}
		return must(rabbitmq.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
	}
	answers(t, d, collector("admin", "wk-admin-pass"))
	ctl("add_user", "watchkeeper", "wk-mon-pass")
	ctl("set_user_tags", "watchkeeper", "monitoring")
	ctl("set_permissions", "watchkeeper", "^$", "^$", ".*")
	c := collector("watchkeeper", "wk-mon-pass")
	node := `{node="wk` + port + `@localhost"}`
	eventually(t, patience, "the node's figures", func() error {
		if _, ok := values(t, c)["rabbitmq_file_descriptors_used"+node]; !ok {
			return errNotYet
		}
		return nil
	})

	admin := func(method, path, body string) string {
		return client(t, nil, "curl", "-sfm", "10", "-u", "admin:wk-admin-pass", "-X", method, "-H", "content-type: application/json", "-d", body,
			"http://127.0.0.1:"+api+"/api/"+path)
	}
	admin("PUT", "queues/%2F/orders", `{"durable":true}`)
	for range 3 {
		admin("POST", "exchanges/%2F/amq.default/publish", `{"properties":{},"routing_key":"orders","payload":"x","payload_encoding":"string"}`)
	}
	eventually(t, patience, "three messages", func() error {
		if n := values(t, c)[`rabbitmq_queue_messages{queue="orders",state="ready",vhost="/"}`]; n != 3 {
			return fmt.Errorf("%v messages", n)
		}
		return nil
	})
	v := values(t, c)
	var status struct {
		Memory    struct{ Total map[string]float64 } `json:"memory"`
		Limit     float64                            `json:"vm_memory_limit"`
		DiskFree  float64                            `json:"disk_free"`
		DiskLimit float64                            `json:"disk_free_limit"`
		Processes struct{ Limit, Used float64 }      `json:"processes"`
	}
	if err := json.Unmarshal([]byte(ctl("status", "--formatter", "json")), &status); err != nil {
		t.Fatal(err)
	}
	near(t, v, "rabbitmq_disk_free_limit_bytes"+node, status.DiskLimit, 0)
	near(t, v, "rabbitmq_disk_free_bytes"+node, status.DiskFree, 4<<30)
	near(t, v, "rabbitmq_erlang_processes_limit"+node, status.Processes.Limit, 0)
	near(t, v, "rabbitmq_erlang_processes_used"+node, status.Processes.Used, 60)
	near(t, v, "rabbitmq_memory_limit_bytes"+node, 256e6, 0)
	near(t, v, "rabbitmq_health_code"+node, 0, 0)

	rows := []string{"rabbitmq-disk", "rabbitmq-fds", "rabbitmq-memory", "rabbitmq-processes", "rabbitmq-sockets", "rabbitmq-health"}
	j := newJudge(t)
	j.check(t, c)
	for _, row := range rows {
		j.want(t, "healthy", "!"+row)
	}
	// More free disk is asked for than there is.
	ctl("set_disk_free_limit", "900000000000000")
	raised := func(series string, want float64) {
		t.Helper()
		eventually(t, patience, series, func() error {
			if values(t, c)[series] != want {
				return errNotYet
			}
			return nil
		})
	}
	raised(`rabbitmq_alarm{alarm="disk",node="wk`+port+`@localhost"}`, 1)
	j.check(t, c)
	j.want(t, "disk limit", "rabbitmq-disk", "rabbitmq-health", "!rabbitmq-memory")
	ctl("set_disk_free_limit", "50MB")
	raised("rabbitmq_health_code"+node, 0)
	// Less memory is allowed than is used.
	ctl("set_vm_memory_high_watermark", "absolute", "20MB")
	raised("rabbitmq_health_code"+node, 1)
	raised("rabbitmq_memory_limit_bytes"+node, 20e6)
	j.check(t, c)
	j.want(t, "memory limit", "rabbitmq-memory", "rabbitmq-health", "!rabbitmq-disk")

	fails(t, collector("watchkeeper", "s3cr3t/pass+word"), server.ReasonAuth)
	d.kill()
	eventually(t, patience, "the node to end", func() error {
		if c.Collect(t.Context(), now(), new(servertest.Sink)) == nil {
			return errNotYet
		}
		return nil
	})
	fails(t, c, server.ReasonConnect)
}
