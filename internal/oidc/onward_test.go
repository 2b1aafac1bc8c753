package oidc_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/page/pagetest/chromium"
	"carekey.dev/carekey/internal/relyingparty"
)

// formOf returns where the form of a page goes and its hidden fields.
func formOf(t *testing.T, page string) (action string, fields url.Values) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	fields = url.Values{}
	attribute := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	for n := range root.Descendants() {
		switch {
		case n.Data == "form" && attribute(n, "method") == "post":
			action = attribute(n, "action")
		case n.Data == "input" && attribute(n, "type") == "hidden":
			fields.Add(attribute(n, "name"), attribute(n, "value"))
		}
	}
	return action, fields
}

// OAuth 2.0 Form Post Response Mode section 2; RFC 9207 section 2.
func TestFormPostCarriesTheAnswerInAFormAndNotInAnAddress(t *testing.T) {
	h := open(t)
	state := "a b&c=d#e%20\"<é>'"
	for name, test := range map[string]struct {
		query url.Values
		want  string
	}{
		"code":             {ask("response_mode", "form_post", "state", state), ""},
		"error":            {ask("response_mode", "form_post", "state", state, "scope", "profile"), "invalid_scope"},
		"silent error":     {ask("response_mode", "form_post", "state", state, "prompt", "none", "max_age", "0"), "login_required"},
		"unsupported type": {ask("response_mode", "form_post", "state", state, "response_type", "token"), "unsupported_response_type"},
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser()
			b.withApp(amara)
			a := b.authorize(test.query)
			if a.status != http.StatusOK || a.header.Get("Location") != "" {
				t.Fatalf("answer %d to %q", a.status, a.header.Get("Location"))
			}
			pagetest.Check(t, a.body)
			action, fields := formOf(t, a.body)
			if action != callback {
				t.Errorf("the form goes to %q", action)
			}
			if fields.Get("state") != state || fields.Get("iss") != h.provider.Issuer() || fields.Has("client_id") != (test.want == "") || fields.Get("error") != test.want {
				t.Errorf("the form carries %v", fields)
			}
			if fields.Has("csrf") {
				t.Error("our own token goes to the relying party")
			}
			if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' http://localhost:9090;") || strings.Contains(policy, "unsafe") {
				t.Errorf("the policy is %q", policy)
			}
			if a.header.Get("Cache-Control") != "no-store" {
				t.Error("the page may be kept")
			}
			if test.want == "" {
				h.tokens(fields.Get("code"))
			}
		})
	}
}

// An app's own scheme takes no form; the error goes there by address.
func TestFormPostNeedsAWebPage(t *testing.T) {
	h := open(t)
	a := h.browser().authorize(ask("client_id", native, "redirect_uri", "uk.nhs.example:/callback", "response_mode", "form_post"))
	if got := a.to().Query().Get("error"); a.to().Scheme != "uk.nhs.example" || got != "invalid_request" {
		t.Errorf("answer %d to %q", a.status, a.header.Get("Location"))
	}
}

// The bar for pages: the form leaves by itself where scripts run, and by its
// button where they do not.
func TestFormPostInARealBrowser(t *testing.T) {
	h := open(t)
	arrived := make(chan url.Values, 1)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.ParseForm() == nil {
			arrived <- r.PostForm
		}
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<title>Arrived</title>"))
	}))
	defer service.Close()
	const client = "555000000011.apps.national"
	h.write(func(tx *db.Tx) error {
		return relyingparty.Put(tx, relyingparty.RelyingParty{
			ClientID: client, Name: "Local", Profile: relyingparty.CIS2, AuthMethod: relyingparty.ClientSecret,
			RedirectURIs: []string{service.URL + "/callback"}, Methods: care.Methods(), DefaultACR: care.AAL2Any, Scopes: relyingparty.Scopes(),
		})
	})
	address := h.server.URL + oidc.RealmPath + "/authorize?" +
		ask("client_id", client, "redirect_uri", service.URL+"/callback", "response_mode", "form_post", "prompt", "none").Encode()
	for _, scripts := range []bool{true, false} {
		tab, cancel := context.WithTimeout(chromium.Tab(t), chromium.Patience)
		defer cancel()
		if err := chromedp.Do(tab, running(scripts), chromedp.Navigate(address)); err != nil {
			t.Fatal(err)
		}
		if !scripts {
			if err := chromedp.Do(tab, running(true)); err != nil {
				t.Fatal(err)
			}
			chromium.Axe(t, tab, "the page that goes on")
			if err := chromedp.Do(tab, chromedp.Click(`main button`)); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case got := <-arrived:
			if got.Get("error") != "login_required" || got.Get("state") != "s-1" {
				t.Errorf("the relying party got %v", got)
			}
		case <-tab.Done():
			t.Fatalf("with scripts %t nothing arrived", scripts)
		}
	}
}

func running(scripts bool) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts})
		return chromedp.Void{}, err
	}
}
