package connection_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/relyingparty"
)

func TestAConfigBecomesARelyingPartyAsTheWireFormatSays(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		session := h.signIn("mavis")
		made := h.make(session, "mavis", keyed)
		if made.string("config_name") != "Vaccinations" || made.fields["client_secret"] != nil {
			t.Errorf("created %s", made.text)
		}
		want := relyingparty.RelyingParty{
			ClientID: made.string("client_id"), Name: "Vaccinations", ShortName: "Vaccinations", Profile: relyingparty.CIS2,
			AuthMethod: relyingparty.PrivateKeyJWT, JWKSURI: "https://rp.example/jwks", SigningAlgorithm: "RS512",
			RedirectURIs: []string{"https://rp.example/cis2?a=1&b=2"}, PostLogoutRedirectURIs: []string{},
			BackchannelLogoutURI: "https://rp.example/logout",
			Scopes:               slices.DeleteFunc(relyingparty.Scopes(), func(s string) bool { return s == relyingparty.OfflineAccess }),
			Methods:              care.Methods(), DefaultACR: care.AAL3Any, Secrets: [][]byte{},
			Metadata: relyingparty.Metadata{Team: "mavis", ConfigName: "Vaccinations", Description: "Ours"},
		}
		if diff := cmp.Diff(want, h.stored(want.ClientID)); diff != "" {
			t.Errorf("stored (-want +got):\n%s", diff)
		}
		list := h.do("GET", "/api/configs/mavis", "", session)
		if list.text != `{"configs":["Vaccinations"]}`+"\n" {
			t.Errorf("the list is %s", list.text)
		}
		for _, name := range []string{"Vaccinations", want.ClientID} {
			got := h.do("GET", "/api/configs/mavis/"+name, "", session)
			if got.text != made.text {
				t.Errorf("read as %s: %s, want %s", name, got.text, made.text)
			}
		}
		config, err := json.Marshal(made.fields["client_config"])
		if err != nil {
			t.Fatal(err)
		}
		var sent, back map[string]any
		if err := json.Unmarshal([]byte(keyed), &sent); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(config, &back); err != nil {
			t.Fatal(err)
		}
		sent["token_endpoint_auth_method"] = "private_key_jwt"
		if diff := cmp.Diff(sent, back); diff != "" {
			t.Errorf("the config came back changed (-sent +back):\n%s", diff)
		}
	})
}

// Decision 15: a client secret has 256 bits, is shown once and stored as a
// hash.
func TestAClientSecretIsShownOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		session := h.signIn("mavis")
		made := h.make(session, "mavis", least)
		secret := made.string("client_secret")
		if len(secret) != 43 || !h.stored(made.string("client_id")).CheckSecret(secret) {
			t.Fatalf("the secret %q is not that of the relying party", secret)
		}
		path := "/api/configs/mavis/" + made.string("client_id")
		read := h.do("GET", path, "", session)
		put := h.do("PUT", path+"?hash="+read.string("hash"), strings.Replace(least, "My app", "Your app", 1), session)
		if put.status != http.StatusOK || strings.Contains(read.text+put.text, "client_secret\"") {
			t.Errorf("read %s\nput %d %s", read.text, put.status, put.text)
		}
		if !h.stored(made.string("client_id")).CheckSecret(secret) {
			t.Error("a change of the name made the secret bad")
		}

		keyless := h.do("PUT", path+"?hash="+put.string("hash"), keyed, session)
		if keyless.status != http.StatusOK || h.stored(made.string("client_id")).CheckSecret(secret) {
			t.Errorf("with private_key_jwt the secret is still good: %d %s", keyless.status, keyless.text)
		}
		again := h.do("PUT", path+"?hash="+keyless.string("hash"), least, session)
		if fresh := again.string("client_secret"); fresh == secret || !h.stored(made.string("client_id")).CheckSecret(fresh) {
			t.Errorf("back to a secret: %d %s", again.status, again.text)
		}
	})
}

func TestAStaleHashChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		session := h.signIn("mavis")
		made := h.make(session, "mavis", keyed)
		path := "/api/configs/mavis/Vaccinations?hash="
		first := h.do("PUT", path+made.string("hash"), strings.Replace(keyed, "Ours", "First", 1), session)
		if first.status != http.StatusOK || first.string("client_config.description") != "First" || first.string("hash") == made.string("hash") {
			t.Fatalf("the first change: %d %s", first.status, first.text)
		}
		second := h.do("PUT", path+made.string("hash"), strings.Replace(keyed, "Ours", "Second", 1), session)
		if second.status != http.StatusConflict || second.string("error") != "config_changed_meanwhile" {
			t.Errorf("with the old hash: %d %s", second.status, second.text)
		}
		if a := h.do("PUT", "/api/configs/mavis/Vaccinations", keyed, session); a.status != http.StatusBadRequest || !strings.Contains(a.string("message"), "?hash=") {
			t.Errorf("without a hash: %d %s", a.status, a.text)
		}
		if got := h.do("GET", "/api/configs/mavis/Vaccinations", "", session); got.text != first.text {
			t.Errorf("it is %s now, want %s", got.text, first.text)
		}
		if same := h.do("PUT", path+first.string("hash"), strings.Replace(keyed, "Ours", "First", 1), session); same.string("hash") != first.string("hash") {
			t.Errorf("the same again has another hash: %s", same.text)
		}
	})
}

// What a team sends back as it read it is accepted, whatever the operator set.
func TestWhatTheOperatorSetStays(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		age := int64(300)
		rp := relyingparty.RelyingParty{
			ClientID: "555000000009.apps.national", Name: "Operator's", ShortName: "OP", Profile: relyingparty.Strict,
			AuthMethod: relyingparty.TLSClientAuth, RedirectURIs: []string{"https://op.example/"},
			PostLogoutRedirectURIs: []string{"https://op.example/out"}, Scopes: []string{"openid"},
			Metadata: relyingparty.Metadata{
				Team: "mavis", TLSSubject: relyingparty.TLSSubject{DNS: "op.example"}, TLSBound: true, DefaultMaxAge: &age,
			},
		}
		rp.Complete()
		h.write(func(tx *db.Tx) error { return relyingparty.Add(tx, "operator", rp) })
		session := h.signIn("mavis")
		read := h.do("GET", "/api/configs/mavis/"+rp.ClientID, "", session)
		config, err := json.Marshal(read.fields["client_config"])
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(config), "Operator's", "Team's", 1)
		put := h.do("PUT", "/api/configs/mavis/"+rp.ClientID+"?hash="+read.string("hash"), changed, session)
		if put.status != http.StatusOK {
			t.Fatalf("%d %s", put.status, put.text)
		}
		want := rp
		want.Name, want.Secrets = "Team's", [][]byte{}
		if diff := cmp.Diff(want, h.stored(rp.ClientID)); diff != "" {
			t.Errorf("stored (-want +got):\n%s", diff)
		}
		refused := h.do("POST", "/api/configs/mavis", strings.Replace(keyed, "{", `{"token_endpoint_auth_method":"tls_client_auth",`, 1), session)
		if refused.status != http.StatusBadRequest || !strings.Contains(refused.text, "the operator sets the others") {
			t.Errorf("a team chooses certificates: %d %s", refused.status, refused.text)
		}
	})
}

func TestEachMistakeOfAConfigIsNamed(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		session := h.signIn("mavis")
		for body, want := range map[string]string{
			``:                    "Content-Type: application/json",
			`{`:                   "not one JSON object",
			`[]`:                  "is a JSON object",
			`"x"`:                 "is a JSON object",
			`{} {}`:               "not one JSON object",
			`{}`:                  "client_name is missing",
			`{"client_name":"A"}`: "redirect_uris is missing",
			`{"client_name":"A","redirect_uris":"https://a.example/"}`:                                                                        "redirect_uris: a list of texts",
			`{"client_name":"A","redirect_uris":[7]}`:                                                                                         "a list of texts",
			`{"client_name":7,"redirect_uris":["https://a.example/"]}`:                                                                        "client_name: a text",
			`{"client_name":"A","redirect_uris":["https://a.example/"],"scopes":["openid"]}`:                                                  "has client_name, description",
			`{"client_name":"A","redirect_uris":["http://a.example/"]}`:                                                                       "must be https",
			`{"client_name":"A\nB","redirect_uris":["https://a.example/"]}`:                                                                   "client_name: at most",
			`{"client_name":"A","redirect_uris":["https://a.example/"],"token_endpoint_auth_method":"x"}`:                                     "use client_secret_post",
			`{"client_name":"A","redirect_uris":["https://a.example/"],"token_endpoint_auth_method":"private_key_jwt"}`:                       "needs a jwks_uri",
			`{"client_name":"A","redirect_uris":["https://a.example/"],"jwks_uri":"https://a.example/","jwks_uri_signing_algorithm":"HS256"}`: "jwks_uri_signing_algorithm",
			`{"client_name":"` + strings.Repeat("x", 70_000) + `"}`:                                                                           "At most 65536 bytes",
		} {
			a := h.do("POST", "/api/configs/mavis", body, session)
			if a.status < 400 || a.status >= 500 || !strings.Contains(a.string("message"), want) || a.string("reference") == "" {
				t.Errorf("%.100s: %d %s, want %q", body, a.status, a.text, want)
			}
		}
		a := h.do("POST", "/api/configs/mavis", `{"client_name":"A","redirect_uris":["https://a.example/","nowhere"],"jwks_uri":"ftp://a"}`, session)
		places, _ := json.Marshal(a.fields["mistakes"])
		if !strings.Contains(string(places), `"field":"redirect_uris","index":1`) || !strings.Contains(string(places), `"field":"jwks_uri"`) {
			t.Errorf("the places of the mistakes are %s", places)
		}
		if a := h.do("GET", "/api/configs/mavis", "", session); a.text != "{\"configs\":[]}\n" {
			t.Errorf("something was registered: %s", a.text)
		}
	})
}

// connman-cli calls a config by the name that it gave its client.
func TestConfigsAreFoundByTheNameOfTheirClient(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		session := h.signIn("mavis")
		for _, want := range []string{"My app", "My app-2", "My app-3"} {
			made := h.make(session, "mavis", least)
			if got := made.string("config_name"); got != want {
				t.Errorf("the name is %q, want %q", got, want)
			}
			location := made.header.Get("Location")
			if got := h.do("GET", location, "", session); got.string("client_id") != made.string("client_id") {
				t.Errorf("%s leads to %s", location, got.text)
			}
		}
		odd := h.make(session, "mavis", strings.Replace(least, "My app", "A/B?c#d%", 1))
		if got := odd.string("config_name"); got != "A-B-c-d-" {
			t.Errorf("an odd name became %q", got)
		}
		path := strings.Replace(least, "My app", "..", 1)
		if dots := h.make(session, "mavis", path); dots.string("config_name") != dots.string("client_id") {
			t.Errorf("dots became %q", dots.string("config_name"))
		}
		// The name stays when the client is renamed.
		first := h.do("GET", "/api/configs/mavis/My%20app", "", session)
		put := h.do("PUT", "/api/configs/mavis/My%20app?hash="+first.string("hash"), strings.Replace(least, "My app", "New", 1), session)
		if put.string("config_name") != "My app" || put.string("client_config.client_name") != "New" {
			t.Errorf("renamed: %s", put.text)
		}
	})
}

func TestEveryChangeIsAuditedWithTheTeamAsItsActor(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		session := h.signIn("mavis")
		made := h.make(session, "mavis", least)
		put := h.do("PUT", "/api/configs/mavis/My%20app?hash="+made.string("hash"), strings.Replace(least, "My app", "New", 1), session)
		h.do("PUT", "/api/configs/mavis/My%20app?hash="+put.string("hash"), strings.Replace(least, "My app", "New", 1), session)
		var got []string
		err := h.DB.Read(t.Context(), func(tx *db.Tx) error {
			got = nil
			rows, err := tx.Rows(`SELECT action, actor, fields FROM audit_entry WHERE action LIKE 'relying_party%' ORDER BY at, action`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var action, actor, fields string
				if err := rows.Scan(&action, &actor, &fields); err != nil {
					return err
				}
				got = append(got, action+" by "+actor)
				if strings.Contains(fields, made.string("client_secret")) {
					t.Error("an audit entry holds the secret")
				}
			}
			return rows.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"relying_party.added by team mavis", "relying_party.changed by team mavis"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("audited (-want +got):\n%s", diff)
		}
	})
}

func TestATeamHasAHundredConfigsAtMost(t *testing.T) {
	h := newHouse(t, dbtest.Open(t, schemas...))
	h.secrets = map[string]string{"mavis": h.team("mavis")}
	session := h.signIn("mavis")
	for range 100 {
		h.make(session, "mavis", least)
	}
	if a := h.do("POST", "/api/configs/mavis", least, session); a.status != http.StatusBadRequest || !strings.Contains(a.text, "100 configs already") {
		t.Errorf("the 101st: %d %s", a.status, a.text)
	}
}

func TestOtherAddressesAndMethodsAreAnsweredInJSON(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		for request, want := range map[string]string{
			"GET /api/hello_world":        `200 {"message":"Hello World"}`,
			"POST /api/hello_world":       `405 {"error":"method_not_allowed"`,
			"DELETE /api/configs/mavis/x": `405 {"error":"method_not_allowed"`,
			"GET /api/nothing":            `404 {"error":"page_not_found"`,
			"GET /docs":                   "200 Connection Manager\n",
			"GET /":                       "200 Connection Manager\n",
		} {
			method, path, _ := strings.Cut(request, " ")
			a := h.do(method, path, "")
			if got := fmt.Sprintf("%d %s", a.status, a.text); !strings.HasPrefix(got, want) {
				t.Errorf("%s answers %s", request, got)
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Strict-Transport-Security") == "" {
				t.Errorf("%s has the headers %v", request, a.header)
			}
		}
	})
}

// Two nodes on one PostgreSQL: of many changes with the same hash one wins,
// and of many that take the same name each gets its own.
func TestOfRacingChangesExactlyOneWins(t *testing.T) {
	address := dbtest.Postgres(t, schemas...)
	var nodes []*house
	for range 2 {
		nodes = append(nodes, newHouse(t, dbtest.OpenWith(t, db.Config{}, address)))
	}
	race(t, nodes)
}

func TestOfRacingChangesExactlyOneWinsOnSQLite(t *testing.T) {
	race(t, []*house{newHouse(t, dbtest.Open(t, schemas...))})
}

func race(t *testing.T, nodes []*house) {
	t.Helper()
	nodes[0].secrets = map[string]string{"mavis": nodes[0].team("mavis")}
	session := nodes[0].signIn("mavis")
	made := nodes[0].make(session, "mavis", least)
	const racers = 100
	var won, stale atomic.Int64
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() {
			body := strings.Replace(least, "My app", fmt.Sprintf("App %d", i), 1)
			a := nodes[i%len(nodes)].do("PUT", "/api/configs/mavis/My%20app?hash="+made.string("hash"), body, session)
			switch a.status {
			case http.StatusOK:
				won.Add(1)
			case http.StatusConflict:
				stale.Add(1)
			default:
				t.Errorf("%d %s", a.status, a.text)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || stale.Load() != racers-1 {
		t.Errorf("%d won and %d were stale, want 1 and %d", won.Load(), stale.Load(), racers-1)
	}
	const makers = 20
	for i := range makers {
		group.Go(func() {
			nodes[i%len(nodes)].make(session, "mavis", strings.Replace(least, "My app", "Same", 1))
		})
	}
	group.Wait()
	list := nodes[0].do("GET", "/api/configs/mavis", "", session)
	names, _ := list.fields["configs"].([]any)
	seen := map[any]bool{}
	for _, name := range names {
		seen[name] = true
	}
	if len(names) != makers+1 || len(seen) != len(names) {
		t.Errorf("names: %v", names)
	}
}
