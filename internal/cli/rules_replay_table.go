package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/table"
)

// logTable shows lines of the logs as a table.
func logTable(w io.Writer, lines io.Reader) (shown int, err error) {
	var rows [][]string
	for dec := json.NewDecoder(lines); ; {
		var l struct {
			Log, At, Check, Alert string
			Labels                labels.Labels
			From, To, Reason      string
			Value                 json.RawMessage
			Run                   int
		}
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, fmt.Errorf("line %d: %w", len(rows)+1, err)
		}
		value := strings.Trim(string(l.Value), `"`) // a number or "NaN"
		rows = append(rows, []string{l.Log, l.At, l.Check, l.Alert + l.Labels.String(), l.From, l.To, value, strconv.Itoa(l.Run), l.Reason})
	}
	if len(rows) == 0 {
		return 0, nil
	}
	return len(rows), table.Write(w, []string{"LOG", "AT", "CHECK", "ALERT", "FROM", "TO", "VALUE", "RUN", "REASON"}, rows)
}
