package page

import (
	"html/template"
	"net/url"
	"time"
)

// WarnBefore is how long before the end of a sign-in its pages warn (WCAG 2.2,
// 2.2.1 asks for 20 seconds at least; the bar for pages is two minutes).
const WarnBefore = 150 * time.Second

// TimeOut is when a sign-in ends, as its pages say it. Without JavaScript it is
// a sentence; with it a dialog opens in time, and one key puts the end off.
type TimeOut struct {
	// Left is how long the sign-in still lasts, At the time of its end.
	Left time.Duration
	At   time.Time
	// Final: nothing that is done puts this end off but another sign-in.
	Final bool
	// Path answers how long is left (GET), and puts the end off (POST); Over is
	// the page for afterwards, Again the one that signs in again. The last two
	// come back to the address in their parameter "back".
	Path, Over, Again string
}

// Left is the answer of TimeOut.Path to the script of the page.
type Left struct {
	// Seconds are left; 0 is over. At is the time of the end in words.
	Seconds int    `json:"left"`
	At      string `json:"at"`
	Final   bool   `json:"final"`
}

// Left returns what the script is told. Whole seconds, rounded down: a page
// never promises time that is not there.
func (k *Kit) Left(left time.Duration, at time.Time, final bool) Left {
	if left <= 0 {
		return Left{}
	}
	return Left{Seconds: int(left / time.Second), At: k.clock(at), Final: final}
}

// timeoutData is what the component shows.
type timeoutData struct {
	Left
	// Token is the hidden field that both forms carry.
	Token             map[string]string
	Warn              int
	Path, Over, Again string
	SignOut           string
}

func (k *Kit) timeout(s *scene, t *TimeOut) (template.HTML, error) {
	back := "?" + url.Values{"back": {s.Here}}.Encode()
	return k.part("timeout", timeoutData{
		Left: k.Left(t.Left, t.At, t.Final), Token: map[string]string{"Name": csrfField, "Value": s.CSRF},
		Warn: int(WarnBefore / time.Second),
		Path: t.Path, Over: t.Over + back, Again: t.Again + back, SignOut: s.Person.SignOut,
	})
}
