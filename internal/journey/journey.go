// Package journey seals what a sign-in or a registration has done so far, so
// that it travels with the browser and is stored nowhere.
//
// A way begins a journey, seals it after each step and opens it at the next.
// A sealed journey opens only in the browser that began it, for its own kind,
// at a step that expects it, and before it expires. It never proves anything
// by itself: what must be single-use is consumed in the database.
package journey

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

// Sealer seals and opens the journeys of one kind ("sign-in",
// "registration").
type Sealer struct {
	kind   string
	life   time.Duration
	sealer *keys.Sealer
	now    func() time.Time
	random io.Reader
}

// New returns the sealer of a kind whose journeys live for life.
func New(ring *keys.Ring, kind string, life time.Duration, now func() time.Time, random io.Reader) *Sealer {
	return &Sealer{kind: kind, life: life, sealer: ring.Sealer("journey/" + kind), now: now, random: random}
}

// PhoneLost is the kind of the journey that leads from the sign-in room to the
// registration room when a phone is lost. Its state is the app's ticket for a
// right password: on its own, that would be good in any browser that has seen
// the address. The two rooms never import each other.
const PhoneLost = "phone-lost"

// Journey is one way through some pages in one tab.
type Journey[S any] struct {
	// ID is the journey's own name, 128 random bits: single-use things are
	// consumed for it.
	ID string `json:"i"`
	// Step is the page that is to come.
	Step    string    `json:"s"`
	Expires time.Time `json:"e"`
	State   S         `json:"v"`
}

// Begin starts a journey at step.
func Begin[S any](s *Sealer, step string, state S) Journey[S] {
	return Journey[S]{ID: keys.Token(s.random, 16), Step: step, Expires: s.now().Add(s.life), State: state}
}

// Seal returns the text that travels with the browser.
func Seal[S any](s *Sealer, browser string, j Journey[S]) (string, error) {
	plain, err := json.Marshal(j)
	if err != nil {
		return "", fmt.Errorf("encoding a journey: %w", err)
	}
	// The browser is inside, not associated data, so that a journey opened
	// elsewhere can say so instead of "unreadable".
	return keys.SealJSON(s.sealer, []byte(s.kind), envelope{Browser: keys.Hash(browser), Journey: plain})
}

type envelope struct {
	Browser []byte          `json:"b"`
	Journey json.RawMessage `json:"j"`
}

// Open returns the journey of a sealed text, if it belongs to this browser, is
// at one of steps (any step, if none are named) and has not expired. Faults:
// JourneyTampered, JourneyOtherBrowser, JourneyExpired, JourneyWrongStep.
func Open[S any](s *Sealer, browser, sealed string, steps ...string) (Journey[S], error) {
	var j Journey[S]
	e, err := keys.OpenJSON[envelope](s.sealer, []byte(s.kind), sealed)
	if err != nil {
		return j, fault.New(fault.JourneyTampered, err)
	}
	if !keys.Equal(e.Browser, keys.Hash(browser)) {
		return j, fault.New(fault.JourneyOtherBrowser, nil)
	}
	if err := json.Unmarshal(e.Journey, &j); err != nil {
		return j, fault.New(fault.JourneyTampered, err)
	}
	if !s.now().Before(j.Expires) {
		return j, fault.New(fault.JourneyExpired, nil)
	}
	if len(steps) > 0 && !slices.Contains(steps, j.Step) {
		return j, fault.New(fault.JourneyWrongStep, fmt.Errorf("at %q, want one of %q", j.Step, steps))
	}
	return j, nil
}
