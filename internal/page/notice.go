package page

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"carekey.dev/carekey/internal/fault"
)

const (
	dismissPath = "/notices/dismiss"
	// dismissedCookie holds the notices that were dismissed in this browser,
	// joined with full stops. A cookie and not local storage: it works without
	// JavaScript, and a dismissed notice never flashes up.
	dismissedCookie = "__Host-dismissed"
	// dismissedDays outlives any notice.
	dismissedDays = 90
	// dismissedMost keeps the cookie short; the oldest are forgotten.
	dismissedMost = 20
)

var noticeForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

func dismissed(r *http.Request) []string {
	cookie, err := r.Cookie(dismissedCookie)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(strings.Split(cookie.Value, "."), func(id string) bool { return !noticeForm.MatchString(id) })
}

func undismissed(r *http.Request, notices []Notice) []Notice {
	gone := dismissed(r)
	var left []Notice
	for _, n := range notices {
		if !slices.Contains(gone, n.ID) {
			left = append(left, n)
		}
	}
	return left
}

// dismiss remembers in the browser that a notice was read, and goes back.
func (k *Kit) dismiss(w http.ResponseWriter, r *http.Request) {
	form, err := Form(w, r)
	if err != nil {
		k.Fault(w, r, err)
		return
	}
	id := form.Get("notice")
	if !noticeForm.MatchString(id) {
		k.Fault(w, r, fault.New(fault.FormUnreadable, nil))
		return
	}
	gone := dismissed(r)
	if !slices.Contains(gone, id) {
		gone = append(gone, id)
	}
	gone = gone[max(0, len(gone)-dismissedMost):]
	http.SetCookie(w, &http.Cookie{
		Name: dismissedCookie, Value: strings.Join(gone, "."), Path: "/", MaxAge: dismissedDays * 24 * 60 * 60,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	SeeOther(w, r, ownPath(form.Get("back")))
}

// ownPath returns path if it lies on this server, and the start page if not:
// a form must never become a redirect to elsewhere (ASVS 3.7.2).
func ownPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
