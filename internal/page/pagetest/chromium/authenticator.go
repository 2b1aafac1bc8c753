package chromium

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Authenticator is a virtual security key or platform authenticator that is
// plugged into one tab.
type Authenticator struct {
	t   testing.TB
	tab context.Context
	id  webauthn.AuthenticatorID
}

// SecurityKey is a key for USB with a PIN that is typed right, and with room
// for discoverable credentials.
func SecurityKey() *webauthn.VirtualAuthenticatorOptions {
	return &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21,
		Transport: webauthn.AuthenticatorTransportUsb, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, AutomaticPresenceSimulation: true,
	}
}

// Platform is an authenticator of the computer itself, as Windows Hello is.
func Platform() *webauthn.VirtualAuthenticatorOptions {
	o := SecurityKey()
	o.Transport = webauthn.AuthenticatorTransportInternal
	return o
}

// Synced is Platform with passkeys that are copied to other devices.
func Synced() *webauthn.VirtualAuthenticatorOptions {
	o := Platform()
	o.DefaultBackupEligibility, o.DefaultBackupState = true, true
	return o
}

// Plug puts a virtual authenticator into the tab. WebAuthn works on
// https://localhost and http://localhost there, never on an IP address.
func Plug(t testing.TB, tab context.Context, o *webauthn.VirtualAuthenticatorOptions) *Authenticator {
	t.Helper()
	a := &Authenticator{t: t, tab: tab}
	Virtual(t, tab)
	a.id = command(a, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: o}).AuthenticatorID
	return a
}

// Virtual makes the tab see virtual authenticators alone: none, until one is
// plugged in.
func Virtual(t testing.TB, tab context.Context) {
	t.Helper()
	command(&Authenticator{t: t, tab: tab}, webauthn.Enable, webauthn.EnableParams{})
}

// Unplug takes it out.
func (a *Authenticator) Unplug() {
	a.t.Helper()
	command(a, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: a.id})
}

// Credentials are what it holds.
func (a *Authenticator) Credentials() []*webauthn.Credential {
	a.t.Helper()
	return command(a, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id}).Credentials
}

// Put gives it a credential.
func (a *Authenticator) Put(c *webauthn.Credential) {
	a.t.Helper()
	command(a, webauthn.AddCredential, webauthn.AddCredentialParams{AuthenticatorID: a.id, Credential: c})
}

// Verify says whether the person types the right PIN from now on.
func (a *Authenticator) Verify(right bool) {
	a.t.Helper()
	command(a, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: right})
}

// Touch says whether the person touches it by themselves when it blinks.
func (a *Authenticator) Touch(always bool) {
	a.t.Helper()
	command(a, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: a.id, Enabled: always})
}

// Override changes bits of its next answers.
func (a *Authenticator) Override(bits webauthn.SetResponseOverrideBitsParams) {
	a.t.Helper()
	bits.AuthenticatorID = a.id
	command(a, webauthn.SetResponseOverrideBits, bits)
}

func command[P, R any](a *Authenticator, c cdp.Command[P, R], params P) R {
	a.t.Helper()
	result, err := chromedp.Run(a.tab, chromedp.Action[R](func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, c, params)
	}))
	if err != nil {
		a.t.Fatalf("%s: %v", c.Method, err)
	}
	return result
}
