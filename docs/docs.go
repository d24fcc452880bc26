// Package docs holds the project's pages, so that the server can show the runbook that
// an alert links to.
package docs

import "embed"

// Files are the pages, by their paths below docs.
//
//go:embed *.md adr/*.md runbooks/*.md
var Files embed.FS
