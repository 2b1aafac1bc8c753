package connection_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/connection"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/relyingparty/team"
)

// connman-cli takes the token from the first attribute of the cookie, decodes
// it without verifying it, keeps it under its sub, and looks it up there by
// the team's id.
func TestASecretBuysACookieAndABearerTokenOfTheTeam(t *testing.T) {
	each(t, func(t *testing.T, h *house, c *clock) {
		a := h.do("POST", "/api/auth", "", "Authorization: SecretAuth "+h.secrets["mavis"], "Content-Type: application/json")
		if a.status != http.StatusOK || fmt.Sprint(a.fields["team_ids"]) != "[mavis]" {
			t.Fatalf("signing in: %d %s", a.status, a.text)
		}
		token := a.string("access_token")
		cookies := a.header.Values("Set-Cookie")
		if len(cookies) != 1 || !strings.HasPrefix(cookies[0], "__Host-session="+token+"; ") {
			t.Fatalf("cookies %q, want the session first in one", cookies)
		}
		for _, attribute := range []string{"Path=/", "Secure", "HttpOnly", "SameSite=Strict"} { // N18
			if !strings.Contains(cookies[0], "; "+attribute) {
				t.Errorf("the cookie lacks %s: %s", attribute, cookies[0])
			}
		}
		var claims map[string]any
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"iss": baseURL, "sub": "mavis", "aud": baseURL, "team_ids": "[mavis]",
			"iat": fmt.Sprint(float64(c.now().Unix())), "exp": fmt.Sprint(float64(c.now().Add(connection.SessionLife).Unix())),
		} {
			if got := fmt.Sprint(claims[name]); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
		for _, header := range []string{"Cookie: __Host-session=" + token, "Authorization: Bearer " + token, "Authorization: bearer  " + token} {
			if a := h.do("GET", "/api/configs/mavis", "", header); a.status != http.StatusOK || a.text != "{\"configs\":[]}\n" {
				t.Errorf("with %.20s…: %d %s", header, a.status, a.text)
			}
		}
	})
}

func TestASessionEndsAfterAnHour(t *testing.T) {
	each(t, func(t *testing.T, h *house, c *clock) {
		session := h.signIn("mavis")
		c.pass(connection.SessionLife - time.Second)
		if a := h.do("GET", "/api/configs/mavis", "", session); a.status != http.StatusOK {
			t.Errorf("one second before: %d %s", a.status, a.text)
		}
		c.pass(2 * time.Second)
		if a := h.do("GET", "/api/configs/mavis", "", session); a.status != http.StatusUnauthorized || a.string("error") != "team_not_authenticated" {
			t.Errorf("one second after: %d %s", a.status, a.text)
		}
	})
}

func TestADroppedSecretTakesItsSessionsWithIt(t *testing.T) {
	each(t, func(t *testing.T, h *house, c *clock) {
		old := h.signIn("mavis")
		c.pass(time.Second)
		h.secrets["mavis"] = h.secret("mavis")
		if a := h.do("GET", "/api/configs/mavis", "", old); a.status != http.StatusOK {
			t.Errorf("while both are good: %d %s", a.status, a.text)
		}
		h.write(func(tx *db.Tx) error { return team.DropSecrets(tx, "operator", team.Team{ID: "mavis"}, false) })
		if a := h.do("GET", "/api/configs/mavis", "", old); a.status != http.StatusUnauthorized {
			t.Errorf("after the drop: %d %s", a.status, a.text)
		}
		if a := h.do("GET", "/api/configs/mavis", "", h.signIn("mavis")); a.status != http.StatusOK {
			t.Errorf("with the new secret: %d %s", a.status, a.text)
		}
	})
}

func TestWhatIsNoSessionOfOursIsRefused(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		token := strings.TrimPrefix(h.signIn("mavis"), "Authorization: Bearer ")
		parts := strings.Split(token, ".")
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		other := base64.RawURLEncoding.EncodeToString([]byte(strings.ReplaceAll(string(payload), "mavis", "other")))
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
		for name, header := range map[string]string{
			"nothing":        "X-Nothing: here",
			"no token":       "Authorization: Bearer ",
			"the secret":     "Authorization: Bearer " + h.secrets["mavis"],
			"SecretAuth":     "Authorization: SecretAuth " + h.secrets["mavis"],
			"another team":   "Authorization: Bearer " + parts[0] + "." + other + "." + parts[2],
			"alg none":       "Authorization: Bearer " + none + "." + parts[1] + ".",
			"cut off":        "Authorization: Bearer " + token[:len(token)-3],
			"very long":      "Authorization: Bearer " + token + strings.Repeat("x", 5000),
			"a broken token": "Cookie: __Host-session=a.b.c",
		} {
			a := h.do("GET", "/api/configs/mavis", "", header)
			if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" || a.string("reference") == "" {
				t.Errorf("%s: %d %s", name, a.status, a.text)
			}
		}
	})
}

func TestATeamSeesItsOwnConfigsOnly(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		mine, theirs := h.signIn("mavis"), h.signIn("other")
		made := h.make(mine, "mavis", least)
		name := made.string("client_id")
		if a := h.do("GET", "/api/configs/mavis/"+name, "", theirs); a.status != http.StatusForbidden {
			t.Errorf("another team reads: %d %s", a.status, a.text)
		}
		if a := h.do("GET", "/api/configs/other/"+name, "", theirs); a.status != http.StatusNotFound {
			t.Errorf("under its own address: %d %s", a.status, a.text)
		}
		if a := h.do("PUT", "/api/configs/other/"+name+"?hash="+made.string("hash"), least, theirs); a.status != http.StatusNotFound {
			t.Errorf("another team writes: %d %s", a.status, a.text)
		}
		if a := h.do("GET", "/api/configs/nobody", "", theirs); a.status != http.StatusForbidden {
			t.Errorf("a team that does not exist: %d %s", a.status, a.text)
		}
	})
}

// Decision 9: guessing is limited by network, and a wrong secret that a
// forgotten program repeats holds up nobody else, not even behind the same
// address.
func TestWrongSecretsWaitAndHoldUpNobodyElse(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		wrong := func(secret string) answer {
			return h.do("POST", "/api/auth", "", "Authorization: SecretAuth "+secret)
		}
		for n := range 5 {
			if a := wrong("the same again"); a.status != http.StatusUnauthorized {
				t.Fatalf("attempt %d: %d %s", n+1, a.status, a.text)
			}
		}
		if a := wrong("the same again"); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "10" {
			t.Errorf("the sixth: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
		}
		h.signIn("mavis")
		for n := range 95 {
			if a := wrong(fmt.Sprintf("guess %d", n)); a.status != http.StatusUnauthorized {
				t.Fatalf("guess %d: %d %s", n, a.status, a.text)
			}
		}
		if a := wrong(h.secrets["mavis"]); a.status != http.StatusTooManyRequests {
			t.Errorf("after a hundred guesses of the network a right one gets %d", a.status)
		}
		h.network = "198.51.100.9"
		h.signIn("mavis")
	})
}

func TestNoSecretAndNoTokenIsLogged(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		session := h.signIn("mavis")
		h.do("POST", "/api/auth", "", "Authorization: SecretAuth my-wrong-secret")
		h.do("GET", "/api/configs/other", "", session)
		h.do("POST", "/api/configs/mavis?access_token=in-the-query", "{", session)
		if h.log.Len() == 0 {
			t.Fatal("nothing was logged")
		}
		for _, secret := range []string{"my-wrong-secret", "in-the-query", strings.TrimPrefix(session, "Authorization: Bearer "), h.secrets["mavis"]} {
			if strings.Contains(h.log.String(), secret) {
				t.Errorf("the log has a secret: %s", h.log)
			}
		}
	})
}

// A page of elsewhere cannot use the cookie (ASVS 3.5.1).
func TestAPageOfElsewhereIsRefused(t *testing.T) {
	each(t, func(t *testing.T, h *house, _ *clock) {
		token := strings.TrimPrefix(h.signIn("mavis"), "Authorization: Bearer ")
		cookie := "Cookie: __Host-session=" + token
		for _, header := range []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"} {
			if a := h.do("POST", "/api/configs/mavis", least, cookie, header); a.status != http.StatusForbidden {
				t.Errorf("%s: %d %s", header, a.status, a.text)
			}
		}
		if a := h.do("POST", "/api/configs/mavis", least, cookie, "Content-Type: text/plain"); a.status != http.StatusBadRequest {
			t.Errorf("as a form: %d %s", a.status, a.text)
		}
	})
}
