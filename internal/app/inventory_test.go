package app_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"watchkeeper/internal/app/apptest"
	sim "watchkeeper/internal/sim/aliyun"
)

// Since when a resource is known survives a restart, and only what is new is
// found; the asset file says whose it is.
func TestRestartFindsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	old, fresh := c.instance, c.Instances("acs_ecs_dashboard")[1]
	c.inject(t, sim.Create{Instance: fresh, At: time.Now().Add(24 * time.Hour)}, sim.Expire{Instance: old, At: time.Now().Add(48 * time.Hour)})
	config := listeners + "rules: {packs: [expiry]}\n" + strings.Replace(c.customer(), "{name: main,", "{name: main, asset_file: assets.yml,", 1)
	dir := files(t, map[string]string{
		"watchkeeper.yml": config, "cloud-secret": cloudKey.Secret, "assets.yml": fmt.Sprintf("resources: {%s: {owner: li.na}}\n", old),
	})
	file := filepath.Join(dir, "watchkeeper.yml")
	since := func(s *server) map[string]string {
		out := map[string]string{}
		for _, r := range query(s, `count_values by (instance) ("since", aliyun_resource_first_seen_timestamp_seconds)`) {
			out[r.Metric["instance"]] = r.Metric["since"]
		}
		return out
	}
	s := serve(t, file)
	apptest.Until(t, "the instance is listed", func() bool { return len(since(s)) == 1 })
	before := since(s)
	if got := query(s, `aliyun_resource_expiry_timestamp_seconds - time() < 3*86400 and on (instance) aliyun_ecs_info{owner="li.na"}`); len(got) != 1 {
		t.Errorf("expiring instances of li.na: %v", got)
	}
	s.stop()

	c.ClearFaults() // the other instance is there now
	s = serve(t, file)
	apptest.Until(t, "the new instance is found", func() bool { return len(since(s)) == 2 })
	if after := since(s); before[old] == "" || after[old] != before[old] || after[fresh] == before[old] {
		t.Errorf("known since %v, then %v", before, after)
	}
	log := s.log.String()
	if strings.Count(log, `msg="resource found"`) != 1 || !strings.Contains(log, "instance="+fresh) || strings.Contains(log, `msg="inventory begins"`) {
		t.Errorf("log of the second run:\n%s", log)
	}
}
