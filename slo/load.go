package slo

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the example contract
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"watchkeeper/internal/strictyaml"
)

// maxContractBytes bounds a contract file: years of exclusions fit easily.
const maxContractBytes = 1 << 20

//go:embed testdata/hosting-connectivity.yml
var example []byte

// Example is a complete contract file: hosting network connectivity with an
// allowance of 44 minutes a month. A copy.
func Example() []byte { return bytes.Clone(example) }

// LoadFile reads a contract file. A mistake is a line of the error that names the
// file, the line and the path of the field.
func LoadFile(path string) (*Contract, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxContractBytes+1))
	if err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a contract; name stands for the file in errors.
func Parse(name string, data []byte) (*Contract, error) {
	if len(data) > maxContractBytes {
		return nil, fmt.Errorf("contract %s: larger than %d bytes", name, maxContractBytes)
	}
	c := &Contract{}
	document, err := strictyaml.Decode(name, data, c)
	if err != nil {
		return nil, fmt.Errorf("contract %w", err)
	}
	c.setDefaults()
	var mistakes []error
	for _, mistake := range c.validate() {
		mistakes = append(mistakes, fmt.Errorf("contract %w", document.At(mistake)))
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	sum := sha256.Sum256(data)
	c.hash = "sha256:" + hex.EncodeToString(sum[:])
	return c, nil
}
