package api

import (
	"context"
	"fmt"
	"net/http"
)

// Customers tells whether anything is known of a customer: that it is configured, or
// that it has samples or incidents.
type Customers func(ctx context.Context, name string) (bool, error)

// UnknownCustomer is the error for a customer of whom nothing is known: most likely a
// mistyped name, for which an empty answer would look like a good one.
func UnknownCustomer(name string) error {
	return Mark(fmt.Errorf("nothing is known of the customer %q: mend the name, or look whether anything is delivered", name), ErrNotFound)
}

// known answers for a customer who is not known, with 404, and says whether the
// request may go on.
func (c Customers) known(w http.ResponseWriter, r *http.Request, name string) bool {
	is, err := c(r.Context(), name)
	if err != nil {
		problem(w, http.StatusInternalServerError, err)
	} else if !is {
		problem(w, http.StatusNotFound, UnknownCustomer(name))
	}
	return is && err == nil
}
