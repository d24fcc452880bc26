package cli

import (
	"fmt"
	"net"

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
	c := &cobra.Command{
		Use:   "aliyun",
		Short: "Run a simulated Alibaba Cloud account on loopback",
		Long: `Serves a simulated Alibaba Cloud account: signed requests, paging, flow control, quota, points that
are published late. The AccessKey is testid / testsecret. Point an account of the configuration at it
with "scheme: http" and "endpoint: HOST:PORT".`,
		Example: `  watchkeeper sim aliyun --instances 200 --seed 7`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Keys = []aliyun.Key{{ID: "testid", Secret: "testsecret"}}
			s, err := aliyun.New(cfg)
			if err != nil {
				return usageError{err}
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("%w; set another address with --listen", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "simulated account with %d instances in %v at http://%s\n", cfg.ECSInstances, cfg.Regions, l.Addr())
			return s.Serve(cmd.Context(), l)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9374", "address")
	c.Flags().Uint64Var(&cfg.Seed, "seed", 1, "decides every resource and value")
	c.Flags().IntVar(&cfg.ECSInstances, "instances", cfg.ECSInstances, "ECS instances")
	c.Flags().StringSliceVar(&cfg.Regions, "regions", cfg.Regions, "regions")
	c.Flags().Float64Var(&cfg.MissingRatio, "missing", cfg.MissingRatio, "share of points that never come")
	return c
}
