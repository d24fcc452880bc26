package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// metadataBase is the metadata service of every ECS instance; no other machine has it.
const metadataBase = "http://100.100.100.200"

// Bounds of the metadata service.
const (
	metadataTimeout  = 3 * time.Second
	maxMetadataBytes = 64 << 10
	// metadataTokenSeconds is the life of the token of the hardened mode.
	metadataTokenSeconds = "60"
)

// metadata reads keys of the ECS instance's role from its metadata service.
type metadata struct {
	base   string
	role   string
	client *http.Client
}

// newMetadata reads from base, which is metadataBase outside tests. No proxy and
// no redirect: the keys must not take a way that somebody else has laid.
func newMetadata(base, role string) *metadata {
	return &metadata{base: base, role: role, client: &http.Client{
		Timeout:       metadataTimeout,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirected") },
	}}
}

func (m *metadata) fetch(ctx context.Context) (temporary, error) {
	key, err := m.key(ctx)
	if err != nil {
		return temporary{}, fmt.Errorf("keys of ecs_role %q: metadata service: %w", m.role, err)
	}
	return key, nil
}

func (m *metadata) key(ctx context.Context) (temporary, error) {
	// The hardened mode wants a token; the normal mode knows no such path.
	token, status, err := m.ask(ctx, http.MethodPut, "/latest/api/token", "X-aliyun-ecs-metadata-token-ttl-seconds", metadataTokenSeconds)
	if err != nil {
		return temporary{}, err
	}
	header := ""
	if status == http.StatusOK {
		header = "X-aliyun-ecs-metadata-token"
	}
	body, status, err := m.ask(ctx, http.MethodGet, "/latest/meta-data/ram/security-credentials/"+m.role, header, string(token))
	switch {
	case err != nil:
		return temporary{}, err
	case status == http.StatusNotFound:
		return temporary{}, errors.New("this instance has no such role")
	case status != http.StatusOK:
		return temporary{}, fmt.Errorf("status %d", status)
	}
	var answer struct {
		temporaryJSON
		Code string
	}
	if json.Unmarshal(body, &answer) != nil || answer.Code != "Success" {
		return temporary{}, unreadableKey()
	}
	return answer.key()
}

func (m *metadata) ask(ctx context.Context, method, path, header, value string) ([]byte, int, error) {
	request, err := http.NewRequestWithContext(ctx, method, m.base+path, nil)
	if err != nil {
		return nil, 0, err
	}
	if header != "" {
		request.Header.Set(header, value)
	}
	response, err := m.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMetadataBytes+1))
	if err != nil {
		return nil, 0, err
	}
	if len(body) > maxMetadataBytes {
		return nil, 0, fmt.Errorf("an answer of more than %d bytes", maxMetadataBytes)
	}
	return body, response.StatusCode, nil
}
