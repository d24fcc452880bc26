package dashboards

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// The grid is 24 wide.
const (
	third  = 8
	half   = 12
	full   = 24
	height = 8
)

// source is the data source that the dashboard's variable names.
func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}
}

// of selects a metric's series of the chosen customer, by further matchers.
func of(metric string, matchers ...string) string {
	selector := `customer="$customer"`
	for _, m := range matchers {
		selector += "," + m
	}
	return fmt.Sprintf("%s{%s}", metric, selector)
}

// query is one PromQL expression and how its series are named.
type query struct{ expr, legend string }

func (q query) overTime(refID string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Expr(q.expr).LegendFormat(q.legend).RefId(refID).Range().Datasource(source())
}

func (q query) now(refID string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Expr(q.expr).LegendFormat(q.legend).RefId(refID).Instant().Datasource(source())
}

// levels colours values: green, and from each limit on the given colour.
func levels(first string, limits ...dashboard.Threshold) *dashboard.ThresholdsConfigBuilder {
	steps := append([]dashboard.Threshold{{Color: first}}, limits...)
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

func from(value float64, color string) dashboard.Threshold {
	return dashboard.Threshold{Value: &value, Color: color}
}

func refID(n int) string { return string(rune('A' + n)) }

// graph draws queries over time.
func graph(title, description, unit string, width uint32, queries ...query) *timeseries.PanelBuilder {
	panel := timeseries.NewPanelBuilder().
		Title(title).Description(description).Unit(unit).
		Span(width).Height(height).Datasource(source()).
		Legend(common.NewVizLegendOptionsBuilder().
			ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	for n, q := range queries {
		panel.WithTarget(q.overTime(refID(n)))
	}
	return panel
}

// percentGraph is a graph from 0 to 100 with a line at the contract's limit.
func percentGraph(title, description string, limit float64, queries ...query) *timeseries.PanelBuilder {
	return graph(title, description, "percent", third, queries...).Min(0).Max(100).
		Thresholds(levels("transparent", from(limit, "red"))).
		ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeLine))
}

// number shows the latest value of a query.
func number(title, description, unit string, q query) *stat.PanelBuilder {
	return stat.NewPanelBuilder().
		Title(title).Description(description).Unit(unit).
		Span(third).Height(5).Datasource(source()).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		WithTarget(q.now(refID(0)))
}

// list shows the series of a query as rows, without the columns in hide.
func list(title, description string, q query, hide ...string) *table.PanelBuilder {
	excluded := map[string]bool{"Time": true, "Value": true}
	for _, column := range hide {
		excluded[column] = true
	}
	return table.NewPanelBuilder().
		Title(title).Description(description).
		Span(full).Height(height).Datasource(source()).
		WithTarget(q.now(refID(0)).Format(prometheus.PromQueryFormatTable)).
		WithTransformation(dashboard.DataTransformerConfig{
			Id: "organize", Options: map[string]any{"excludeByName": excluded},
		})
}
