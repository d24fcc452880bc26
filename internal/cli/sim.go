package cli

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"watchkeeper/internal/sim/aliyun"
)

func newSim() *cobra.Command {
	c := &cobra.Command{
		Use:   "sim",
		Short: "Simulators of outside services, for trying things out",
	}
	c.AddCommand(newSimAliyun())
	return c
}

func newSimAliyun() *cobra.Command {
	cfg := aliyun.Config{Regions: []string{"cn-hangzhou"}, ECSInstances: 20, MissingRatio: 0.002}
	var listen string
	products := map[string]int{}
	c := &cobra.Command{
		Use:   "aliyun",
		Short: "Run a simulated Alibaba Cloud account on loopback",
		Long: `Serves a simulated Alibaba Cloud account: signed requests, paging, flow control, quota,
points that are published late. The AccessKey is testid / testsecret. Point an account
of the configuration at it with "scheme: http" and "endpoint: HOST:PORT".`,
		Example: `  watchkeeper sim aliyun --instances 200 --seed 7
  watchkeeper sim aliyun --instances 5 --products rds=10,slb=3,cdn=2 --regions cn-hangzhou,cn-beijing --calls-per-month 5000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Keys = []aliyun.Key{{ID: "testid", Secret: "testsecret"}}
			var err error
			if cfg.Products, err = simProducts(products); err != nil {
				return err
			}
			s, err := aliyun.New(cfg)
			if err != nil {
				return err
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("%w; set another address with --listen", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "simulated account with %s in %v at http://%s\n", simHolds(cfg.ECSInstances, products), cfg.Regions, l.Addr())
			return s.Serve(cmd.Context(), l)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9374", "address")
	c.Flags().Uint64Var(&cfg.Seed, "seed", 1, "decides every resource and value")
	c.Flags().IntVar(&cfg.ECSInstances, "instances", cfg.ECSInstances, "ECS instances")
	c.Flags().StringToIntVar(&products, "products", nil, "further products and how many of each: "+strings.Join(simNames(), ", "))
	c.Flags().IntVar(&cfg.QuotaPerMonth, "calls-per-month", 0, "metric queries that the account allows in a month; default: 1000000")
	c.Flags().StringSliceVar(&cfg.Regions, "regions", cfg.Regions, "regions")
	c.Flags().Float64Var(&cfg.MissingRatio, "missing", cfg.MissingRatio, "share of points that never come")
	return c
}

// simNamespaces are the products of a simulated account beside ECS, by the label
// product of their series.
var simNamespaces = map[string]string{
	"rds": "acs_rds_dashboard", "slb": "acs_slb_dashboard", "kvstore": "acs_kvstore", "mongodb": "acs_mongodb", "drds": "acs_drds",
	"cdn": "acs_cdn", "es-cloud": "acs_elasticsearch", "oss": "acs_oss_dashboard", "eip": "acs_vpc_eip", "alb": "acs_alb",
	"memcache": "acs_memcache",
}

func simNames() []string { return slices.Sorted(maps.Keys(simNamespaces)) }

func simProducts(sizes map[string]int) (map[string]int, error) {
	out := map[string]int{}
	for name, n := range sizes {
		namespace, ok := simNamespaces[name]
		if !ok {
			return nil, fmt.Errorf("--products: no product %q; there are %s", name, strings.Join(simNames(), ", "))
		}
		out[namespace] = n
	}
	return out, nil
}

// simHolds says what the account holds: "20 ecs, 3 rds".
func simHolds(instances int, products map[string]int) string {
	out := fmt.Sprintf("%d ecs", instances)
	for _, name := range slices.Sorted(maps.Keys(products)) {
		out += fmt.Sprintf(", %d %s", products[name], name)
	}
	return out
}
