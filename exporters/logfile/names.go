package logfile

// Metrics of a log; all carry the label `log`.
const (
	metricMatchesTotal   = "log_matches_total" // pattern and its groups
	metricLinesTotal     = "log_lines_total"
	metricTruncatedTotal = "log_lines_truncated_total" // longer than max_line_bytes
	metricReadBytesTotal = "log_read_bytes_total"
	metricGapsTotal      = "log_gaps_total" // reason: lines may have been lost
	metricUnreadBytes    = "log_unread_bytes"
	metricFiles          = "log_files" // that match path
)

// other is the value of every group in the series that counts what is beyond a
// pattern's max_series.
const other = "_other_"

// Reasons of gaps.
const (
	gapTruncated = "truncated" // emptied, and no copy of it was found
	gapVanished  = "vanished"  // removed or compressed before it was read to its end
)

var gapReasons = []string{gapTruncated, gapVanished}

// ReasonRemoved ends the series of logs and patterns that are no longer configured.
const ReasonRemoved = "removed from configuration"
