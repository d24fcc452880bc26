package watch

// Metrics of what is watched. Counters stand at 0 from the first check for every
// reason that there is; <kind>_changed_timestamp_seconds says what changed last, for
// as long as it is remembered.
const (
	prefixFile     = "file"           // files; then path
	prefixAccount  = "account"        // then user
	prefixHostName = "hostname"       //
	prefixFirewall = "firewall"       // then firewall
	prefixPort     = "listening_port" // then protocol, address, port

	suffixChangesTotal     = "_changes_total"             // reason
	suffixChangedTimestamp = "_changed_timestamp_seconds" // reason
	suffixWatched          = "s_watched"
)

// ReasonForgotten ends the series of a change after Config.Remember.
const ReasonForgotten = "no longer remembered"
