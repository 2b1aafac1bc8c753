package pagetest

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/page"
)

// Kit returns a kit as an operator would configure it, with a fixed root key.
// change may alter its options.
func Kit(t testing.TB, change ...func(*page.Options)) *page.Kit {
	t.Helper()
	options := page.Options{
		Operator: "Leeds Care Trust",
		Ring:     keys.NewRing(keys.Root{1}),
		Rand:     rand.Reader,
	}
	for _, f := range change {
		f(&options)
	}
	kit, err := page.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return kit
}

// Browser is a person's browser without JavaScript: it keeps cookies, shows
// one page at a time, and sends the hidden fields of a form along.
type Browser struct {
	t      testing.TB
	client *http.Client
	// URL is the address of the server.
	URL string
	// Page is the last page that was shown, At its path and query, Status and
	// Header those of its answer.
	Page   string
	At     string
	Status int
	Header http.Header
}

// Client starts a server (https, as __Host- cookies need) for handler, and
// returns a browser for it.
func Client(t testing.TB, handler http.Handler) *Browser {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	client := server.Client()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client.Jar = jar
	return &Browser{t: t, client: client, URL: server.URL}
}

// Other returns another browser for the same server, without the cookies.
func (b *Browser) Other() *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	client := *b.client
	client.Jar = jar
	return &Browser{t: b.t, client: &client, URL: b.URL}
}

// Stay makes the browser stop at a redirect instead of following it.
func (b *Browser) Stay() *Browser {
	client := *b.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.client = &client
	return b
}

// Cookies are those that the browser sends.
func (b *Browser) Cookies() []*http.Cookie { return b.client.Jar.Cookies(b.address()) }

// SetCookie gives the browser a cookie, as somebody who tampers with it would.
func (b *Browser) SetCookie(c *http.Cookie) { b.client.Jar.SetCookies(b.address(), []*http.Cookie{c}) }

func (b *Browser) address() *url.URL {
	b.t.Helper()
	u, err := url.Parse(b.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// Get opens a path and follows redirects.
func (b *Browser) Get(path string) *Browser {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil)
}

// Post sends fields to a path. The CSRF token is taken from the page that is
// shown, if fields has none.
func (b *Browser) Post(path string, fields url.Values) *Browser {
	b.t.Helper()
	sent := url.Values{}
	for name, values := range fields {
		sent[name] = values
	}
	if !sent.Has("csrf") {
		sent.Set("csrf", b.Field("csrf"))
	}
	return b.do(http.MethodPost, path, sent)
}

// Submit sends the form of the shown page whose action begins with action ("":
// the first form of the content), with its hidden and preset fields and these.
func (b *Browser) Submit(action string, fields url.Values) *Browser {
	b.t.Helper()
	form, target, sent := b.filled(action)
	for name, values := range fields {
		sent[name] = values
	}
	if strings.EqualFold(attr(form, "method"), "get") {
		return b.do(http.MethodGet, target.Path+"?"+sent.Encode(), nil)
	}
	return b.do(http.MethodPost, target.RequestURI(), sent)
}

// filled is a form of the shown page as a browser would send it untouched, and
// where to.
func (b *Browser) filled(action string) (form *html.Node, target *url.URL, sent url.Values) {
	b.t.Helper()
	form = b.form(action)
	if form == nil {
		b.t.Fatalf("the page %s has no form %q:\n%s", b.At, action, b.Page)
	}
	target, err := url.Parse(b.URL + b.At)
	if err != nil {
		b.t.Fatal(err)
	}
	if target, err = target.Parse(attr(form, "action")); err != nil {
		b.t.Fatal(err)
	}
	return form, target, preset(form)
}

// Field returns the value of the first input with the name on the page.
func (b *Browser) Field(name string) string {
	for n := range b.root().Descendants() {
		if n.Type == html.ElementNode && n.Data == "input" && attr(n, "name") == name {
			return attr(n, "value")
		}
	}
	return ""
}

// Text returns the words of the main part of the page.
func (b *Browser) Text() string {
	for n := range b.root().Descendants() {
		if n.Type == html.ElementNode && n.Data == "main" {
			return text(n)
		}
	}
	return ""
}

func (b *Browser) root() *html.Node {
	root, err := html.Parse(strings.NewReader(b.Page))
	if err != nil {
		b.t.Fatal(err)
	}
	return root
}

// form finds a form; "" means the first below main, as header forms come
// before it.
func (b *Browser) form(action string) *html.Node {
	var inMain func(n *html.Node) bool
	inMain = func(n *html.Node) bool {
		return n != nil && (n.Type == html.ElementNode && n.Data == "main" || inMain(n.Parent))
	}
	for n := range b.root().Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		target := attr(n, "action")
		if action == "" && inMain(n) && target != "/notices/dismiss" || action != "" && strings.HasPrefix(target, action) {
			return n
		}
	}
	return nil
}

// preset are the fields that a browser would send untouched.
func preset(form *html.Node) url.Values {
	sent := url.Values{}
	for n := range form.Descendants() {
		if n.Type != html.ElementNode || n.Data != "input" || attr(n, "name") == "" {
			continue
		}
		switch attr(n, "type") {
		case "radio", "checkbox":
			if !has(n, "checked") || has(n, "disabled") {
				continue
			}
		case "submit":
			continue
		}
		sent.Add(attr(n, "name"), attr(n, "value"))
	}
	return sent
}

func (b *Browser) do(method, path string, fields url.Values) *Browser {
	b.t.Helper()
	var body io.Reader
	if fields != nil {
		body = strings.NewReader(fields.Encode())
	}
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.URL+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if fields != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Page, b.Status, b.Header, b.At = string(content), response.StatusCode, response.Header, response.Request.URL.RequestURI()
	return b
}

// Raw sends a request with the browser's cookies and any headers, as a program
// or another site would, follows nothing, and returns the status.
func (b *Browser) Raw(method, path, body string, headers http.Header) int {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, values := range headers {
		request.Header[name] = values
	}
	if method == http.MethodPost && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := *b.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}
