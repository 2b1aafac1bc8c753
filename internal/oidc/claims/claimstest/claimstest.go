// Package claimstest holds what a test has received against the published JSON
// Schemas of the claims.
//
// A test of any room comes in with the JSON of a token's payload or of an
// answer. Programs never link this package.
package claimstest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"carekey.dev/carekey/internal/oidc/claims"
)

// The published schemas.
const (
	IDToken     = "id-token.json"
	Userinfo    = "userinfo.json"
	LogoutToken = "logout-token.json"
)

// Schema is a published schema, with one thing more: it refuses claims that it
// does not describe. The published ones leave room for claims to come, a test
// does not.
type Schema struct{ compiled *jsonschema.Schema }

// Load returns the schema of one of the names above.
func Load(t testing.TB, name string) Schema {
	t.Helper()
	file, err := claims.Schemas.ReadFile("schema/" + name)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	closeObjects(document)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	const base = "https://auth.example.nhs.uk/schemas/"
	if err := compiler.AddResource(base+name, document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(base + name)
	if err != nil {
		t.Fatal(err)
	}
	return Schema{compiled}
}

// closeObjects forbids what a schema with properties does not name.
func closeObjects(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if _, ok := s["properties"].(map[string]any); ok {
			s["additionalProperties"] = false
		}
		for _, part := range s {
			closeObjects(part)
		}
	case []any:
		for _, part := range s {
			closeObjects(part)
		}
	}
}

// Check returns what is wrong with the JSON text, or nil.
func (s Schema) Check(text string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return s.compiled.Validate(value)
}

// Validate fails the test unless the JSON text is as the schema of the name
// says.
func Validate(t testing.TB, name, text string) {
	t.Helper()
	if err := Load(t, name).Check(text); err != nil {
		t.Errorf("%v in %s", err, text)
	}
}
