package fido_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// TestAKeyIsWorthWhatItsAttestationShows: decision 2, N8, record 0052.
func TestAKeyIsWorthWhatItsAttestationShows(t *testing.T) {
	stranger := fidotest.NewAuthority("Nobody knows")
	each(t, func(t *testing.T, r *room) {
		for name, c := range map[string]struct {
			method care.Method
			key    *fidotest.Key
			change func(k *fidotest.Key)
			level  care.AAL
			model  string
		}{
			"security key":            {care.SecurityKey, fidotest.New(origin), nil, care.AAL3, fidotest.Model},
			"Windows Hello":           {care.WindowsHello, fidotest.NewPlatform(origin), nil, care.AAL3, fidotest.Model},
			"passkey in a device":     {care.Passkey, fidotest.NewPlatform(origin), nil, care.AAL3, fidotest.Model},
			"synced passkey":          {care.Passkey, fidotest.NewSynced(origin), nil, care.AAL2, ""},
			"no attestation":          {care.SecurityKey, fidotest.New(origin), func(k *fidotest.Key) { k.Format = fidotest.None }, care.AAL2, ""},
			"self attestation":        {care.SecurityKey, fidotest.New(origin), func(k *fidotest.Key) { k.Format = fidotest.Self }, care.AAL2, ""},
			"unknown maker":           {care.SecurityKey, fidotest.New(origin), func(k *fidotest.Key) { k.Authority = stranger }, care.AAL2, ""},
			"unknown model":           {care.SecurityKey, fidotest.New(origin), func(k *fidotest.Key) { k.AAGUID[0]++ }, care.AAL2, ""},
			"attested, may be synced": {care.Passkey, fidotest.New(origin), func(k *fidotest.Key) { k.BackupEligible = true }, care.AAL2, fidotest.Model},
			"attested, was synced": {care.Passkey, fidotest.New(origin), func(k *fidotest.Key) {
				k.BackupEligible, k.BackupState = true, true
			}, care.AAL2, fidotest.Model},
		} {
			if c.change != nil {
				c.change(c.key)
			}
			proven, err := r.register(c.key, c.method)
			must(t, err)
			if proven.Level != c.level || proven.Model != c.model || (proven.Why == "") != (c.level == care.AAL3) {
				t.Errorf("%s: %s, model %q, why %q", name, proven.Level, proven.Model, proven.Why)
			}
		}
	})
}

// TestAnswersThatAreRefusedAtRegistration: WebAuthn, 7.1, by its steps.
func TestAnswersThatAreRefusedAtRegistration(t *testing.T) {
	r := in(t, credtest.Open(t, fido.Schema))
	for name, c := range map[string]struct {
		method care.Method
		change func(k *fidotest.Key)
		edit   func(response string) string
		want   *fault.Kind
	}{
		"step 7, type":            {edit: client(`webauthn.create`, `webauthn.get`), want: fault.FIDORefused},
		"step 8, challenge":       {edit: client(`"challenge":"`, `"challenge":"A`), want: fault.FIDORefused},
		"step 9, origin":          {change: func(k *fidotest.Key) { k.Origin = "https://id.example.nhs.uk.evil.example" }, want: fault.FIDOOrigin},
		"step 9, another port":    {change: func(k *fidotest.Key) { k.Origin += ":8443" }, want: fault.FIDOOrigin},
		"step 9, plain http":      {change: func(k *fidotest.Key) { k.Origin = "http://id.example.nhs.uk" }, want: fault.FIDOOrigin},
		"step 10, in a frame":     {edit: client(`"crossOrigin":false`, `"crossOrigin":true`), want: fault.FIDORefused},
		"step 14, RP ID":          {change: func(k *fidotest.Key) { k.RPID = "evil.example" }, want: fault.FIDORefused},
		"step 15, not present":    {change: func(k *fidotest.Key) { k.Absent = true }, want: fault.FIDORefused},
		"step 16, not verified":   {change: func(k *fidotest.Key) { k.UserVerified = false }, want: fault.FIDONotVerified},
		"step 17, backup flags":   {change: func(k *fidotest.Key) { k.BackupState = true }, want: fault.FIDORefused},
		"step 21, signature":      {change: func(k *fidotest.Key) { k.Forge = true }, want: fault.FIDORefused},
		"step 21, self signature": {change: func(k *fidotest.Key) { k.Format, k.Forge = fidotest.Self, true }, want: fault.FIDORefused},
		"own device":              {change: func(k *fidotest.Key) { k.Attachment = "platform" }, want: fault.FIDOWrongDevice},
		"key for Windows Hello":   {method: care.WindowsHello, want: fault.FIDOWrongDevice},
		"no JSON":                 {edit: func(string) string { return "x" }, want: fault.FIDORefused},
		"nothing":                 {edit: func(string) string { return "" }, want: fault.FIDORefused},
		"another id":              {edit: func(s string) string { return strings.Replace(s, `"rawId":"`, `"rawId":"AAAA`, 1) }, want: fault.FIDORefused},
	} {
		t.Run(name, func(t *testing.T) {
			key, method := fidotest.New(origin), c.method
			if method == "" {
				method = care.SecurityKey
			}
			if c.change != nil {
				c.change(key)
			}
			asked, err := r.BeginRegistration(t.Context(), holder(amara), method, bound)
			must(t, err)
			response, err := key.Create(asked.Options)
			must(t, err)
			text := string(response)
			if c.edit != nil {
				if text = c.edit(text); text == string(response) {
					t.Fatal("nothing was edited")
				}
			}
			_, err = r.FinishRegistration(t.Context(), asked.Sealed, bound, []byte(text))
			wants(t, err, c.want)
		})
	}
}

// client edits the client data inside a response.
func client(old, new string) func(string) string {
	return func(response string) string {
		before, rest, _ := strings.Cut(response, `"clientDataJSON":"`)
		encoded, after, _ := strings.Cut(rest, `"`)
		data, err := base64.RawURLEncoding.DecodeString(encoded)
		if err != nil {
			panic(err)
		}
		data = bytes.Replace(data, []byte(old), []byte(new), 1)
		return before + `"clientDataJSON":"` + base64.RawURLEncoding.EncodeToString(data) + `"` + after
	}
}

// TestARegistrationBelongsToItsBrowserJourneyAndFiveMinutes, and what was asked
// for a sign-in registers nothing.
func TestARegistrationBelongsToItsBrowserJourneyAndFiveMinutes(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		key := fidotest.New(origin)
		c, err := r.BeginRegistration(t.Context(), holder(amara), care.SecurityKey, bound)
		must(t, err)
		response, err := key.Create(c.Options)
		must(t, err)
		_, err = r.FinishRegistration(t.Context(), c.Sealed, "another browser", response)
		wants(t, err, fault.FIDOAnotherTab)
		_, err = r.FinishRegistration(t.Context(), r.ask("", care.SecurityKey).Sealed, bound, response)
		wants(t, err, fault.FIDOAnotherTab)
		r.Advance(5*time.Minute - time.Microsecond)
		_, err = r.FinishRegistration(t.Context(), c.Sealed, bound, response)
		must(t, err)
		r.Advance(time.Microsecond)
		_, err = r.FinishRegistration(t.Context(), c.Sealed, bound, response)
		wants(t, err, fault.FIDOAnotherTab)
	})
}

// TestAChallengeRegistersOneKey: WebAuthn, 13.4.3; and 7.1 step 26: the id of
// a key belongs to one person.
func TestAChallengeRegistersOneKey(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		key := fidotest.New(origin)
		proven := r.bind("a", key, care.SecurityKey)
		again, err := r.Enrolment(proven, "")
		must(t, err)
		err = r.DB.Write(t.Context(), func(tx *db.Tx) error { return again.Store(tx, "b", care.AAL3) })
		wants(t, err, fault.FIDOAnotherTab)
		c, err := r.BeginRegistration(t.Context(), holder(amara), care.SecurityKey, bound)
		must(t, err)
		if _, err := key.Create(c.Options); err != fidotest.ErrInvalidState {
			t.Errorf("the browser was not told that the key is registered: %v", err)
		}
		// A browser that does not look, and another person.
		for _, uid := range []care.UID{credtest.Amara, credtest.Owen} {
			c, err := r.BeginRegistration(t.Context(), holder(uid), care.SecurityKey, bound)
			must(t, err)
			careless := key.Copy()
			careless.Same = true
			response, err := careless.Create(c.Options)
			must(t, err)
			_, err = r.FinishRegistration(t.Context(), c.Sealed, bound, response)
			wants(t, err, fault.FIDOAlreadyOnKey)
		}
	})
}

// TestTwoPeopleNeverBindOneKey: both were checked before either was bound.
func TestTwoPeopleNeverBindOneKey(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		key := fidotest.New(origin)
		first, err := r.register(key, care.SecurityKey)
		must(t, err)
		key.Same = true
		second, err := r.register(key, care.SecurityKey)
		must(t, err)
		e, err := r.Enrolment(first, "")
		must(t, err)
		r.Bind(t, "a", e)
		e, err = r.Enrolment(second, "")
		must(t, err)
		err = r.DB.Write(t.Context(), func(tx *db.Tx) error { return e.Store(tx, "a", care.AAL3) })
		wants(t, err, fault.FIDOAlreadyOnKey)
	})
}

func TestAProvenKeyWaitsForTheGateForAnHourOnly(t *testing.T) {
	r := in(t, credtest.Open(t, fido.Schema))
	proven, err := r.register(fidotest.New(origin), care.SecurityKey)
	must(t, err)
	text, err := json.Marshal(proven) // it travels in a journey
	must(t, err)
	var travelled fido.Proven
	must(t, json.Unmarshal(text, &travelled))
	for _, c := range []struct {
		name, want string
		method     care.Method
	}{{"Ward key", "Ward key", care.SecurityKey}, {"", fidotest.Model, care.SecurityKey}} {
		e, err := r.Enrolment(travelled, c.name)
		must(t, err)
		if e.Name() != c.want || e.UID() != amara || e.Method() != c.method {
			t.Errorf("%q: %q %s %s", c.name, e.Name(), e.UID(), e.Method())
		}
	}
	_, err = r.Enrolment(fido.Proven{Sealed: travelled.Sealed[1:]}, "")
	wants(t, err, fault.JourneyTampered)
	r.Advance(time.Hour)
	_, err = r.Enrolment(travelled, "")
	wants(t, err, fault.JourneyExpired)
}

// TestWhatABrowserIsAskedFor holds the options of each method.
func TestWhatABrowserIsAskedFor(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		type options struct {
			RP        struct{ ID, Name string }
			User      struct{ ID, Name, DisplayName string }
			Challenge string
			Timeout   int
			Selection struct {
				AuthenticatorAttachment, ResidentKey, UserVerification string
				RequireResidentKey                                     bool
			} `json:"authenticatorSelection"`
			Attestation string
			Exclude     []struct{ ID string } `json:"excludeCredentials"`
		}
		handles, challenges := map[string]bool{}, map[string]bool{}
		for method, want := range map[care.Method][2]string{
			care.SecurityKey: {"cross-platform", "preferred"}, care.WindowsHello: {"platform", "required"}, care.Passkey: {"", "required"},
		} {
			c, err := r.BeginRegistration(t.Context(), holder(amara), method, bound)
			must(t, err)
			o := publicKey[options](t, c)
			handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
			must(t, err)
			challenge, err := base64.RawURLEncoding.DecodeString(o.Challenge)
			must(t, err)
			switch s := o.Selection; {
			case s.AuthenticatorAttachment != want[0], s.ResidentKey != want[1], s.RequireResidentKey != (want[1] == "required"),
				s.UserVerification != "required", o.Attestation != "direct", o.Timeout != 300000, o.RP.ID != "id.example.nhs.uk",
				o.User.Name != string(amaraEmail), o.User.DisplayName != "Dr Amara OSEI", len(o.Exclude) != 0:
				t.Errorf("%s: %+v", method, o)
			case len(handle) != 32 || bytes.Contains(handle, []byte(amara)) || len(challenge) != 32:
				t.Errorf("%s: handle %x, challenge %x", method, handle, challenge)
			}
			handles[o.User.ID], challenges[o.Challenge] = true, true
		}
		if len(handles) != 1 || len(challenges) != 3 {
			t.Errorf("%d handles of one person, %d challenges of three", len(handles), len(challenges))
		}
		r.bind("a", fidotest.New(origin), care.SecurityKey)
		c, err := r.BeginRegistration(t.Context(), holder(amara), care.Passkey, bound)
		must(t, err)
		if o := publicKey[options](t, c); len(o.Exclude) != 1 {
			t.Errorf("excluded: %+v", o.Exclude)
		}
		if _, err := r.BeginRegistration(t.Context(), holder(amara), care.AuthenticatorApp, bound); err == nil {
			t.Error("an app was asked for as a key")
		}
	})
}
