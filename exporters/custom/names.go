package custom

// Metrics of a command; all carry the label `command`.
const (
	metricState           = "custom_state" // a code, below
	metricExitCode        = "custom_exit_code"
	metricDurationSeconds = "custom_duration_seconds"
	metricValue           = "custom_value" // format value, lines (label item) and zabbix (item, zabbix_host)
)

// Metrics of text files; the label `file` is the file's path.
const (
	metricFileError        = "custom_text_file_error" // 1: nothing of it is delivered
	metricFileMtimeSeconds = "custom_text_file_mtime_seconds"
	metricUnreadFolders    = "custom_text_file_unread_folders"
)

// Reasons why series end.
const (
	reasonRemoved = "removed" // the file is gone, or has the series no more
	reasonSilent  = "no longer in the output"
)

// Codes of custom_state.
const (
	stateGood       = 0
	stateExit       = 1 // ended with another exit code than 0
	stateTimeout    = 2
	stateOutput     = 3 // a part of the output was not understood; the rest is delivered
	stateTooMuch    = 4 // output or values beyond the limit
	stateNotStarted = 5
	stateSignal     = 6 // ended by a signal
)
