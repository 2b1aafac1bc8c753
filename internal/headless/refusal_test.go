package headless_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/headless"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
)

func endAll(tx *db.Tx) error { return session.EndAll(tx, amara.UID, "test") }

func TestAWrongPasswordIs401WhetherOrNotAnybodyHasTheAddress(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		s := h.to(h.authorize())
		first := s.begin()
		var messages []any
		for _, address := range []string{string(amara.Email), "nobody@northgate.example.nhs.uk"} {
			e := s.fill(first, address, "wrong").fails(http.StatusUnauthorized, fault.WrongEmailOrPassword)
			messages = append(messages, e.body["message"])
		}
		if messages[0] != messages[1] {
			t.Errorf("ASVS 6.3.8: the answers differ: %q", messages)
		}
		if len(h.faults) != 2 {
			t.Errorf("%d faults were kept for carekey explain", len(h.faults))
		}
	})
}

// Decision 9: the same counts as with pages. What a script guesses makes the
// pages wait too, and the other way round.
func TestGuessesAreCountedAsThoseOfPagesAre(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		s := h.to(h.authorize())
		first := s.begin()
		for range throttle.FreeFailures {
			s.fill(first, string(amara.Email), "wrong").fails(http.StatusUnauthorized, fault.WrongEmailOrPassword)
		}
		e := s.fill(first, string(amara.Email), gatetest.Password).fails(http.StatusTooManyRequests, fault.TooManyAttempts)
		if e.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		_, err := h.App.PasswordStep(t.Context(), amara.Email, gatetest.Password, throttle.Subject{Network: h.network})
		if !fault.Has(err, fault.TooManyAttempts) {
			t.Errorf("a page's password step: %v", err)
		}
	})
}

func TestACodeIsAcceptedOnceN16(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		s := h.to(h.authorize())
		question := s.atCode(amara)
		s.fill(question, "000000").fails(http.StatusUnauthorized, fault.WrongAppCode)
		s.fill(question, "12").fails(http.StatusUnauthorized, fault.AppCodeMistyped)
		code := h.Code(amara.Secret)
		s.fill(question, code).success()
		s.fill(question, code).fails(http.StatusUnauthorized, fault.SignInTooOld) // the ticket is used up too
		s.fill(s.atCode(amara), code).fails(http.StatusUnauthorized, fault.AppCodeUsed)
	})
}

// A password alone signs nobody in (decision 10), and no stage is skipped.
func TestStagesCannotBeSkipped(t *testing.T) {
	h := open(t)
	s := h.to(h.authorize())
	first := s.begin()
	code := h.Code(amara.Secret)
	s.fill(first, code).fails(http.StatusBadRequest, fault.HeadlessUnreadable)
	s.fill(first, string(amara.Email), "").fails(http.StatusBadRequest, fault.HeadlessUnreadable)
	s.fill(s.atCode(amara), "", "").fails(http.StatusUnauthorized, fault.AppCodeMistyped)
	if h.Count("session") != 0 {
		t.Error("a session was opened")
	}
}

// The journey of a page does not open here, nor the other way round: each is
// sealed for its own kind.
func TestOnlyAnAuthIdOfThisInterfaceOpens(t *testing.T) {
	h := open(t)
	s := h.to(h.authorize())
	good := s.begin().body["authId"].(string)
	sealed, err := h.request.SealRequirement(gatetest.Anything())
	h.must(err)
	for _, text := range []string{"nonsense", good[:len(good)-2], "A" + good[1:], sealed} {
		s.post(fmt.Sprintf(`{"authId":%q,"callbacks":[]}`, text)).fails(http.StatusBadRequest, fault.JourneyTampered)
	}
}

// AM says errorCode 110 for it, one second after the end and not before.
func TestAnAuthIdLivesFifteenMinutes(t *testing.T) {
	h := open(t)
	s := h.to(h.authorize())
	first := s.begin()
	h.Clock.Later(15*time.Minute - time.Second)
	s.fill(first, string(amara.Email), gatetest.Password).stage("appCode")
	h.Clock.Later(2 * time.Second)
	e := s.fill(first, string(amara.Email), gatetest.Password).fails(http.StatusUnauthorized, fault.JourneyExpired)
	if !strings.Contains(e.raw, `"errorCode":"110"`) {
		t.Errorf("scripts see no time-out: %s", e.raw)
	}
	s = h.to(h.authorize())
	question := s.atCode(amara)
	h.Clock.Later(app.TicketLife + time.Second)
	s.fill(question, h.Code(amara.Secret)).fails(http.StatusUnauthorized, fault.SignInTooOld)
}

// ASVS 3.5.2: what a form of another site can send is not read, and what
// another site's script sends is refused by the browser's own word.
func TestNoOtherSiteDrivesTheInterface(t *testing.T) {
	h := open(t)
	s := h.to(h.authorize())
	first := s.begin()
	body := fmt.Sprintf(`{"authId":%q,"callbacks":[{"input":[{"name":"IDToken1","value":%q},{"name":"IDToken2","value":%q}]}]}`,
		first.body["authId"], amara.Email, gatetest.Password)
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/json;x"} {
		s.header.Set("Content-Type", media)
		s.post(body).fails(http.StatusUnsupportedMediaType, fault.HeadlessMedia)
	}
	s.header.Set("Content-Type", "text/plain")
	s.begin().fails(http.StatusUnsupportedMediaType, fault.HeadlessMedia)

	s.header.Set("Content-Type", "application/json; charset=UTF-8")
	for name, value := range map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"} {
		s.header.Set(name, value)
		if e := s.post(body); e.status != http.StatusForbidden || e.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %s got %d", name, value, e.status)
		}
		s.header.Del(name)
	}
	s.header.Set("Origin", h.server.URL)
	s.post(body).stage("appCode")
	s.header.Del("Content-Type") // nothing to read: nothing to forge
	s.begin().stage("password")
}

// A browser that is signed in does not give its session's secret away: the
// caller signs in again (N18).
func TestAnExistingSessionIsNotHandedOut(t *testing.T) {
	h := open(t)
	s := h.to(h.authorize())
	token := s.signIn(amara).success().body["tokenId"].(string)
	if e := s.begin().stage("password"); strings.Contains(e.raw, token) {
		t.Error("the token of the session is in the answer")
	}
	if again := s.signIn(amara).success(); again.body["tokenId"] == token || h.Alive(token) != nil {
		t.Error("ASVS 7.2.4: the secret of the session before is still good")
	}
}

func TestSomebodyWhoseIdentityIsClosedIsNotAdmitted(t *testing.T) {
	h := open(t)
	s := h.to(h.authorize())
	question := s.atCode(amara)
	h.must(h.DB.Write(t.Context(), func(tx *db.Tx) error {
		return person.Close(tx, amara.UID, person.Closure{Reason: "Left", At: tx.Now()})
	}))
	if e := s.fill(question, h.Code(amara.Secret)); e.status != http.StatusUnauthorized || e.body["tokenId"] != nil {
		t.Errorf("%d %s", e.status, e.raw)
	}
	if h.Count("session WHERE ended_at = 0") != 0 {
		t.Error("a session was opened")
	}
}

// mangled are bodies that are no question.
var mangled = []string{
	`{`, `[]`, `"x"`, `null x`, `{"authId":1}`, `{"callbacks":{}}`, `{"callbacks":[{"input":[{"name":"IDToken1","value":{}}]}]}`,
	`{"callbacks":[{"input":[{"name":"IDToken1","value":"a"}]}]}`, `{"authId":"x","callbacks":[{"input":[{"name":"IDToken1","value":1.5}]}]}`,
	`{"authId":"x","callbacks":[{"input":[{"name":"a","value":"1"},{"name":"a","value":"2"}]}]}`, "\xff", `{"authId":"x"}{}`,
}

func TestABodyThatIsNoQuestionIs400(t *testing.T) {
	h := open(t)
	s := h.to(h.authorize())
	for _, body := range mangled {
		if e := s.post(body); e.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, e.status, e.raw)
		}
	}
	s.post(`{"authId":"`+strings.Repeat("x", 64<<10)+`"}`).fails(http.StatusRequestEntityTooLarge, fault.FormTooLarge)
	for _, empty := range []string{"{}", "null", `{"authId":"","callbacks":[]}`} {
		s.post(empty).stage("password")
	}
}

// FuzzAuthenticate: whatever a script sends, it gets AM's JSON and never an
// error of ours, and no session.
func FuzzAuthenticate(f *testing.F) {
	h := open(f)
	s := h.to(h.authorize())
	first := s.begin()
	good, err := json.Marshal(first.body)
	h.must(err)
	f.Add(string(good), "", "application/json")
	for _, body := range mangled {
		f.Add(body, "goto=x&authIndexValue=AAL2_TOTP", "application/json")
	}
	f.Fuzz(func(t *testing.T, body, query, media string) {
		r, err := http.NewRequest(http.MethodPost, h.server.URL+headless.Path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", media)
		response, err := h.server.Client().Do(r)
		if err != nil {
			return // no such request leaves a client
		}
		defer response.Body.Close()
		var answer map[string]any
		err = json.NewDecoder(response.Body).Decode(&answer)
		if response.StatusCode >= http.StatusInternalServerError || answer["tokenId"] != nil || err != nil && response.StatusCode != http.StatusBadRequest {
			t.Fatalf("%q %q: %d %v, %v", query, body, response.StatusCode, answer, err)
		}
	})
}
