// Package watchkeeper holds the tests of the repository as a whole: which
// package may import which, and why. The program is cmd/watchkeeper.
package watchkeeper
