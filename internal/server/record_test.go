package server

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/server/config"
	"carekey.dev/carekey/internal/session"
)

// N3: to write down who met a fault is no activity of theirs. A page that asks
// with prompt=none, and is refused each time, would keep the sign-in of somebody
// who has left alive.
func TestARefusedSilentRequestIsNoActivity(t *testing.T) {
	h := furnished(t, config.Demo{Listen: freeAddress(t)}, nothing)
	stop := serving(t, h)
	seen := h.DB.Now().Add(-10 * time.Minute)
	rp := relyingparty.RelyingParty{ClientID: "silent", Name: "Silent", RedirectURIs: []string{"https://rp.example/callback"}}
	rp.Complete()
	err := h.DB.Write(t.Context(), func(tx *db.Tx) error {
		if err := relyingparty.Put(tx, rp); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO session (id, sid, uid, aal, method, authenticator_id, auth_time, last_seen, idle_until, until, terms)
			VALUES ($1, 'sid', '555000100101', 3, $2, 'key', $3, $3, $4, $5, '')`, keys.Hash("token"), care.SecurityKey,
			db.Micros(seen), db.Micros(seen.Add(15*time.Minute)), db.Micros(seen.Add(12*time.Hour)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{
		"client_id": {"silent"}, "redirect_uri": rp.RedirectURIs, "response_type": {"code"}, "scope": {"openid"}, "prompt": {"none"}, "max_age": {"1"},
	}
	r, err := http.NewRequest(http.MethodGet, h.Config.Link(oidc.RealmPath+"/authorize?"+query.Encode()), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: session.Cookie, Value: "token"})
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if to, err := response.Location(); err != nil || to.Query().Get("error") != "login_required" {
		t.Errorf("answered %d %v", response.StatusCode, to)
	}
	var last int64
	var person string
	if err := stop(); err != nil { // so that the fault is written
		t.Fatal(err)
	}
	err = h.DB.Read(t.Context(), func(tx *db.Tx) error {
		if err := tx.Row(`SELECT uid FROM fault_log WHERE client = $1`, "silent").Scan(&person); err != nil {
			return err
		}
		return tx.Row(`SELECT last_seen FROM session WHERE sid = $1`, "sid").Scan(&last)
	})
	if err != nil || person != "555000100101" {
		t.Errorf("the fault is kept as that of %q: %v", person, err)
	}
	if last != db.Micros(seen) {
		t.Errorf("the sign-in counts as used %s after it was", db.Time(last).Sub(seen))
	}
}
