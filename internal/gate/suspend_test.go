package gate_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/session"
)

const suspensions = `audit_entry WHERE action = 'authenticator.suspended'`

// TestReportingAPhoneAsLost suspends it at any age of the session, ends what it
// opened, and tells its holder. The second time does nothing more.
func TestReportingAPhoneAsLost(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		id := r.Held(amara.UID)[0].ID
		phone, helens := r.SignIn(amara), r.SignIn(helen)
		key := openWith(r, care.SecurityKey)
		pending := admission(r.AppProof(amara))
		r.Clock.Later(14 * time.Minute)
		for range 2 {
			if err := r.Gate.ReportLost(t.Context(), key, id); err != nil {
				t.Fatal(err)
			}
		}
		if r.Held(amara.UID)[0].Usable() {
			t.Error("the phone is still of use")
		}
		if r.Alive(phone.Token) != nil || r.Alive(helens.Token) == nil || r.Count(live+` AND authenticator_id = 'key'`) != 1 {
			t.Error("want the phone's session ended, and no other")
		}
		if _, err := r.Gate.SignIn(t.Context(), pending); !fault.Has(err, fault.NotAdmitted) {
			t.Errorf("signing in with it: %v", err)
		}
		mails := r.Mails()
		if len(mails) != 1 || mails[0].Template != outbox.AuthenticatorSuspended || mails[0].To != amara.Email || r.Count(suspensions) != 1 {
			t.Errorf("%d mails and %d audit entries", len(mails), r.Count(suspensions))
		}
	})
}

// openWith opens a session of Amara's as another authenticator of hers would.
func openWith(r *gatetest.Rig, method care.Method) *session.Session {
	token, sid := r.Opener.NewToken()
	r.Write(func(tx *db.Tx) error {
		_, err := r.Opener.Open(tx, session.Opening{
			Token: token, SID: sid, UID: amara.UID, AAL: care.AAL3, Method: method, AuthenticatorID: "key", Terms: "2026-10",
		})
		return err
	})
	return r.Alive(token)
}

func TestWhoMayNotReportALoss(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		id := r.Held(amara.UID)[0].ID
		helens, over := r.SignIn(helen).Session, r.SignIn(amara)
		r.Write(func(tx *db.Tx) error { return session.End(tx, over.Session.ID, "signed out") })
		if err := r.Gate.ReportLost(t.Context(), &helens, id); !fault.Has(err, fault.NoAuthenticator) {
			t.Errorf("another's phone: %v", err)
		}
		if err := r.Gate.ReportLost(t.Context(), &helens, "unknown"); !fault.Has(err, fault.NoAuthenticator) {
			t.Errorf("a phone that nobody has: %v", err)
		}
		if err := r.Gate.ReportLost(t.Context(), &over.Session, id); !fault.Has(err, fault.NotAdmitted) {
			t.Errorf("by a session that is over: %v", err)
		}
		if !r.Held(amara.UID)[0].Usable() || r.Count(suspensions) != 0 || len(r.Mails()) != 0 {
			t.Error("something was suspended or told")
		}
	})
}

var notMe = regexp.MustCompile(regexp.QuoteMeta(gatetest.Base) + `/not-me\?t=(\S+)`)

// notice registers a new phone for Amara and returns the link of the notice.
func notice(t *testing.T, r *gatetest.Rig) (token string) {
	t.Helper()
	in := r.SignIn(amara)
	if _, err := r.Gate.Bind(t.Context(), bySession(r, "journey "+in.Token, amara, in)); err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Mails() {
		if m.Template == outbox.AuthenticatorReplaced {
			token = notMe.FindStringSubmatch(m.Text)[1]
		}
	}
	return token
}

// TestThisWasNotMe: decision 6. No sign-in is needed, every session ends, the
// new authenticator is suspended. The second time does nothing more.
func TestThisWasNotMe(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		token, helens := notice(t, r), r.SignIn(helen)
		openWith(r, care.SecurityKey)
		if err := r.Gate.CheckDisavowal(token); err != nil || !r.Held(amara.UID)[0].Usable() {
			t.Errorf("looking at it: %v", err)
		}
		for range 2 {
			if err := r.Gate.Disavow(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		if r.Held(amara.UID)[0].Usable() || r.Count(live+` AND uid = $1`, amara.UID) != 0 {
			t.Error("want the phone suspended and every session ended")
		}
		if r.Alive(helens.Token) == nil {
			t.Error("somebody else was signed out")
		}
		mails := r.Mails()
		if len(mails) != 1 || mails[0].Template != outbox.AuthenticatorSuspended || r.Count(suspensions) != 1 {
			t.Errorf("%d mails and %d audit entries", len(mails), r.Count(suspensions))
		}
	})
}

// TestThisWasNotMeAfterTheNextReplacement: the authenticator of the notice is
// gone; the sessions end all the same.
func TestThisWasNotMeAfterTheNextReplacement(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		first := notice(t, r)
		record := r.Held(amara.UID)[0]
		key := openWith(r, care.SecurityKey)
		b := introduced(r, "next", amara)
		b.Replaces = record.ID
		if _, err := r.Gate.Bind(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if err := r.Gate.Disavow(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if n := r.Count(live+` AND id = $1`, key.ID); n != 0 {
			t.Error("a session lives")
		}
		if !r.Held(amara.UID)[0].Usable() {
			t.Error("an authenticator was suspended that the notice was not about")
		}
		if n := r.Count(`audit_entry WHERE action = 'sessions.ended' AND subject = $1`, amara.UID); n != 1 {
			t.Errorf("%d audit entries", n)
		}
	})
}

// linkIn returns the "this wasn't me" link of a mail.
func linkIn(t *testing.T, r *gatetest.Rig, template string) string {
	t.Helper()
	for _, m := range r.Mails() {
		if m.Template == template {
			return notMe.FindStringSubmatch(m.Text)[1]
		}
	}
	t.Fatalf("no mail %s", template)
	return ""
}

// TestThisWasNotMeStopsThePhoneThatFollowed: decision 6. An intruder who used a
// recovery code, or changed the password, and then set up a phone of their own
// is stopped by the link of either mail: the authenticator that the first one
// is about is gone, and a page that says "locked" while theirs still signs in
// would be worse than none.
func TestThisWasNotMeStopsThePhoneThatFollowed(t *testing.T) {
	for name, intrude := range map[string]func(t *testing.T, r *gatetest.Rig) (link string){
		"a recovery code was used": func(t *testing.T, r *gatetest.Rig) string {
			codes := r.RecoveryCodes(amara)
			r.Clock.Later(time.Minute)
			enrolment, _ := r.NewApp(amara.UID, amara.Email)
			_, err := r.Gate.Bind(t.Context(), gate.Binding{Journey: "intruder", Enrolment: enrolment, Replaces: r.Held(amara.UID)[0].ID, Proofs: []credential.Proof{
				r.Mailbox("intruder", amara.UID, amara.Email), r.PasswordProof(amara), r.RecoveryProof(amara, codes[3]),
			}})
			if err != nil {
				t.Fatal(err)
			}
			return linkIn(t, r, outbox.RecoveryCodeUsed)
		},
		"the password was changed": func(t *testing.T, r *gatetest.Rig) string {
			in := r.SignIn(amara)
			if err := r.Gate.Change(t.Context(), gate.Changing{Change: newSecret(t, r), Session: &in.Session}); err != nil {
				t.Fatal(err)
			}
			link := linkIn(t, r, outbox.PasswordChanged)
			r.Clock.Later(time.Minute)
			if _, err := r.Gate.Bind(t.Context(), bySession(r, "intruder", amara, in)); err != nil {
				t.Fatal(err)
			}
			return link
		},
	} {
		t.Run(name, func(t *testing.T) {
			gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
				link := intrude(t, r)
				r.Mails()
				for range 2 {
					if err := r.Gate.Disavow(t.Context(), link); err != nil {
						t.Fatal(err)
					}
				}
				if r.Held(amara.UID)[0].Usable() || r.Count(live+` AND uid = $1`, amara.UID) != 0 {
					t.Error("the intruder's phone still signs in")
				}
				if !r.Held(helen.UID)[0].Usable() {
					t.Error("somebody else was locked out")
				}
				if mails := r.Mails(); len(mails) != 1 || mails[0].Template != outbox.AuthenticatorSuspended || r.Count(suspensions) != 1 {
					t.Errorf("%d mails and %d audit entries", len(mails), r.Count(suspensions))
				}
			})
		})
	}
}

// TestThisWasNotMeLivesTenDays, to the second.
func TestThisWasNotMeLivesTenDays(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		token := notice(t, r)
		made := r.Clock.Now()
		r.Clock.Set(made.Add(240*time.Hour - time.Second))
		if err := r.Gate.CheckDisavowal(token); err != nil {
			t.Errorf("one second before: %v", err)
		}
		r.Clock.Set(made.Add(240*time.Hour + time.Second))
		if err := r.Gate.CheckDisavowal(token); !fault.Has(err, fault.DisavowalUnreadable) {
			t.Errorf("one second after: %v", err)
		}
		if err := r.Gate.Disavow(t.Context(), token); !fault.Has(err, fault.DisavowalUnreadable) || !r.Held(amara.UID)[0].Usable() {
			t.Errorf("one second after: %v", err)
		}
	})
}

func TestTamperedDisavowalDoesNothing(t *testing.T) {
	r := gatetest.Open(t)
	token := notice(t, r)
	for name, text := range map[string]string{
		"empty": "", "cut": token[:len(token)-4], "no base64": token + "!", "changed": flip(token, 0), "changed inside": flip(token, len(token)/2),
	} {
		if err := r.Gate.Disavow(t.Context(), text); !fault.Has(err, fault.DisavowalUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !r.Held(amara.UID)[0].Usable() || r.Count(suspensions) != 0 {
		t.Error("something was suspended")
	}
}

func flip(text string, at int) string {
	letter := "A"
	if strings.HasPrefix(text[at:], letter) {
		letter = "B"
	}
	return text[:at] + letter + text[at+1:]
}
