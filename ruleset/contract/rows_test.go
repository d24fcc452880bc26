package contract

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTableHasAllRows(t *testing.T) {
	if got := len(Rows()); got != 90 {
		t.Errorf("%d rows, the contract has 90", got)
	}
	for _, row := range Rows() {
		if !slices.Contains([]string{"disaster", "high", "average", "warning"}, row.Severity) {
			t.Errorf("%s: severity %q", row.ID, row.Severity)
		}
	}
}

// The columns repeat what the literal text says, so that a slip in one of them
// shows.
func TestColumnsSayWhatTheLiteralTextSays(t *testing.T) {
	text := regexp.MustCompile(`^每(五?)分钟检测一次, 连续([一三五])次(>=|!=|>|<|=)([\d.]+)([%MG]?)(?: & <(\d+)G)?$`)
	count := map[string]int{"一": 1, "三": 3, "五": 5}
	for _, row := range Rows() {
		m := text.FindStringSubmatch(row.Literal)
		if m == nil {
			t.Errorf("%s: %q cannot be read", row.ID, row.Literal)
			continue
		}
		type facts struct {
			Interval, Op string
			Consecutive  int
			Thresholds   []float64
		}
		want := facts{"1m", m[3], count[m[2]], []float64{number(t, m[4], m[5])}}
		if m[1] != "" {
			want.Interval = "5m"
		}
		if m[6] != "" {
			want.Thresholds = append(want.Thresholds, number(t, m[6], "G"))
		}
		got := facts{row.Interval, row.Op, row.Consecutive, row.Thresholds}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-literal +columns)\n%s", row.ID, diff)
		}
	}
}

func number(t *testing.T, digits, unit string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v * map[string]float64{"": 1, "%": 1, "M": 1 << 20, "G": 1 << 30}[unit]
}

func TestParseRowsNamesTheBadRow(t *testing.T) {
	head := strings.Join(columns, ",") + "\n"
	good := `a,P,zh,en,1m,3,>=,90,%,"lit",,average,` + "\n"
	for name, c := range map[string]struct{ table, want string }{
		"no columns":  {good, `alarm table: the first line must name the columns`},
		"interval":    {head + strings.Replace(good, "1m", "soon", 1), `alarm table: row "a": check_every: `},
		"consecutive": {head + strings.Replace(good, ",3,", ",0,", 1), `alarm table: row "a": consecutive: "0" is not a positive number`},
		"threshold":   {head + strings.Replace(good, "90", "9O", 1), `alarm table: row "a": threshold: `},
		"twice":       {head + good + good, `alarm table: row "a": id is there twice`},
		"columns":     {head + "a,b\n", `alarm table: record on line 2: wrong number of fields`},
	} {
		if _, err := parseRows([]byte(c.table)); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestRowsCannotBeChangedByCallers(t *testing.T) {
	Rows()[0].Thresholds[0] = -1
	if got := Rows()[0].Thresholds[0]; got != 90 {
		t.Errorf("threshold of ecs-cpu became %v", got)
	}
}
