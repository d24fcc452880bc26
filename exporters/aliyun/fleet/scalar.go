package fleet

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Scalar is a JSON scalar of any type as text: the cloud's answers have numbers as
// texts, and sometimes texts as numbers. Null is "".
type Scalar string

// UnmarshalJSON refuses objects and arrays.
func (s *Scalar) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err == nil {
		*s = Scalar(text) // of null, too
		return nil
	}
	if len(b) == 0 || b[0] == '{' || b[0] == '[' {
		return fmt.Errorf("want a scalar, not %.20s", b)
	}
	*s = Scalar(b)
	return nil
}

// Int is the whole number that s is.
func (s Scalar) Int() (n int64, ok bool) {
	n, err := strconv.ParseInt(string(s), 10, 64)
	return n, err == nil
}
