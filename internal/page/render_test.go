package page_test

import (
	"flag"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/page/pagetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// changing are the parts of a page that differ each time: tokens and hashes.
var changing = regexp.MustCompile(`(name="csrf" value="|/assets/)[A-Za-z0-9_-]+`)

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = changing.ReplaceAllString(got, "${1}…")
	path := "testdata/" + name + ".golden.html"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, diff)
	}
}

func TestPageWithEveryComponent(t *testing.T) {
	h := build(t)
	h.view = everything()
	h.Get("/everything")
	pagetest.Check(t, h.Page)
	golden(t, "everything", h.Page)
}

func TestQuestionWithAnError(t *testing.T) {
	h := build(t, func(o *page.Options) { o.Dev = true })
	h.view = question()
	h.view.Section = "NHS CIS2 Authentication"
	h.view.Values = url.Values{"email": {"amara@"}}
	h.view.Errors = []page.FieldError{{Field: "email", Message: "Enter an email address like name@example.nhs.uk"}}
	h.Get("/question")
	pagetest.Check(t, h.Page)
	golden(t, "question-error", h.Page)
}

func TestEveryErrorIsAtItsFieldAndInTheSummary(t *testing.T) {
	h := build(t)
	h.view = everything()
	for _, field := range []string{"email", "password", "code", "method", "areas", "sole_access", "role", "q"} {
		h.view.Errors = append(h.view.Errors, page.FieldError{Field: field, Message: "Mend " + field})
	}
	h.view.Errors = append(h.view.Errors, page.FieldError{Message: "Something about all of it"})
	h.Get("/everything")
	pagetest.Check(t, h.Page)
	for _, e := range h.view.Errors {
		want := 2
		if e.Field == "" {
			want = 1
		} else if !strings.Contains(h.Page, `<a href="#`+e.Field+`">`+e.Message+`</a>`) {
			t.Errorf("the summary has no link to %s", e.Field)
		}
		if got := strings.Count(h.Page, e.Message); got != want {
			t.Errorf("%q is on the page %d times, not %d", e.Message, got, want)
		}
	}
	if !strings.Contains(h.Page, "<title>Error: Everything") {
		t.Error(`the title does not begin with "Error: "`)
	}
	// Focus goes to the first radio that can be chosen.
	if !strings.Contains(h.Page, `id="method" name="method" type="radio" value="authenticator_app"`) {
		t.Error("the summary leads to a radio that cannot be chosen")
	}
}

func TestWhatWasTypedIsKeptButNeverASecret(t *testing.T) {
	h := build(t)
	h.view = everything()
	h.view.Errors = []page.FieldError{{Field: "email", Message: "x"}}
	h.view.Values = url.Values{
		"email": {"amara@example"}, "password": {"a secret password"}, "code": {"711725"}, "otp": {"12345678"},
		"method": {"nhsmail"}, "areas": {"ers", "ncrs"}, "role": {"1"},
	}
	h.Get("/everything")
	for _, secret := range []string{"a secret password", "711725", "12345678"} {
		if strings.Contains(h.Page, secret) {
			t.Errorf("the page shows %q again", secret)
		}
	}
	for _, kept := range []string{`value="amara@example"`, `value="nhsmail" checked`, `value="ers" checked`, `aria-describedby="areas-2-item-hint" checked`, `<option value="1" selected>`} {
		if !strings.Contains(h.Page, kept) {
			t.Errorf("the page does not hold %s", kept)
		}
	}
	if strings.Contains(h.Page, `id="remember" name="remember" type="checkbox" value="yes" aria-describedby="remember-item-hint" checked`) {
		t.Error("a box that the person cleared is ticked again")
	}
}

func TestTextIsEscapedEverywhere(t *testing.T) {
	const nasty = `"><script>alert(1)</script>`
	h := build(t)
	h.view = everything()
	h.view.Title, h.view.Heading, h.view.Journey, h.view.Back = nasty, nasty, nasty, "javascript:alert(1)"
	h.view.Person.Name, h.view.Notices[0].Text = nasty, nasty
	h.view.Values = url.Values{"email": {nasty}}
	h.view.Errors = []page.FieldError{{Field: "email", Message: nasty}}
	data := h.view.Data.(map[string]any)
	data["Rows"] = []page.Row{{Key: nasty, Value: nasty}, {Key: "x", Value: []string{nasty}, Actions: []page.Action{{Text: nasty, Href: "javascript:alert(1)"}}}}
	data["Cells"] = [][]any{{nasty, nasty, nasty}}
	data["Methods"] = []page.Choice{{Value: nasty, Label: nasty, Hint: nasty}, {Value: "x", Label: nasty, Reason: nasty, Tag: nasty}}
	data["Tiles"] = []page.Tile{{Title: nasty, Text: nasty, Href: "javascript:alert(1)"}}
	data["Tasks"] = []page.Task{{Title: nasty, Hint: nasty, Status: nasty, Href: "/x"}}
	h.Get("/everything?" + url.Values{"q": {nasty}}.Encode())
	if h.Status != http.StatusOK {
		t.Fatalf("answered with %d", h.Status)
	}
	for _, bad := range []string{"<script>alert", `href="javascript:`} {
		if strings.Contains(h.Page, bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
}

func TestOneTimeCodesAndPasswordsHelpTheBrowser(t *testing.T) { // N14
	h := build(t)
	h.view = everything()
	h.Get("/everything")
	for _, want := range []string{
		`name="code" type="text" spellcheck="false" autocomplete="one-time-code" inputmode="numeric"`,
		`name="password" type="password" spellcheck="false" autocapitalize="none" autocomplete="new-password"`,
		`name="email" type="email" spellcheck="false" autocomplete="username"`,
	} {
		if !strings.Contains(h.Page, want) {
			t.Errorf("the page does not hold %s", want)
		}
	}
	for _, bad := range []string{"onpaste", "maxlength", "autocomplete=\"off\" id=\"password\""} {
		if strings.Contains(h.Page, bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
}

func TestBrokenTemplateGivesAWholeFaultPage(t *testing.T) {
	h := build(t)
	h.Get("/broken")
	if h.Status != http.StatusInternalServerError || strings.Contains(h.Page, "This much was made") || strings.Contains(h.Page, "hnit") {
		t.Errorf("answered with %d:\n%s", h.Status, h.Page)
	}
	if !strings.Contains(h.log.String(), "hnit") {
		t.Errorf("the log does not say what is wrong: %s", h.log.String())
	}
	pagetest.Check(t, h.Page)
}

func TestMistypedComponentsAreErrors(t *testing.T) {
	for _, content := range []string{
		`{{input $ "n" "Name" "width" 7}}`, `{{input $ "n" "Name" "hint"}}`, `{{input $ "n" "Name" "width" "20"}}`,
		`{{input $ "" "Name"}}`, `{{input $ "n" "Name" 1 2}}`, `{{input $ "n" "Name" "type" "password"}}`,
		`{{button "Go" "variant" "green"}}`, `{{tag "x" "colour" "mauve"}}`, `{{banner "Success" "Done" "txt" "x"}}`,
		`{{details "x" "opne" true}}`, `{{summary (rows (row "a" "b" "chnage" "/x"))}}`,
		`{{table "x" (columns "a" "b") .Data}}`, `{{form $ "/x" "method" "put"}}`, `{{asset "nosuch.css"}}`,
		`{{radios $ "n" "Name" (choices (choice "a" "A" "tga" "x"))}}`, `{{checkbox $ "n" "Name" "chekced" true}}`,
	} {
		kit := pagetest.Kit(t)
		pages := kit.Pages(fstest.MapFS{"templates/x.html": {Data: []byte(`{{define "content"}}` + content + `{{end}}`)}})
		b := pagetest.Client(t, kit.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			pages.Render(w, r, http.StatusOK, "x", page.View{Title: "x", Data: [][]any{{"one cell"}}})
		})))
		if b.Get("/"); b.Status != http.StatusInternalServerError {
			t.Errorf("%s was answered with %d", content, b.Status)
		}
	}
}

func TestTemplatesThatCannotWorkStopTheStart(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"nothing there": {},
		"no content":    {"templates/x.html": {Data: []byte(`{{define "contents"}}{{end}}`)}},
		"no such part":  {"templates/x.html": {Data: []byte(`{{define "content"}}{{inptu $ "a" "b"}}{{end}}`)}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the kit took it", name)
				}
			}()
			pagetest.Kit(t).Pages(files)
		}()
	}
}

func TestSharedTemplatesAreInEveryPage(t *testing.T) {
	kit := pagetest.Kit(t)
	pages := kit.Pages(fstest.MapFS{
		"templates/_way.html": {Data: []byte(`{{define "way"}}{{input $ "n" "Name"}}{{end}}`)},
		"templates/x.html":    {Data: []byte(`{{define "content"}}{{template "way" $}}{{end}}`)},
	})
	b := pagetest.Client(t, kit.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages.Render(w, r, http.StatusOK, "x", page.View{Title: "x", Values: url.Values{"n": {"kept"}}})
	})))
	if b.Get("/"); !strings.Contains(b.Page, `value="kept"`) {
		t.Errorf("the shared part is missing:\n%s", b.Page)
	}
}

func TestPageSaysWhoIsSignedIn(t *testing.T) { // decision 8
	signedIn := &page.Person{Name: "Dr Amara OSEI", SignOut: "/signout", NotYou: "/notyou"}
	h := build(t, func(o *page.Options) { o.Person = func(*http.Request) *page.Person { return signedIn } })
	for _, path := range []string{"/done", "/no/such/page"} {
		h.Get(path)
		for _, want := range []string{"Dr Amara OSEI", "Not you?", "Sign out", `method="post" action="/notyou"`, `method="post" action="/signout"`} {
			if !strings.Contains(h.Page, want) {
				t.Errorf("%s does not hold %s", path, want)
			}
		}
		pagetest.Check(t, h.Page)
	}
}

func TestWaitingPageReloadsWithoutJavaScript(t *testing.T) {
	h := build(t)
	h.view = question()
	h.view.Refresh = 3 * time.Second
	if h.Get("/question"); h.Header.Get("Refresh") != "3" {
		t.Errorf("Refresh is %q", h.Header.Get("Refresh"))
	}
}

func TestTimesAreLocalAndAsTheSeedWritesThem(t *testing.T) { // seed 0: "9:00am"
	h := build(t)
	h.view = everything()
	if h.Get("/everything"); !strings.Contains(h.Page, "22 July 2026 at 9:00am") { // 08:00 UTC in summer
		t.Error("the page does not say 22 July 2026 at 9:00am")
	}
}
