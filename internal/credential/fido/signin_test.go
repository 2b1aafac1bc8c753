package fido_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// TestAKeyThatKeepsNothingSignsInWithAnAddress.
func TestAKeyThatKeepsNothingSignsInWithAnAddress(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		key := fidotest.New(origin)
		key.Discoverable = false
		r.bind("a", key, care.SecurityKey)
		if _, err := key.Get(r.ask("", care.SecurityKey).Options); err != fidotest.ErrNotAllowed {
			t.Errorf("without an address: %v", err)
		}
		p, err := r.answer(key, r.ask(amaraEmail, care.SecurityKey))
		must(t, err)
		must(t, r.Use(t, p))
	})
}

// TestNobodyLearnsWhoIsRegistered: ASVS 6.3.8; WebAuthn, 14.6.2. An address that
// nobody has, one without a key and one with a key get the same kind of answer,
// the same each time.
func TestNobodyLearnsWhoIsRegistered(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		type options struct {
			Allow []struct {
				ID         string
				Transports []string
			} `json:"allowCredentials"`
			UserVerification string
			RPID             string `json:"rpId"`
		}
		r.bind("a", fidotest.New(origin), care.SecurityKey)
		ids := map[string]bool{}
		for _, address := range []care.Email{amaraEmail, credtest.OwenEmail, "nobody@example.nhs.uk", "nobody2@example.nhs.uk"} {
			for _, method := range fido.Methods() {
				first, again := r.ask(address, method), r.ask(address, method)
				o, o2 := publicKey[options](t, first), publicKey[options](t, again)
				if len(o.Allow) != 1 || len(o2.Allow) != 1 || o.Allow[0].ID != o2.Allow[0].ID || len(o.Allow[0].Transports) == 0 {
					t.Fatalf("%s, %s: %+v, then %+v", address, method, o, o2)
				}
				if o.UserVerification != "required" || o.RPID != "id.example.nhs.uk" {
					t.Errorf("%+v", o)
				}
				if ids[o.Allow[0].ID] {
					t.Errorf("%s, %s: the id of another address or method", address, method)
				}
				ids[o.Allow[0].ID] = true
				if len(first.Sealed) != len(again.Sealed) {
					t.Errorf("%s: sealed to %d and %d", address, len(first.Sealed), len(again.Sealed))
				}
			}
		}
		// What travels is no longer for an address that somebody has.
		known, unknown := r.ask(amaraEmail, care.SecurityKey), r.ask(care.Email(strings.Repeat("x", len(amaraEmail))), care.SecurityKey)
		if len(known.Sealed) != len(unknown.Sealed) {
			t.Errorf("sealed to %d for who has a key, to %d for who does not", len(known.Sealed), len(unknown.Sealed))
		}
	})
}

// TestAForgedAnswerForADecoyIsRefusedAsForAKey: whoever sends back the id that an
// address got learns nothing either. The browser's own names in the answer apart,
// all is the same.
func TestAForgedAnswerForADecoyIsRefusedAsForAKey(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		key := fidotest.New(origin)
		r.bind("a", key, care.SecurityKey)
		type options struct {
			Allow []struct{ ID string } `json:"allowCredentials"`
		}
		var said []string
		for _, address := range []care.Email{amaraEmail, credtest.OwenEmail, "nobody@example.nhs.uk"} {
			c := r.ask(address, care.SecurityKey)
			forger := fidotest.New(origin)
			made, err := r.BeginRegistration(t.Context(), holder(amara), care.SecurityKey, bound)
			must(t, err)
			_, err = forger.Create(made.Options)
			must(t, err)
			own := r.ask("", care.SecurityKey)
			response, err := forger.Get([]byte(strings.Replace(string(own.Options),
				publicKey[challenged](t, own).Challenge, publicKey[challenged](t, c).Challenge, 1)))
			must(t, err)
			var whole map[string]any
			must(t, json.Unmarshal(response, &whole))
			whole["id"] = publicKey[options](t, c).Allow[0].ID
			whole["rawId"] = whole["id"]
			response, err = json.Marshal(whole)
			must(t, err)
			_, err = r.FinishSignIn(t.Context(), c.Sealed, bound, response)
			wants(t, err, fault.FIDORefused)
			said = append(said, err.Error())
		}
		if said[0] != said[1] || said[1] != said[2] {
			t.Errorf("three answers: %q", said)
		}
	})
}

// TestAnswersThatAreRefusedAtSignIn: WebAuthn, 7.2, by its steps.
func TestAnswersThatAreRefusedAtSignIn(t *testing.T) {
	for name, c := range map[string]struct {
		methods []care.Method
		address care.Email
		change  func(k *fidotest.Key)
		before  func(r *room)
		edit    func(string) string
		want    *fault.Kind
	}{
		"step 5, another's address":  {address: credtest.OwenEmail, want: fault.FIDOUnknownKey},
		"step 6, no user handle":     {change: func(k *fidotest.Key) { k.Discoverable = false }, want: fault.FIDORefused},
		"step 6, another's handle":   {edit: func(s string) string { return strings.Replace(s, `"userHandle":"`, `"userHandle":"AAAA`, 1) }, want: fault.FIDORefused},
		"step 11, type":              {edit: client("webauthn.get", "webauthn.create"), want: fault.FIDORefused},
		"step 12, challenge":         {edit: client(`"challenge":"`, `"challenge":"A`), want: fault.FIDORefused},
		"step 13, origin":            {change: func(k *fidotest.Key) { k.Origin = "https://evil.example" }, want: fault.FIDOOrigin},
		"step 14, in a frame":        {edit: client(`"crossOrigin":false`, `"crossOrigin":true`), want: fault.FIDORefused},
		"step 15, RP ID":             {change: func(k *fidotest.Key) { k.RPID = "evil.example" }, want: fault.FIDORefused},
		"step 16, not present":       {change: func(k *fidotest.Key) { k.Absent = true }, want: fault.FIDORefused},
		"step 18, backup state":      {change: func(k *fidotest.Key) { k.BackupState = true }, want: fault.FIDORefused},
		"step 19, now to be synced":  {change: func(k *fidotest.Key) { k.BackupEligible = true }, want: fault.FIDORefused},
		"step 21, signature":         {change: func(k *fidotest.Key) { k.Forge = true }, want: fault.FIDORefused},
		"not registered any more":    {before: func(r *room) { r.change(`DELETE FROM authenticator`) }, want: fault.FIDOUnknownKey},
		"registered as another type": {methods: []care.Method{care.WindowsHello, care.Passkey}, want: fault.FIDOWrongMethod},
		"suspended":                  {before: func(r *room) { r.change(`UPDATE authenticator SET suspended_at = 1`) }, want: fault.FIDOSuspended},
		"disabled":                   {before: func(r *room) { r.change(`UPDATE authenticator SET disabled_at = 1`) }, want: fault.FIDOSuspended},
		"suspended, wrong signature": {
			before: func(r *room) { r.change(`UPDATE authenticator SET suspended_at = 1`) },
			change: func(k *fidotest.Key) { k.Forge = true }, want: fault.FIDORefused,
		},
		"no JSON": {edit: func(string) string { return "[]" }, want: fault.FIDORefused},
		"late":    {edit: func(s string) string { return s + " " }, before: func(r *room) { r.Advance(fido.Life) }, want: fault.FIDOAnotherTab},
	} {
		t.Run(name, func(t *testing.T) {
			r := in(t, credtest.Open(t, fido.Schema))
			key := fidotest.New(origin)
			r.bind("a", key, care.SecurityKey)
			if c.methods == nil {
				c.methods = []care.Method{care.SecurityKey}
			}
			asked := r.ask(c.address, c.methods...)
			options := asked.Options
			if name == "step 5, another's address" || name == "step 6, no user handle" {
				// A browser that lets the person use any key.
				options = r.ask(amaraEmail, care.SecurityKey).Options
				options = []byte(strings.Replace(string(options), publicKey[challenged](t, fido.Ceremony{Options: options}).Challenge, publicKey[challenged](t, asked).Challenge, 1))
			}
			if c.change != nil {
				c.change(key)
			}
			response, err := key.Get(options)
			must(t, err)
			if c.before != nil {
				c.before(r)
			}
			text := string(response)
			if c.edit != nil {
				if text = c.edit(text); text == string(response) {
					t.Fatal("nothing was edited")
				}
			}
			_, err = r.FinishSignIn(t.Context(), asked.Sealed, bound, []byte(text))
			wants(t, err, c.want)
			if len(r.suspended) > 0 {
				t.Errorf("suspended %v", r.suspended)
			}
		})
	}
}

type challenged struct{ Challenge string }

// change changes the database behind the room's back.
func (r *room) change(statement string) {
	r.Write(r.t, func(tx *db.Tx) error { _, err := tx.Exec(statement); return err })
}

// TestAnAnswerSignsInOnceInItsBrowser: challenges are single-use and bound
// (WebAuthn, 13.4.3). An answer that is sent twice is no copied key.
func TestAnAnswerSignsInOnceInItsBrowser(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		key := fidotest.New(origin)
		r.bind("a", key, care.SecurityKey)
		c := r.ask("", care.SecurityKey)
		response, err := key.Get(c.Options)
		must(t, err)
		_, err = r.FinishSignIn(t.Context(), c.Sealed, "another browser", response)
		wants(t, err, fault.FIDOAnotherTab)
		first, err := r.FinishSignIn(t.Context(), c.Sealed, bound, response)
		must(t, err)
		second, err := r.FinishSignIn(t.Context(), c.Sealed, bound, response)
		must(t, err)
		must(t, r.Use(t, first))
		wants(t, r.Use(t, second), fault.FIDOAnotherTab)
		_, err = r.FinishSignIn(t.Context(), c.Sealed, bound, response)
		wants(t, err, fault.FIDOAnotherTab)
		if len(r.suspended) > 0 {
			t.Errorf("suspended %v", r.suspended)
		}
		must(t, r.signIn(key, care.SecurityKey))
		for _, at := range []struct {
			after time.Duration
			kept  int
		}{
			{fido.Life + time.Second, 3}, // by the clock of another node they may be good still
			{time.Hour, 0},
		} {
			r.Advance(at.after)
			r.Write(t, fido.Prune)
			r.Read(t, func(tx *db.Tx) error {
				var kept int
				err := tx.Row(`SELECT count(*) FROM fido_challenge`).Scan(&kept)
				if kept != at.kept {
					t.Errorf("%s later %d used challenges are kept, want %d", at.after, kept, at.kept)
				}
				return err
			})
		}
	})
}

// TestACounterThatWentBackSuspendsTheKey: WebAuthn, 7.2 step 22; record 0051.
func TestACounterThatWentBackSuspendsTheKey(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		key := fidotest.New(origin)
		r.bind("a", key, care.SecurityKey)
		stolen := key.Copy()
		must(t, r.signIn(key, care.SecurityKey))
		c := r.ask("", care.SecurityKey)
		response, err := stolen.Get(c.Options) // the same counter as the holder's last
		must(t, err)
		_, err = r.FinishSignIn(t.Context(), c.Sealed, bound, response)
		wants(t, err, fault.FIDOCounterBack)
		if len(r.suspended) != 1 || r.suspended[0] != "a" {
			t.Errorf("suspended %v", r.suspended)
		}
		// Sent again it is a used challenge; with a better counter it is too late.
		_, err = r.FinishSignIn(t.Context(), c.Sealed, bound, response)
		wants(t, err, fault.FIDOAnotherTab)
		wants(t, r.signIn(key, care.SecurityKey), fault.FIDOSuspended)
		if len(r.suspended) != 1 {
			t.Errorf("suspended %v", r.suspended)
		}
	})
}

// TestACounterThatFallsToZeroWentBack: a key that counts never stops to.
func TestACounterThatFallsToZeroWentBack(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		key := fidotest.New(origin)
		r.bind("a", key, care.SecurityKey)
		key.Counter = 0
		wants(t, r.signIn(key, care.SecurityKey), fault.FIDOCounterBack)
	})
}

// TestSignaturesThatOvertakeEachOtherSuspendNothing: record 0051.
func TestSignaturesThatOvertakeEachOtherSuspendNothing(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		key := fidotest.New(origin)
		r.bind("a", key, care.SecurityKey)
		slow, err := r.answer(key, r.ask("", care.SecurityKey))
		must(t, err)
		fast, err := r.answer(key, r.ask("", care.SecurityKey))
		must(t, err)
		must(t, r.Use(t, fast))
		wants(t, r.Use(t, slow), fault.FIDOCounterBack)
		if len(r.suspended) > 0 {
			t.Errorf("suspended %v", r.suspended)
		}
		must(t, r.signIn(key, care.SecurityKey))
	})
}

// TestAKeyThatDoesNotCountIsNotWatched, as passkeys do not.
func TestAKeyThatDoesNotCountIsNotWatched(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		key := fidotest.NewSynced(origin)
		r.bind("a", key, care.Passkey)
		for range 3 {
			must(t, r.signIn(key, care.Passkey))
		}
		key.BackupState = false // its provider stopped to copy it
		must(t, r.signIn(key.Copy(), care.Passkey))
		if len(r.suspended) > 0 {
			t.Errorf("suspended %v", r.suspended)
		}
	})
}

// TestTheGateLearnsWhatTheKeyHasShown: without its user verified a key is a
// single factor; synced it is bound to no device; and it never counts for more
// than what stood behind its binding.
func TestTheGateLearnsWhatTheKeyHasShown(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		key, synced := fidotest.New(origin), fidotest.NewSynced(origin)
		r.bind("a", key, care.SecurityKey)
		r.bind("b", synced, care.Passkey)
		for _, c := range []struct {
			name   string
			key    *fidotest.Key
			method care.Method
			change func()
			want   care.AAL
		}{
			{"device", key, care.SecurityKey, func() {}, care.AAL3},
			{"synced", synced, care.Passkey, func() {}, care.AAL2},
			{"unverified", key, care.SecurityKey, func() { key.UserVerified = false }, care.AAL1},
			{"bound at AAL2", key, care.SecurityKey, func() {
				key.UserVerified = true
				r.change(`UPDATE fido_credential SET level_limit = 2`)
			}, care.AAL2},
		} {
			c.change()
			p, err := r.answer(c.key, r.ask("", c.method))
			must(t, err)
			if got := care.Level(p.Evidence()); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
	})
}

// TestModelsThatFallFromGrace are refused at the next sign-in; without
// attestation an AAGUID is a claim, and nothing is held against it.
func TestModelsThatFallFromGrace(t *testing.T) {
	for name, c := range map[string]struct {
		unattested bool
		set        func(o *fido.Options)
		want       *fault.Kind
	}{
		"revoked":                    {set: revoked, want: fault.FIDOModelRevoked},
		"revoked, a claim":           {set: revoked, unattested: true},
		"refused":                    {set: refusing, want: fault.FIDOModelRefused},
		"refused, a claim":           {set: refusing, unattested: true},
		"attested wanted":            {set: policy(fido.Attested)},
		"attested wanted, a claim":   {set: policy(fido.Attested), unattested: true, want: fault.FIDOAttestationMissing},
		"listed wanted, not listed":  {set: policy(fido.Listed), want: fault.FIDOModelRefused},
		"listed wanted, a claim":     {set: listing, unattested: true, want: fault.FIDOAttestationMissing},
		"listed wanted, listed":      {set: listing},
		"any will do, and it claims": {set: policy(fido.Any), unattested: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := credtest.Open(t, fido.Schema)
			before, key := in(t, h), fidotest.New(origin)
			if c.unattested {
				key.Format = fidotest.Self
			}
			before.bind("a", key, care.SecurityKey)
			after := in(t, h, c.set)
			check := func(doing string, err error) {
				t.Helper()
				if c.want == nil {
					must(t, err)
					return
				}
				t.Log(doing)
				wants(t, err, c.want)
			}
			check("signing in", after.signIn(key, care.SecurityKey))
			other := fidotest.New(origin)
			other.Format = key.Format
			_, err := after.register(other, care.SecurityKey)
			check("registering", err)
		})
	}
}

func revoked(o *fido.Options) { o.Models = fidotest.Revoked() }

func refusing(o *fido.Options) { o.Refused = []string{fidotest.AAGUID.String()} }

func listing(o *fido.Options) {
	policy(fido.Listed)(o)
	o.Allowed = []string{fidotest.AAGUID.String()}
}

func policy(p fido.Policy) func(o *fido.Options) {
	return func(o *fido.Options) { o.Policies = map[care.Method]fido.Policy{care.SecurityKey: p} }
}

// TestAPersonsKeysAreListed with what each is worth.
func TestAPersonsKeysAreListed(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.bind("a", fidotest.New(origin), care.SecurityKey)
		r.bind("b", fidotest.NewSynced(origin), care.Passkey)
		var keys []fido.Key
		var records []credential.Record
		r.Read(t, func(tx *db.Tx) (err error) {
			if records, err = credential.Of(tx, amara); err != nil {
				return err
			}
			keys, err = fido.Of(tx, amara)
			return err
		})
		if len(keys) != 2 || len(records) != 2 {
			t.Fatalf("%+v, %+v", keys, records)
		}
		if k := keys[0]; k.AuthenticatorID != "a" || k.Model != fidotest.Model || k.AAGUID != fidotest.AAGUID || k.Level != care.AAL3 || k.Synced || len(k.Transports) != 1 {
			t.Errorf("%+v", k)
		}
		if k := keys[1]; k.AuthenticatorID != "b" || k.Model != "" || k.Level != care.AAL2 || !k.Synced {
			t.Errorf("%+v", k)
		}
		if records[0].Name != fidotest.Model || records[1].Name != "Passkey" {
			t.Errorf("named %q and %q", records[0].Name, records[1].Name)
		}
	})
}

// TestEachErrorOfABrowserHasItsOwnAnswer.
func TestEachErrorOfABrowserHasItsOwnAnswer(t *testing.T) {
	for name, want := range map[string][2]*fault.Kind{
		"NotAllowedError":        {fault.FIDOCancelled, fault.FIDOCancelled},
		"AbortError":             {fault.FIDOCancelled, fault.FIDOCancelled},
		"TimeoutError":           {fault.FIDOTimedOut, fault.FIDOTimedOut},
		"InvalidStateError":      {fault.FIDOAlreadyOnKey, fault.FIDOBroken},
		"ConstraintError":        {fault.FIDONoPIN, fault.FIDONoPIN},
		"NotSupportedError":      {fault.FIDOWrongDevice, fault.FIDOWrongDevice},
		"SecurityError":          {fault.FIDOOrigin, fault.FIDOOrigin},
		"unsupported":            {fault.FIDOUnsupported, fault.FIDOUnsupported},
		"UnknownError":           {fault.FIDOBroken, fault.FIDOBroken},
		strings.Repeat("x", 999): {fault.FIDOBroken, fault.FIDOBroken},
	} {
		for i, creating := range []bool{true, false} {
			err := fido.FromBrowser(name, creating)
			wants(t, err, want[i])
			if len(err.Error()) > 100 {
				t.Errorf("logged as %s", err)
			}
		}
	}
}
