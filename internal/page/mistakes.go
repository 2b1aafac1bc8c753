package page

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

// mistakesParameter carries what has to be mended to the page that shows it.
const mistakesParameter = "m"

// mistakes is what a page says about a form, and what was typed.
type mistakes struct {
	Browser []byte       `json:"b"`
	Errors  []FieldError `json:"e"`
	Values  url.Values   `json:"v"`
}

// carried are the fields of a form that name the page it belongs to: they are
// in the address of that page too.
var carried = []string{"j", "req", "t", "id", "q"}

// secret are the fields that are never kept: what was typed there is typed
// again.
var secret = []string{"password", "confirm", "code", "csrf"}

// Mistakes returns what a fault of one of kinds says, in words, at the field
// where the person can mend it; nil if err is none of them.
func Mistakes(err error, field string, words func(*fault.Error) string, kinds ...*fault.Kind) []FieldError {
	for _, kind := range kinds {
		if fault.Has(err, kind) {
			f := fault.As(err)
			return []FieldError{{Field: field, Message: strings.TrimSuffix(words(f), "."), Reference: f.Ref, fault: f}}
		}
	}
	return nil
}

// AndNext is what happened, and what to do next.
func AndNext(f *fault.Error) string { return f.Message() + " " + f.Kind.Next }

// keep lets the service desk look up a mistake whose reference is shown.
func (k *Kit) keep(r *http.Request, errors []FieldError) {
	for _, e := range errors {
		if e.fault == nil {
			continue
		}
		k.log(r, e.fault)
		if k.options.Record != nil {
			k.options.Record(r, e.fault)
		}
	}
}

// mend answers a form with mistakes in it: it sends the browser back to the
// page of the form, which then says what to mend. So a mistake, too, is
// followed by a GET, and back and reload never ask to send a form again. It
// returns false where the form has no page of its own at its address; the
// caller then shows the mistakes right away.
func (k *Kit) mend(w http.ResponseWriter, r *http.Request, v View) bool {
	if r.Method != http.MethodPost || len(v.Errors) == 0 || k.routes == nil {
		return false
	}
	path := cmp.Or(v.At, r.URL.Path)
	page := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}, Host: r.Host}
	if _, pattern := k.routes.Handler(page); pattern == "" {
		return false
	}
	m := mistakes{Browser: keys.Hash(Browser(r)), Errors: v.Errors, Values: url.Values{}}
	for name, values := range v.Values {
		m.Values[name] = values
	}
	for _, name := range append(secret, carried...) {
		m.Values.Del(name)
	}
	sealed, err := keys.SealJSON(k.mistakes, []byte(path), m)
	if err != nil {
		k.Fault(w, r, err)
		return true
	}
	query := r.URL.Query()
	for _, name := range carried {
		if value := r.PostForm.Get(name); value != "" {
			query.Set(name, value)
		}
	}
	query.Set(mistakesParameter, sealed)
	SeeOther(w, r, path+"?"+query.Encode())
	return true
}

// withMistakes adds to a view what its address says has to be mended, if that
// was sealed for this page and this browser. It reports whether it did.
func (k *Kit) withMistakes(r *http.Request, v *View) bool {
	text := r.URL.Query().Get(mistakesParameter)
	if r.Method != http.MethodGet || text == "" || len(v.Errors) > 0 {
		return false
	}
	m, err := keys.OpenJSON[mistakes](k.mistakes, []byte(r.URL.Path), text)
	if err != nil || !keys.Equal(m.Browser, keys.Hash(Browser(r))) {
		return false
	}
	v.Errors = m.Errors
	if len(m.Values) > 0 {
		v.Values = m.Values
	}
	return true
}
