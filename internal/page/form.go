package page

import (
	"errors"
	"net/http"
	"net/url"

	"carekey.dev/carekey/internal/fault"
)

// MaxForm is the largest form that is read, in bytes. Nobody types more.
const MaxForm = 64 << 10

// Form returns the fields of a form that was sent. Wrap has limited it and
// checked where it comes from.
func Form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.PostForm == nil {
		r.Body = http.MaxBytesReader(w, r.Body, MaxForm)
	}
	if err := parse(r); err != nil {
		return nil, err
	}
	return r.PostForm, nil
}

func parse(r *http.Request) error {
	err := r.ParseForm()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fault.New(fault.FormTooLarge, err)
	case err != nil:
		return fault.New(fault.FormUnreadable, err)
	}
	return nil
}

// SeeOther answers a POST: the browser goes on with a GET, so that reload and
// back never send the form again (RFC 9700 section 4.12: 303 and not 307).
func SeeOther(w http.ResponseWriter, r *http.Request, to string) {
	http.Redirect(w, r, to, http.StatusSeeOther)
}
