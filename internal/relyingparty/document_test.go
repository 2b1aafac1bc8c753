package relyingparty_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/relyingparty"
)

// full has a value in every field.
func full() relyingparty.RelyingParty {
	rp := ers()
	age := int64(300)
	rp.JWKSURI = "https://ers.example/jwks"
	rp.Metadata = relyingparty.Metadata{
		Description: "A", ConfigName: "B", Team: "c", IDTokenAlg: "ES256", UserinfoAlg: "PS256",
		RequestObjectAlg: "RS256", RequestURIs: []string{"https://ers.example/r"}, RequireSignedRequest: true, RequirePAR: true,
		TLSSubject: relyingparty.TLSSubject{DN: "CN=a", DNS: "a", URI: "b:", IP: "::1", Email: "a@b"}, TLSBound: true, DPoPBound: true,
		BackchannelSession: true, FrontchannelLogoutURI: "https://ers.example/f", FrontchannelSession: true,
		DefaultMaxAge: &age, RefreshTokens: true, Introspects: true, Quirks: relyingparty.Quirks{SingleAsObject: true},
	}
	return rp
}

func TestADocumentHoldsEveryFieldAndNoSecret(t *testing.T) {
	text, err := json.Marshal(full().Document())
	if err != nil {
		t.Fatal(err)
	}
	d, err := relyingparty.ReadDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	want := full()
	want.Secrets = nil
	if diff := cmp.Diff(want, d.RelyingParty()); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	var unnamed []string
	for name := range fields {
		if !slices.Contains(relyingparty.Fields(), name) {
			unnamed = append(unnamed, name)
		}
	}
	if len(unnamed) > 0 || len(fields) != len(relyingparty.Fields()) {
		t.Errorf("Fields has %d names, a full document %d; not among them: %v", len(relyingparty.Fields()), len(fields), unnamed)
	}
}

func TestAssignmentsChangeOneFieldEach(t *testing.T) {
	for assignment, want := range map[string]func(d *relyingparty.Document){
		"name=NHS = good, really":             func(d *relyingparty.Document) { d.Name = "NHS = good, really" },
		"name=123":                            func(d *relyingparty.Document) { d.Name = "123" },
		"name=null":                           func(d *relyingparty.Document) { d.Name = "null" },
		`name="quoted"`:                       func(d *relyingparty.Document) { d.Name = `"quoted"` },
		"default_max_age=3600000":             func(d *relyingparty.Document) { age := int64(3600000); d.DefaultMaxAge = &age },
		"default_max_age=":                    func(d *relyingparty.Document) { d.DefaultMaxAge = nil },
		"refresh_tokens=false":                func(d *relyingparty.Document) { d.RefreshTokens = false },
		"refresh_tokens=":                     func(d *relyingparty.Document) { d.RefreshTokens = false },
		"scopes=openid, email":                func(d *relyingparty.Document) { d.Scopes = []string{"openid", "email"} },
		"scopes=openid":                       func(d *relyingparty.Document) { d.Scopes = []string{"openid"} },
		"scopes+=email,nhsperson":             func(d *relyingparty.Document) { d.Scopes = []string{"openid", "profile", "email", "nhsperson"} },
		"scopes-=profile":                     func(d *relyingparty.Document) { d.Scopes = []string{"openid"} },
		"scopes-=email":                       func(*relyingparty.Document) {},
		"request_uris-=https://ers.example/r": func(d *relyingparty.Document) { d.RequestURIs = []string{} },
		"methods=authenticator_app,smartcard": func(d *relyingparty.Document) { d.Methods = []care.Method{"authenticator_app", "smartcard"} },
		"quirks.numeric_levels=true":          func(d *relyingparty.Document) { d.Quirks.NumericLevels = true },
		"quirks.single_as_object=":            func(d *relyingparty.Document) { d.Quirks.SingleAsObject = false },
		"quirks=":                             func(d *relyingparty.Document) { d.Quirks = relyingparty.Quirks{} },
		`jwks={"keys":[{"kty":"RSA"}]}`:       func(d *relyingparty.Document) { d.JWKS = json.RawMessage(`{"keys":[{"kty":"RSA"}]}`) },
		"tls_client_auth_subject_dn=CN=rp.example,O=Example": func(d *relyingparty.Document) { d.DN = "CN=rp.example,O=Example" },
	} {
		want2 := full().Document()
		want(&want2)
		got, err := full().Document().Set(relyingparty.Assignment(assignment))
		if err != nil {
			t.Errorf("%s: %v", assignment, err)
			continue
		}
		if diff := cmp.Diff(want2, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", assignment, diff)
		}
	}
}

func TestWhatSetsNothingIsSaid(t *testing.T) {
	for assignment, want := range map[string]string{
		"":                         "sets nothing",
		"name":                     "sets nothing",
		"=x":                       "sets nothing",
		"+=x":                      "there is no field",
		"nmae=x":                   "there is no field nmae: use one of client_id, name",
		"quirks.odd=true":          "there is no field quirks.odd",
		"name.first=x":             "name has no fields of its own",
		"name+=x":                  "name is no list: write name=x",
		"default_max_age=soon":     `default_max_age: "soon" is not what belongs here`,
		"default_max_age=1.5":      `default_max_age: "1.5" is not what belongs here`,
		"refresh_tokens=yes":       `refresh_tokens: "yes" is not what belongs here`,
		"quirks.numeric_levels=no": `quirks.numeric_levels: "no" is not what belongs here`,
	} {
		_, err := full().Document().Set(relyingparty.Assignment(assignment))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", assignment, err, want)
		}
	}
}

func FuzzAssignment(f *testing.F) {
	for _, seed := range []string{"name=x", "scopes+=a,b", "quirks.numeric_levels=true", "jwks={", "a.b.c=d", "quirks={}", "default_max_age=1e99"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, assignment string) {
		d, err := full().Document().Set(relyingparty.Assignment(assignment))
		if err != nil {
			return
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatalf("%q makes a document that cannot be written: %v", assignment, err)
		}
		if _, err := relyingparty.ReadDocument(text); err != nil {
			t.Errorf("%q makes a document that cannot be read: %v", assignment, err)
		}
	})
}
