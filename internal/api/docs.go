package api

import (
	"bytes"
	"html/template"
	"io/fs"
	"net/http"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"

	"watchkeeper/docs"
)

// DocsPath is where the server shows the project's pages; runbook links of the shipped
// rules, "docs/runbooks/ecs-cpu.md", are relative to the path above it.
const DocsPath = "/docs/"

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))

var docsPage = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{ .Title }}</title>
<style>body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2rem .5rem;text-align:left;vertical-align:top}pre{background:#f4f4f4;padding:.7rem;overflow-x:auto}</style>
</head><body>
{{ .Body }}
</body></html>
`))

// serveDocs shows a page of the documents as HTML.
func serveDocs(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, DocsPath)
	if to, folder := map[string]string{"": "runbooks/README.md", "runbooks/": "README.md"}[name]; folder {
		w.Header().Set("Location", to) // relative, for proxies with a path of their own
		w.WriteHeader(http.StatusFound)
		return
	}
	source, err := fs.ReadFile(docs.Files, name)
	if err != nil {
		http.Error(w, "no such page; the runbooks are listed at "+DocsPath, http.StatusNotFound)
		return
	}
	var body, page bytes.Buffer
	if err := markdown.Convert(source, &body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	title, _, _ := strings.Cut(strings.TrimPrefix(string(source), "# "), "\n")
	content := struct {
		Title string
		Body  template.HTML
	}{title, template.HTML(body.String())} // made of our own files, raw HTML left out
	if err := docsPage.Execute(&page, content); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = page.WriteTo(w)
}
