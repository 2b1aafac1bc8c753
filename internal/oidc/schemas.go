package oidc

import (
	"fmt"
	"net/http"

	"carekey.dev/carekey/internal/oidc/claims"
)

// published are the JSON Schemas of the claims, by file name. They are for
// suppliers: the tests hold what is sent against the same files.
func published() (map[string]document, error) {
	files, err := claims.Schemas.ReadDir("schema")
	if err != nil {
		return nil, fmt.Errorf("reading the published schemas: %w", err)
	}
	all := map[string]document{}
	for _, file := range files {
		text, err := claims.Schemas.ReadFile("schema/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("reading a published schema: %w", err)
		}
		all[file.Name()] = newDocument(text)
	}
	return all, nil
}

// schema serves one of them.
func (p *Provider) schema(w http.ResponseWriter, r *http.Request) {
	document, ok := p.schemas[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	document.ServeHTTP(w, r)
}
