package kubernetes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

const (
	// pageSize keeps a page below the limit of an answer: a pod has some ten
	// kilobytes, a node twenty.
	pageSize = 100
	// maxRestarts is how often a list begins anew when its pages have expired.
	maxRestarts = 2
)

// api reads the API server. Its lists are paged: an unpaged list of a large
// cluster's pods would be a burden for both sides.
type api struct {
	client     *server.Client
	namespaces []string // empty: all
	maxItems   int      // of a list
}

func (a api) read(ctx context.Context, out *server.Reading) (state, error) {
	var (
		s     state
		first error
	)
	for _, l := range []struct {
		name string
		read func() error
	}{
		{listNodes, func() error {
			return list(ctx, a, "api/v1/nodes", func(n nodeObject) { s.nodes = append(s.nodes, n.node()) })
		}},
		{listDeployments, func() error { return workloads(ctx, a, listDeployments, "deployment", &s) }},
		{listStatefulSets, func() error { return workloads(ctx, a, listStatefulSets, "statefulset", &s) }},
		{listDaemonSets, func() error { return workloads(ctx, a, listDaemonSets, "daemonset", &s) }},
		{listPods, func() error {
			return a.each("api/v1/", listPods, func(path string) error {
				return list(ctx, a, path, func(p podObject) { s.pods = append(s.pods, p.pod()) })
			})
		}},
	} {
		err := l.read()
		if err != nil && !isDenied(err) && !errors.Is(err, errTooMany) {
			return s, err
		}
		if err != nil {
			out.Miss(l.name, err)
			first = cmp.Or(first, err)
		}
	}
	if len(s.nodes)+len(s.workloads)+len(s.pods) == 0 && first != nil {
		return s, first // an account that may see nothing
	}
	s.version = a.version(ctx, out)
	return s, ctx.Err()
}

// each calls read with the path of a list in every namespace, or in all at once.
// A namespace that the account may not see hides no other.
func (a api) each(group, resource string, read func(path string) error) error {
	if len(a.namespaces) == 0 {
		return read(group + resource)
	}
	var denied error
	for _, ns := range a.namespaces {
		err := read(group + "namespaces/" + ns + "/" + resource)
		switch {
		case isDenied(err):
			denied = cmp.Or(denied, err)
		case err != nil:
			return err
		}
	}
	return denied
}

func isDenied(err error) bool {
	f, ok := errors.AsType[*server.Failure](err)
	return ok && f.Reason == server.ReasonDenied
}

func workloads(ctx context.Context, a api, resource, kind string, s *state) error {
	return a.each("apis/apps/v1/", resource, func(path string) error {
		return list(ctx, a, path, func(w workloadObject) { s.workloads = append(s.workloads, w.workload(kind)) })
	})
}

// errTooMany says that a list was cut off.
var errTooMany = server.Failed(server.ReasonTooLarge, "too many objects; the rest is left out")

// page is one page of a list.
type page[T any] struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Continue string `json:"continue"`
	} `json:"metadata"`
	Items []T `json:"items"`
}

// list calls take with every object of a list, once all its pages are there: a
// list whose pages expire meanwhile (410) begins anew.
func list[T any](ctx context.Context, a api, path string, take func(T)) error {
	var items []T
	for token, restarts := "", 0; ; {
		p, gone, err := getPage[T](ctx, a, path, token)
		if err != nil {
			return err
		}
		if gone {
			if restarts++; restarts > maxRestarts {
				return server.Failed(server.ReasonStatus, "%s: HTTP status %d again and again: its pages expire before they are read", path, http.StatusGone)
			}
			items, token = nil, ""
			continue
		}
		items = append(items, p.Items...)
		if token = p.Metadata.Continue; token == "" || len(items) > a.maxItems {
			break
		}
	}
	for _, item := range items[:min(len(items), a.maxItems)] {
		take(item)
	}
	if len(items) > a.maxItems {
		return errTooMany
	}
	return nil
}

func getPage[T any](ctx context.Context, a api, path, token string) (p page[T], gone bool, err error) {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if token != "" {
		query.Set("continue", token)
	}
	status, body, err := a.client.Do(ctx, http.MethodGet, path, query, nil)
	switch {
	case err != nil:
		return p, false, err
	case status == http.StatusGone && token != "":
		return p, true, nil
	case status != http.StatusOK:
		return p, false, a.refused(path, status, body)
	}
	if err := json.Unmarshal(body, &p); err != nil || !strings.HasSuffix(p.Kind, "List") {
		return p, false, server.Failed(server.ReasonFormat, "%s: not an API server's list: %q", path, server.Excerpt(string(body), 60))
	}
	return p, false, nil
}

// refused gives a status its reason and says what the server says, which names
// the account and what it lacks.
func (a api) refused(path string, status int, body []byte) error {
	err := a.client.CheckStatus(path, status, body)
	f, ok := errors.AsType[*server.Failure](err)
	var said struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
	}
	if !ok || json.Unmarshal(body, &said) != nil || said.Kind != "Status" {
		return err
	}
	return server.Failed(f.Reason, "%s: HTTP status %d: %s", path, status, server.Excerpt(said.Message, 160))
}

// version is empty where the account may not ask.
func (a api) version(ctx context.Context, out *server.Reading) string {
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	body, err := a.client.Get(ctx, "version", nil)
	if err == nil && json.Unmarshal(body, &v) != nil {
		err = server.Failed(server.ReasonFormat, "version: not an API server's answer")
	}
	if err != nil {
		out.Miss("version", err)
	}
	return v.GitVersion
}
