// Package process watches declared processes of this host.
package process
