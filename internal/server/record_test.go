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

// N3: a page that asks with prompt=none shows nobody at the keyboard, whether it
// is answered or refused, and neither is it activity to write the fault down or
// to say on the page of the answer who is signed in.
func TestSilentRequestsAreNoActivityHoweverTheyEnd(t *testing.T) {
	for name, c := range map[string]struct {
		maxAge, mode string
		status       int
	}{
		"refused": {"1", "query", http.StatusFound}, "answered": {"3600", "query", http.StatusFound},
		"refused by a form": {"1", "form_post", http.StatusOK}, "answered by a form": {"3600", "form_post", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) { silent(t, c.maxAge, c.mode, c.status) })
	}
}

func silent(t *testing.T, maxAge, mode string, status int) {
	h := furnished(t, config.Demo{Listen: freeAddress(t)}, nothing)
	stop := serving(t, h)
	seen := h.DB.Now().Add(-10 * time.Minute)
	rp := relyingparty.RelyingParty{
		ClientID: "silent", Name: "Silent", RedirectURIs: []string{"https://rp.example/callback"}, DefaultACR: care.AAL3Any,
	}
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
		"client_id": {"silent"}, "redirect_uri": rp.RedirectURIs, "response_type": {"code"}, "scope": {"openid"},
		"prompt": {"none"}, "max_age": {maxAge}, "response_mode": {mode},
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
	if response.StatusCode != status {
		t.Errorf("answered %d", response.StatusCode)
	}
	if err := stop(); err != nil { // so that a fault is written
		t.Fatal(err)
	}
	var last int64
	var faults, named int
	err = h.DB.Read(t.Context(), func(tx *db.Tx) error {
		err := tx.Row(`SELECT count(*), count(*) FILTER (WHERE uid = '555000100101') FROM fault_log WHERE client = $1`, "silent").Scan(&faults, &named)
		if err != nil {
			return err
		}
		return tx.Row(`SELECT last_seen FROM session WHERE sid = $1`, "sid").Scan(&last)
	})
	if want := maxAge == "1"; err != nil || want != (faults == 1) || faults != named {
		t.Errorf("%d faults are kept, %d as the person's: %v", faults, named, err)
	}
	if last != db.Micros(seen) {
		t.Errorf("the sign-in counts as used %s after it was", db.Time(last).Sub(seen))
	}
}
