package connection_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/db/dbtest"
)

// Whatever is sent as a config is registered or refused with words, and what
// is registered is read back as a config that is accepted again.
func FuzzConfig(f *testing.F) {
	d := dbtest.Open(f, schemas...)
	for _, seed := range []string{least, keyed, `{"redirect_uris":[null]}`, `{"client_name":"..","redirect_uris":["http://localhost:*/x"]}`, "{} {}", "[", "\xff"} {
		f.Add(seed)
	}
	first := newHouse(f, d)
	first.secrets = map[string]string{"mavis": first.team("mavis")}
	session := first.signIn("mavis")
	f.Fuzz(func(t *testing.T, body string) {
		h := newHouse(t, d)
		made := h.do("POST", "/api/configs/mavis", body, session)
		switch {
		case made.status == http.StatusCreated:
			path := "/api/configs/mavis/" + made.string("client_id")
			if put := h.do("PUT", path+"?hash="+made.string("hash"), h.encode(made.fields["client_config"]), session); put.status != http.StatusOK || put.string("hash") != made.string("hash") {
				t.Errorf("%q: sent back: %d %s", body, put.status, put.text)
			}
			h.remove(made.string("client_id"))
		case made.status < 400 || made.status >= 500 || made.string("message") == "":
			t.Errorf("%q: %d %s", body, made.status, made.text)
		}
	})
}

// Whatever stands in the address and in the header, the answer is a refusal
// that does not repeat it.
func FuzzRequest(f *testing.F) {
	d := dbtest.Open(f, schemas...)
	for _, seed := range [][2]string{
		{"/api/configs/mavis", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln"}, {"/api/auth", "SecretAuth secret"},
		{"/api/configs/mavis/My%20app?hash=0", "Basic a"}, {"/api/configs/%2e%2e/x?hash", "bearer"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, authorization string) {
		if _, err := url.ParseRequestURI(path); err != nil || !strings.HasPrefix(path, "/api/") || strings.ContainsAny(path, " \t\r\n") {
			return // no request has this target
		}
		h := newHouse(t, d)
		for _, method := range []string{"POST", "PUT"} {
			a := h.do(method, path, least, "Authorization: "+authorization)
			if a.status < 300 || a.status >= 500 || len(authorization) > 12 && strings.Contains(a.text, authorization) {
				t.Errorf("%s %q with %q: %d %s", method, path, authorization, a.status, a.text)
			}
		}
	})
}
