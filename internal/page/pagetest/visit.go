package pagetest

import (
	"net/http"
	"net/url"
	"testing"
)

// Visit returns a browser for a server that runs already. client knows whom to
// trust and keeps the cookies.
func Visit(t testing.TB, address string, client *http.Client) *Browser {
	return &Browser{t: t, client: client, URL: address}
}

// Form returns where the form of the shown page whose action begins with action
// ("": the first form of the content) is sent, and its hidden and preset
// fields, for a test that sends it by itself.
func (b *Browser) Form(action string) (address string, fields url.Values) {
	b.t.Helper()
	_, target, sent := b.filled(action)
	return target.String(), sent
}
