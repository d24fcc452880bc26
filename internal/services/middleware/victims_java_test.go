//go:build services

package middleware

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/services/ports"
)

// nonHeapLimits are a JVM's limits of what is not heap, in MiB. Without a space of
// their own for classes, which has a least size, both can be filled.
func nonHeapLimits(metaspace, code int) []string {
	return []string{"-XX:-UseCompressedClassPointers", fmt.Sprintf("-XX:MaxMetaspaceSize=%dm", metaspace), fmt.Sprintf("-XX:ReservedCodeCacheSize=%dm", code)}
}

func javaVictim(t testing.TB) victim {
	dir, port := folder(t), ports.Free(t)
	url := "http://127.0.0.1:" + port
	r := restart{"java-restarted", "jvm", "java_uptime_seconds", pace}
	return victim{
		name: "java", watched: map[string][]string{"middleware.java": {fmt.Sprintf(`name: jvm, url: "%s/jolokia"`, url)}},
		provoke: func(t *testing.T, p *wholePath) {
			compile(t, dir, "testdata/Target.java")
			d := startTarget(t, dir, "Target", port)
			p.good(t, "java_heap_used_bytes", "jvm", "java-heap", "java-nonheap")
			p.fires(t, "java-heap", "jvm", func() { get(t, url+"/fill") })
			n := r.matures(t, p)
			d.kill()
			time.Sleep(outlasting(pace))
			startTarget(t, dir, "Target", port, nonHeapLimits(24, 5)...)
			r.once(t, p, n, func() { p.fires(t, "java-nonheap", "jvm", func() { get(t, url+"/classes") }) })
			p.recovers(t, "java-heap", "jvm")
		},
		busy: func(t *testing.T, p *wholePath) {
			compile(t, dir, "testdata/Target.java")
			d := startTarget(t, dir, "Target", port)
			eventually(t, patience, "the JVM", func() error { return answersHTTP(url + "/burn") })
			p.fires(t, "java-cpu", "jvm", nil)
			d.kill()
		},
	}
}

func answersHTTP(url string) error {
	c, err := (&net.Dialer{Timeout: time.Second}).Dial("tcp", strings.TrimPrefix(url[:strings.LastIndex(url, "/")], "http://"))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.0\r\n\r\n", url[strings.LastIndex(url, "/"):])
	if err != nil {
		return err
	}
	b, err := io.ReadAll(c)
	if err == nil && !strings.Contains(string(b), "200") {
		err = fmt.Errorf("answer %q", b)
	}
	return err
}

func tomcatVictim(t testing.TB) victim {
	s := newTomcat(t)
	r := restart{"tomcat-restarted", "shop", "tomcat_uptime_seconds", pace}
	return victim{
		name: "tomcat", watched: map[string][]string{"middleware.tomcat": {fmt.Sprintf(`name: shop, url: "%s", username: mon, password_file: %q`, s.url("/manager"), servertest.PasswordFile(t, "wk-tomcat-pass"))}},
		provoke: func(t *testing.T, p *wholePath) {
			d := s.start(t)
			p.good(t, "tomcat_heap_used_bytes", "shop", "tomcat-heap", "tomcat-nonheap")
			p.fires(t, "tomcat-heap", "shop", func() { get(t, s.url("/fill.jsp?fill")) })
			get(t, s.url("/fill.jsp"))
			p.recovers(t, "tomcat-heap", "shop")
			n := r.matures(t, p)
			d.kill()
			time.Sleep(outlasting(pace))
			limited := s
			limited.env = append(limited.env[:len(s.env)-1:len(s.env)-1], s.env[len(s.env)-1]+" "+strings.Join(nonHeapLimits(96, 5), " "))
			limited.start(t)
			r.once(t, p, n, func() { p.fires(t, "tomcat-nonheap", "shop", func() { get(t, s.url("/fill.jsp?classes")) }) })
		},
		busy: func(t *testing.T, p *wholePath) {
			d := s.start(t)
			eventually(t, patience, "Tomcat", func() error { return answersHTTP(s.url("/fill.jsp?burn")) })
			p.fires(t, "tomcat-cpu", "shop", nil)
			d.kill()
		},
	}
}

func kafkaVictim(t testing.TB) victim {
	dir, port := folder(t), ports.Free(t)
	url := "http://127.0.0.1:" + port + "/jolokia"
	values := []struct{ row, bean, attribute, good, bad string }{
		{"kafka-under-replicated", "kafka.server:type=ReplicaManager,name=UnderReplicatedPartitions", "Value", "0", "3"},
		{"kafka-queue-time", "kafka.network:type=RequestMetrics,name=RequestQueueTimeMs,request=Produce", "99thPercentile", "1.5", "4000.5"},
		{"kafka-response-time", "kafka.network:type=RequestMetrics,name=ResponseQueueTimeMs,request=FetchConsumer", "99thPercentile", "1.5", "4000.5"},
	}
	return victim{
		name: "kafka", watched: map[string][]string{"middleware.kafka": {fmt.Sprintf(`name: broker, url: "%s"`, url)}},
		provoke: func(t *testing.T, p *wholePath) {
			compile(t, dir, "testdata/Target.java", "testdata/Broker.java")
			startTarget(t, dir, "Broker", port)
			write := func(bean, attribute, value string) {
				client(t, nil, "curl", "-sfm", "20", "-d", `{"type":"write","mbean":"`+bean+`","attribute":"`+attribute+`","value":`+value+`}`, url)
			}
			p.good(t, "kafka_messages_in_total", "broker", "kafka-under-replicated", "kafka-queue-time", "kafka-response-time")
			for _, v := range values {
				write(v.bean, v.attribute, v.bad)
			}
			for _, v := range values {
				p.fires(t, v.row, "broker", nil)
				write(v.bean, v.attribute, v.good)
			}
			for _, v := range values {
				p.recovers(t, v.row, "broker")
			}
		},
	}
}

// zooVictim is an ensemble whose followers hang: the leader holds what it is
// asked until they go on.
func zooVictim(t testing.TB) victim {
	var servers string
	var clients, dirs []string
	v := victim{name: "zookeeper", watched: make(map[string][]string)}
	for i := 1; i <= 3; i++ {
		servers += fmt.Sprintf("server.%d=127.0.0.1:%s:%s\n", i, ports.Free(t), ports.Free(t))
		clients, dirs = append(clients, ports.Free(t)), append(dirs, folder(t, "data"))
		write(t, filepath.Join(dirs[i-1], "data", "myid"), fmt.Sprint(i))
		v.watched["middleware.zookeeper"] = append(v.watched["middleware.zookeeper"], fmt.Sprintf(`name: zoo-%d, address: "127.0.0.1:%s"`, i, clients[i-1]))
	}
	// The leader must bear the hanging longer than the test takes.
	servers = "syncLimit=1200\n" + servers
	v.provoke = func(t *testing.T, p *wholePath) {
		var members []*daemon
		for i := range clients {
			members = append(members, startZooKeeper(t, dirs[i], clients[i], servers))
		}
		leader := -1
		for i := range members {
			p.good(t, "zookeeper_uptime_seconds", fmt.Sprintf("zoo-%d", i+1), "zookeeper-outstanding", "zookeeper-latency", "zookeeper-fds")
			if mntr(t, clients[i])["zk_server_state"] == "leader" {
				leader = i
			}
		}
		if leader < 0 {
			t.Fatal("nobody leads")
		}
		name := fmt.Sprintf("zoo-%d", leader+1)
		eventually(t, patience, "followers in step", func() error {
			if synced := mntr(t, clients[leader])["zk_synced_followers"]; synced != "2" {
				return fmt.Errorf("%q", synced)
			}
			return nil
		})
		signal := func(s syscall.Signal) {
			for i, m := range members {
				if i != leader {
					if err := syscall.Kill(-m.cmd.Process.Pid, s); err != nil {
						t.Error(err)
					}
				}
			}
		}
		signal(syscall.SIGSTOP)
		defer signal(syscall.SIGCONT)
		// Each new session is a change that the followers must acknowledge.
		for range 30 {
			c := dial(t, clients[leader])
			defer c.Close()
			if _, err := c.Write(zooConnect); err != nil {
				t.Fatal(err)
			}
		}
		p.fires(t, "zookeeper-outstanding", name, nil)
		signal(syscall.SIGCONT)
		p.recovers(t, "zookeeper-outstanding", name)
		p.fires(t, "zookeeper-latency", name, nil)
	}
	return v
}

// zooConnect asks ZooKeeper for a session: length, protocol version, last
// transaction seen, time-out of ten minutes, no session, no password.
var zooConnect = append([]byte{0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0x27, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16}, make([]byte, 16)...)

// zooFilesVictim may open few files.
func zooFilesVictim(t testing.TB) victim {
	dir, port := folder(t, "data"), ports.Free(t)
	return victim{
		name: "zookeeper with few files", watched: map[string][]string{"middleware.zookeeper": {fmt.Sprintf(`name: zoo-files, address: "127.0.0.1:%s"`, port)}},
		provoke: func(t *testing.T, p *wholePath) {
			startLimitedZooKeeper(t, dir, port)
			p.good(t, "zookeeper_max_file_descriptors", "zoo-files", "zookeeper-fds")
			hold := holdFiles(t, port)
			p.fires(t, "zookeeper-fds", "zoo-files", func() { _ = hold() })
		},
	}
}
