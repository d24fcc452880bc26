package dashboards

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"watchkeeper/ruleset/contract"
)

// Series that the product itself writes, beside the catalog's metrics.
const (
	alertsMetric   = "ALERTS"                // Prometheus's own name for the alerts of its rules
	sourceUpMetric = "watchkeeper_source_up" // 1 at each check at which a source looked, else 0
)

// customerOverview answers at a glance: is this customer's service up, what
// fires, are its machines near the contract's limits, and are we looking at all.
func customerOverview() (dashboard.Dashboard, error) {
	b := dashboard.NewDashboardBuilder("Customer overview").
		Uid("watchkeeper-customer").
		Description("One customer's service: availability, alerts, resources against the contract's limits, probes and sources.").
		Tags([]string{"watchkeeper", "generated"}).
		Readonly().
		Timezone("browser").
		Time("now-24h", "now").
		Refresh("1m").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus").
			Current(dashboard.VariableOption{
				Text:  dashboard.StringOrArrayOfString{String: cog.ToPtr(DataSourceUID)},
				Value: dashboard.StringOrArrayOfString{String: cog.ToPtr(DataSourceUID)},
			})).
		WithVariable(dashboard.NewQueryVariableBuilder("customer").Label("Customer").
			Datasource(source()).
			Query(dashboard.StringOrMap{String: cog.ToPtr(fmt.Sprintf("label_values(%s, customer)", sourceUpMetric))}).
			Refresh(dashboard.VariableRefreshOnDashboardLoad).
			Sort(dashboard.VariableSortAlphabeticalAsc))
	addService(b)
	addProbes(b)
	addECS(b)
	addHosts(b)
	addSources(b)
	return b.Build()
}

// addService shows the answer first: how available, how many alerts, which.
func addService(b *dashboard.DashboardBuilder) {
	firing := of(alertsMetric, `alertstate="firing"`)
	good := fmt.Sprintf("avg(avg_over_time((%s == bool 0)[$__range:1m]))", of(contract.ProbeHTTPCode))
	b.WithRow(dashboard.NewRowBuilder("Service")).
		WithPanel(number("Availability of sites", "Share of good checks over the shown time, all sites and vantage points. The contract's figure is in its report.", "percentunit",
			query{good, ""}).Decimals(4).Thresholds(levels("red", from(0.999, "green")))).
		WithPanel(number("Firing alerts", "Alerts that fire now.", "none",
			query{fmt.Sprintf("count(%s) or vector(0)", firing), ""}).Thresholds(levels("green", from(1, "red")))).
		WithPanel(number("Sources not seen", "Sources whose last look failed.", "none",
			query{fmt.Sprintf("count(%s == 0) or vector(0)", of(sourceUpMetric)), ""}).Thresholds(levels("green", from(1, "red")))).
		WithPanel(list("Firing alerts", "What fires now, with the contract's severity.", query{firing, ""}, "__name__", "alertstate", "customer"))
}

func addProbes(b *dashboard.DashboardBuilder) {
	const name = "{{target}} {{vantage}}"
	b.WithRow(dashboard.NewRowBuilder("Probes")).
		WithPanel(graph("Probe codes", "0 is good; anything else says how the check failed.", "none", half,
			query{of(contract.ProbeHTTPCode), "site " + name},
			query{of(contract.ProbeTCPCode), "port " + name},
			query{of(contract.ProbeICMPCode), "ping " + name}).Min(0)).
		WithPanel(graph("Probe latency", "Time to the answer; no point where there was none.", "s", half,
			query{of(contract.ProbeHTTPDurationSeconds), "site " + name},
			query{of(contract.ProbeTCPConnectDurationSeconds), "port " + name},
			query{of(contract.ProbeICMPRoundTripSeconds), "ping " + name}).Min(0))
}

// addECS draws the contract's limit of 90 % into each graph.
func addECS(b *dashboard.DashboardBuilder) {
	b.WithRow(dashboard.NewRowBuilder("ECS")).
		WithPanel(percentGraph("ECS CPU", "By CloudMonitor.", 90, query{of(contract.AliyunECSCPUUtilizationPercent), "{{instance}}"})).
		WithPanel(percentGraph("ECS memory", "By CloudMonitor's agent.", 90, query{of(contract.AliyunECSMemoryUtilizationPercent), "{{instance}}"})).
		WithPanel(percentGraph("ECS disk", "By CloudMonitor's agent.", 90, query{of(contract.AliyunECSDiskUtilizationPercent), "{{instance}} {{mountpoint}}{{device}}"}))
}

func addHosts(b *dashboard.DashboardBuilder) {
	b.WithRow(dashboard.NewRowBuilder("Hosts")).
		WithPanel(percentGraph("Host CPU", "Used share of all cores.", 90, query{of(contract.HostCPUUsedPercent), "{{instance}}"})).
		WithPanel(percentGraph("Host memory", "Used share of the memory.", 90, query{of(contract.HostMemoryUsedPercent), "{{instance}}"})).
		WithPanel(graph("Host load per core", "Load of one minute over the number of cores.", "none", third, query{of(contract.HostLoad1PerCore), "{{instance}}"}).Min(0))
}

func addSources(b *dashboard.DashboardBuilder) {
	b.WithRow(dashboard.NewRowBuilder("Sources")).
		WithPanel(graph("Sources", "1 where a source looked, 0 where it tried and could not; a gap where nobody tried.", "none", full,
			query{of(sourceUpMetric), "{{source}}"}).Min(0).Max(1))
}
