package gate_test

import (
	"strings"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/outbox"
)

// TestEveryChangeIsToldByMail: N22. Each mail carries a link for those whom it
// surprises, which works.
func TestEveryChangeIsToldByMail(t *testing.T) {
	for name, c := range map[string]struct {
		do       func(t *testing.T, r *gatetest.Rig) error
		to       care.Email
		template string
		words    string
	}{
		"registered by an RA": {func(t *testing.T, r *gatetest.Rig) error {
			_, err := r.Gate.Bind(t.Context(), introduced(r, "j", owen))
			return err
		}, owen.Email, outbox.AuthenticatorRegistered, "Microsoft Authenticator"},
		"replaced": {func(t *testing.T, r *gatetest.Rig) error {
			_, err := r.Gate.Bind(t.Context(), bySession(r, "j", amara, r.SignIn(amara)))
			return err
		}, amara.Email, outbox.AuthenticatorReplaced, "Dear Dr Amara OSEI"},
		"lost phone": {func(t *testing.T, r *gatetest.Rig) error {
			codes := r.RecoveryCodes(amara)
			r.Mails()
			enrolment, _ := r.NewApp(amara.UID, amara.Email)
			_, err := r.Gate.Bind(t.Context(), gate.Binding{Journey: "j", Enrolment: enrolment, Replaces: r.Held(amara.UID)[0].ID, Proofs: []credential.Proof{
				mailbox(r), r.PasswordProof(amara), r.RecoveryProof(amara, codes[0]),
			}})
			return err
		}, amara.Email, outbox.NewPhone, "old phone"},
		"password": {func(t *testing.T, r *gatetest.Rig) error {
			s := r.SignIn(amara).Session
			return r.Gate.Change(t.Context(), gate.Changing{Change: newSecret(t, r), Session: &s})
		}, amara.Email, outbox.PasswordChanged, "password"},
		"recovery codes": {func(_ *testing.T, r *gatetest.Rig) error { r.RecoveryCodes(amara); return nil },
			amara.Email, outbox.RecoveryCodesMade, "recovery codes"},
		"suspended": {func(t *testing.T, r *gatetest.Rig) error {
			s := r.SignIn(amara).Session
			return r.Gate.ReportLost(t.Context(), &s, s.AuthenticatorID)
		}, amara.Email, outbox.AuthenticatorSuspended, "suspended"},
	} {
		t.Run(name, func(t *testing.T) {
			gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
				if err := c.do(t, r); err != nil {
					t.Fatal(err)
				}
				found := 0
				for _, m := range r.Mails() {
					if m.Template != c.template {
						continue
					}
					found++
					if m.To != c.to || !strings.Contains(m.Text, c.words) {
						t.Errorf("to %s: %s", m.To, m.Text)
					}
					link := notMe.FindStringSubmatch(m.Text)
					if link == nil {
						t.Fatalf("no way out: %s", m.Text)
					}
					if err := r.Gate.Disavow(t.Context(), link[1]); err != nil {
						t.Errorf("its link: %v", err)
					}
				}
				if found != 1 {
					t.Errorf("%d mails %s", found, c.template)
				}
			})
		})
	}
}

// TestNoticeIsPromisedWithTheChange: what is not done is not told.
func TestNoticeIsPromisedWithTheChange(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		b := introduced(r, "j", amara) // she has an app already
		if _, err := r.Gate.Bind(t.Context(), b); err == nil {
			t.Fatal("a second app was bound")
		}
		if err := r.Gate.Change(t.Context(), gate.Changing{Change: newSecret(t, r)}); err == nil {
			t.Fatal("a password was changed by nobody")
		}
		if mails := r.Mails(); len(mails) != 0 {
			t.Errorf("told: %s to %s", mails[0].Template, mails[0].To)
		}
	})
}
