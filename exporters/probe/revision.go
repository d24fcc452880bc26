package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// Revision changes whenever the configuration's content does, credentials in
// URLs included, and tells nothing of it.
func (c Config) Revision() string {
	h := sha256.New()
	write(h, reflect.ValueOf(c))
	return hex.EncodeToString(h.Sum(nil))
}

// write writes a value with what pointers point to, and strings with all that
// their types hide.
func write(w io.Writer, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		fmt.Fprintf(w, "*%t", v.IsNil())
		if !v.IsNil() {
			write(w, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fmt.Fprintf(w, "%s:", v.Type().Field(i).Name)
			write(w, v.Field(i))
		}
	case reflect.Slice:
		fmt.Fprintf(w, "[%d]", v.Len())
		for i := range v.Len() {
			write(w, v.Index(i))
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		fmt.Fprintf(w, "{%d}", len(keys))
		for _, k := range keys {
			write(w, k)
			write(w, v.MapIndex(k))
		}
	case reflect.String:
		fmt.Fprintf(w, "%q,", v.String())
	case reflect.Bool:
		fmt.Fprintf(w, "%t,", v.Bool())
	case reflect.Int, reflect.Int64:
		fmt.Fprintf(w, "%d,", v.Int())
	default:
		panic("BUG: probe configuration with a field of kind " + v.Kind().String())
	}
}
