package incident

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// ErrReadOnly is the error of changes to a store that was opened for reading.
var ErrReadOnly = errors.New("incident store is open for reading only")

// OpenReadOnly opens the store of a stopped server for List, OpenIncidents and
// Get. The caller holds the folder's lock.
func OpenReadOnly(_ context.Context, path string) (*Store, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("incident store: %w", err)
	}
	r, err := openDB(path, "ro", 4)
	if err != nil {
		return nil, err
	}
	return &Store{cfg: Config{Path: path}, read: r, write: r}, nil
}
