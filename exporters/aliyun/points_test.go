package aliyun

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters/aliyun/catalog"
)

func diskReader() *pointReader {
	return newPointReader(catalog.Metric{
		Statistics: []string{"Average", "Maximum"}, Scale: 1,
		Dimensions:         map[string]string{"instanceId": "instance", "device": "device"},
		OptionalDimensions: map[string]string{"state": "state"},
	})
}

// readAll shows the points of text as "device instance state @t=value".
func readAll(r *pointReader, text string) (points []string, counts pointCounts, err error) {
	counts, err = r.each(text, func(p point) {
		points = append(points, fmt.Sprintf("%s @%d=%v", strings.Join(p.dims, " "), p.t, p.value))
	})
	return points, counts, err
}

func TestPointsOfAllShapes(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		got, counts, err := readAll(diskReader(), "["+text+"]")
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		if counts.read-counts.malformed-counts.noStatistic != len(want) {
			t.Errorf("%s: counts %+v do not add up", text, counts)
		}
	}
	const resource = `"instanceId":"i-1","device":"/dev/vda1"`
	f(``)
	f(`{"timestamp":1000,"userId":"1",`+resource+`,"Average":1.5,"Maximum":9}`, "/dev/vda1 i-1  @1000=1.5")
	f(`{"timestamp":1000,`+resource+`,"Maximum":9}`, "/dev/vda1 i-1  @1000=9")
	f(`{"timestamp":1000,`+resource+`,"Average":null,"Maximum":9}`, "/dev/vda1 i-1  @1000=9")
	f(`{"timestamp":"1000",`+resource+`,"Average":"2.5"}`, "/dev/vda1 i-1  @1000=2.5")
	f(`{"timestamp":1.49015286e12,`+resource+`,"Average":0}`, "/dev/vda1 i-1  @1490152860000=0")
	f(`{"timestamp":1000,"instanceId":"i\u002d1","device":80,"state":"x","Average":1}`, "80 i-1 x @1000=1")
	f(`{"timestamp":1000,` + resource + `,"Sum":1}`)       // not a statistic of the metric: not zero
	f(`{"timestamp":1000,` + resource + `}`)               // no statistic at all
	f(`{"timestamp":1000,"instanceId":"i-1","Average":1}`) // a required key is missing
	f(`{"timestamp":1000,"instanceId":"i-1","device":{},"Average":1}`)
	f(`{` + resource + `,"Average":1}`) // no timestamp
	f(`{"timestamp":-5,` + resource + `,"Average":1}`)
	f(`{"timestamp":1e300,` + resource + `,"Average":1}`)
	f(`{"timestamp":1000,` + resource + `,"Average":true}`)
	f(`{"timestamp":1000,` + resource + `,"Average":1e999}`)
	f(`{"timestamp":1000,"device":"` + strings.Repeat("x", maxDimension+1) + `","instanceId":"i-1","Average":1}`)
	f(`1,"text",null,[{}]`)
	f(`{"timestamp":1000,`+resource+`,"Average":1},7,{"timestamp":2000,`+resource+`,"Average":2}`,
		"/dev/vda1 i-1  @1000=1", "/dev/vda1 i-1  @2000=2")
}

func TestDamagedDatapointsAreAnErrorNotFewerPoints(t *testing.T) {
	for _, text := range []string{`[{"timestamp":1000,"instanceId":"i-1"`, `{"timestamp":1}`, `null`, `<html>`, `[1,]`, `[] []`} {
		if _, _, err := readAll(diskReader(), text); !errors.Is(err, ErrAnswer) {
			t.Errorf("%q: error %v, want ErrAnswer", text, err)
		}
	}
	if points, _, err := readAll(diskReader(), ""); err != nil || len(points) > 0 {
		t.Errorf("empty text: %v, %v", points, err)
	}
}

func FuzzPoints(f *testing.F) {
	f.Add(`[{"timestamp":1000,"instanceId":"i-1","device":"/dev/vda1","Average":1.5}]`)
	f.Add(`[{"timestamp":"1","instanceId":"\ud800","device":7,"Maximum":"1e3","a":{"b":[1,"}"]}}]`)
	f.Add(`[[],{},""]`)
	f.Fuzz(func(t *testing.T, text string) {
		_, counts, err := readAll(diskReader(), text)
		var reference []json.RawMessage
		if json.Unmarshal([]byte(text), &reference) == nil && reference != nil && err == nil && counts.read != len(reference) {
			t.Errorf("%d of %d points of %q", counts.read, len(reference), text)
		}
	})
}

func BenchmarkPoints(b *testing.B) {
	var text strings.Builder
	for i := range MaxPoints {
		fmt.Fprintf(&text, `,{"timestamp":%d,"userId":"1234567890123456","instanceId":"i-bp%018d","device":"/dev/vda1","Minimum":1.25,"Average":2.5,"Maximum":3.75}`, 1490152860000+i*60000, i)
	}
	page, reader := "["+text.String()[1:]+"]", diskReader()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := reader.each(page, func(point) { n++ }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "points/s")
}
