package ruleset

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

// The numbers of entries rest on the text of an identity: it is the same from either
// of the two that write it.
func TestIdentitiesAreWrittenAsByTheLibrary(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		ls := labels.FromMap(rapid.MapOf(rapid.OneOf(rapid.StringMatching("[a-z_]{1,4}"), rapid.String()),
			rapid.OneOf(rapid.StringMatching(`[ -~]{0,9}`), rapid.String())).Draw(t, "labels"))
		if got, want := string(appendLabels(nil, ls)), ls.String(); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}
