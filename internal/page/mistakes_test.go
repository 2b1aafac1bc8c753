package page_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/page/pagetest"
)

// TestMistakesAreFollowedByAGET: back and reload never ask to send a form
// again, and what was typed stands in no address.
func TestMistakesAreFollowedByAGET(t *testing.T) {
	kit := pagetest.Kit(t)
	pages := kit.Pages(fstest.MapFS{"templates/form.html": {Data: []byte(`{{define "content"}}{{form $ "/form"}}
		{{input $ "email" "Email address" "type" "email"}}{{password $ "password" "Password"}}{{button "Continue"}}{{endform}}{{end}}`)}})
	show := func(w http.ResponseWriter, r *http.Request, errors ...page.FieldError) {
		pages.Render(w, r, http.StatusOK, "form", page.View{Title: "A form", Journey: r.FormValue("j"), Errors: errors, Values: r.PostForm})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /form", func(w http.ResponseWriter, r *http.Request) { show(w, r) })
	mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		if _, err := page.Form(w, r); err != nil {
			t.Error(err)
		}
		show(w, r, page.FieldError{Field: "email", Message: "Enter an email address"})
	})
	b := pagetest.Client(t, kit.Wrap(mux))
	b.Get("/form?j=sealed").Submit("", url.Values{"email": {"amara"}, "password": {"harbour lamp"}})
	if b.Status != http.StatusUnprocessableEntity || !strings.Contains(b.Page, "Enter an email address") || !strings.Contains(b.Page, `value="amara"`) {
		t.Errorf("%d\n%s", b.Status, b.Page)
	}
	if strings.Contains(b.Page, "harbour") || strings.Contains(b.At, "harbour") || strings.Contains(b.At, "amara") || !strings.Contains(b.At, "j=sealed") {
		t.Errorf("at %s\n%s", b.At, b.Page)
	}
	again := b.Get(b.At)
	if again.Status != http.StatusUnprocessableEntity || !strings.Contains(again.Page, "Enter an email address") {
		t.Errorf("after a reload: %d\n%s", again.Status, again.Page)
	}
	if other := b.Other().Get(b.At); other.Status != http.StatusOK || strings.Contains(other.Page, "amara") {
		t.Errorf("another browser sees %d\n%s", other.Status, other.Page)
	}
}
