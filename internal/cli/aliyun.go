package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/exporters/aliyun/cdn"
	"watchkeeper/exporters/aliyun/performance"
	"watchkeeper/internal/table"
)

func newAliyun() *cobra.Command {
	c := &cobra.Command{
		Use:   "aliyun",
		Short: "What is collected from Alibaba Cloud, and what it costs",
	}
	c.AddCommand(newAliyunCatalog(), newAliyunPlan())
	return c
}

// catalogEntry is a line of the catalogue.
type catalogEntry struct {
	Product   string   `json:"product"`
	API       string   `json:"api"`
	Namespace string   `json:"namespace,omitempty"`
	Metric    string   `json:"metric"` // MetricName, or KEY&part of RDS' performance
	Name      string   `json:"name"`   // of the series
	Period    int      `json:"period_seconds,omitempty"`
	Statistic string   `json:"statistic,omitempty"`
	Lane      string   `json:"lane,omitempty"`
	Unit      string   `json:"unit,omitempty"`
	Rows      []string `json:"rows,omitempty"` // of the contract's alarm table
	Help      string   `json:"help,omitempty"`
	Note      string   `json:"note,omitempty"`
}

func newAliyunCatalog() *cobra.Command {
	var (
		f               format
		products        []string
		files, keyFiles []string
	)
	c := &cobra.Command{
		Use:   "catalog",
		Short: "List the metrics of Alibaba Cloud that are known, and what they become",
		Long: `Lists every metric that can be collected: CloudMonitor's, the counters of RDS instances
and the requests of CDN domains, with the name of the series, the period, the statistic
that is taken (the first one that a point has), the lane and the contract's row.

Lanes: alarm, each minute's point, polled every interval; fast, polled every
fast_interval; normal, a point every five minutes; off, known and not collected.`,
		Example: `  watchkeeper aliyun catalog
  watchkeeper aliyun catalog --product rds --product cdn
  watchkeeper aliyun catalog --product ecs --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			known, err := catalog.Load(files...)
			if err != nil {
				return err
			}
			for _, p := range products {
				if !slices.Contains(known.Products(), p) {
					return fmt.Errorf("--product: the catalogue has no product %q; it has %s", p, strings.Join(known.Products(), ", "))
				}
			}
			entries, err := catalogEntries(known, keyFiles)
			if err != nil {
				return err
			}
			entries = slices.DeleteFunc(entries, func(e catalogEntry) bool { return len(products) > 0 && !slices.Contains(products, e.Product) })
			if f == "json" {
				return printJSON(cmd.OutOrStdout(), entries)
			}
			var rows [][]string
			for _, e := range entries {
				period := ""
				if e.Period > 0 {
					period = strconv.Itoa(e.Period)
				}
				rows = append(rows, []string{e.Product, e.Metric, e.Name, period, e.Statistic, e.Lane, e.Unit, strings.Join(e.Rows, " ")})
			}
			return table.Write(cmd.OutOrStdout(), []string{"PRODUCT", "METRIC", "NAME", "PERIOD", "STATISTIC", "LANE", "UNIT", "CONTRACT ROW"}, rows)
		},
	}
	f.flag(c)
	c.Flags().StringSliceVar(&products, "product", nil, "only these products")
	c.Flags().StringSliceVar(&files, "catalog-file", nil, "a file of catalog_files besides the shipped ones")
	c.Flags().StringSliceVar(&keyFiles, "key-file", nil, "a file of performance.key_files besides the shipped keys")
	return c
}

func catalogEntries(known *catalog.Catalog, keyFiles []string) ([]catalogEntry, error) {
	var out []catalogEntry
	for _, m := range known.Metrics() {
		out = append(out, catalogEntry{
			Product: m.Product, API: "Cms.DescribeMetricList", Namespace: m.Namespace, Metric: m.Metric, Name: m.Name, Period: m.Period(),
			Statistic: strings.Join(m.Statistics, ","), Lane: string(m.Lane), Unit: m.Unit, Rows: m.Rows, Help: m.Help, Note: m.Note,
		})
	}
	keys, err := performance.LoadKeys(keyFiles...)
	if err != nil {
		return nil, err
	}
	for _, e := range keys.Engines {
		for _, k := range e.Keys {
			entry := catalogEntry{Product: "rds", API: "Rds.DescribeDBInstancePerformance"}
			for _, p := range k.Parts {
				entry.Metric, entry.Name = k.Key, p.Name
				if len(p.Part) > 0 {
					entry.Metric += "&" + p.Part[0]
				}
				out = append(out, entry)
			}
			if k.Generic {
				entry.Metric, entry.Name, entry.Note = k.Key, performance.GenericMetric, "by the labels key and part; its form is not documented"
				out = append(out, entry)
			}
		}
	}
	for _, name := range []string{performance.SlowQueries, performance.SlowLongest} {
		out = append(out, catalogEntry{Product: "rds", API: "Rds.DescribeSlowLogRecords", Metric: "slow log", Name: name, Period: 300})
	}
	for api, name := range map[string]string{"DescribeDomainHttpCodeData": cdn.Requests, "DescribeDomainSrcHttpCodeData": cdn.OriginRequests} {
		out = append(out, catalogEntry{Product: "cdn", API: "Cdn." + api, Metric: "requests by status", Name: name, Period: 300, Unit: "requests", Note: "by the label class"})
	}
	slices.SortStableFunc(out, func(a, b catalogEntry) int {
		return strings.Compare(a.Product+a.API+a.Namespace, b.Product+b.API+b.Namespace)
	})
	if len(out) == 0 {
		return nil, fmt.Errorf("the catalogue is empty")
	}
	return out, nil
}

// countedMetrics are the metrics that the cloud's collectors deliver beside
// CloudMonitor's.
func countedMetrics(known *catalog.Catalog) (map[string]bool, error) {
	entries, err := catalogEntries(known, nil)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{
		aliyun.MetricMonthCalls: true, aliyun.MetricMonthForecast: true, aliyun.MetricMonthLimit: true, aliyun.MetricDegradeLevel: true,
	}
	for _, e := range entries {
		out[e.Name] = true
	}
	return out, nil
}
