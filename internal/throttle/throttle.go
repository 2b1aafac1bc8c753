// Package throttle counts attempts to prove something and makes guessers wait
// (decision 9; NIST SP 800-63B-4, 3.2.2; OWASP ASVS 5.0, 6.3.1).
//
// Whoever is about to verify a password or a code comes in with a Subject: for
// what, for which address, from which browser and network. The attempt is
// counted in the database before it is verified, so that a thousand guesses at
// once count as a thousand on any number of nodes; a success takes the count
// back. A Reservation leaves, or a fault that says how long to wait.
//
// Throttling is not a weapon against the person whose address is guessed:
//   - a browser that signed in before has its own count;
//   - an attempt that is refused is not verified, so it brings the limit of
//     100 no nearer: who floods an address only makes themselves wait;
//   - good sign-ins never count.
//
// One count is different. The network's is raised by Failed, after an attempt
// turned out wrong: a hospital behind one address has hundreds of right
// passwords whose codes are still being typed, and they must not look like a
// hundred failures. What a burst gains by that is bounded by the places in the
// password pool; the counts by address stay exact.
//
// The room never learns whether an address belongs to anybody: the same
// statements run either way. It keeps HMACs, no address and no network.
package throttle

import (
	"cmp"
	"embed"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the room's migrations.
var Schema fs.FS = schema

// The limits. Those of one browser class are those of peers
// (docs/sources.md): five tries are free of waiting.
const (
	// FreeFailures is the failure after which waiting begins.
	FreeFailures = 5
	// LongFailures is the failure from which each wait is LongWait.
	LongFailures = 10
	// FirstWait doubles with each failure between the two.
	FirstWait = 10 * time.Second
	// LongWait follows the tenth and each later failure.
	LongWait = 15 * time.Minute
	// MaxConsecutive failures in a row, whatever the browsers, disable the
	// authenticator (N10: NIST SP 800-63B-4, 3.2.2: no more than 100).
	MaxConsecutive = 100
	// NetworkFailures of unknown browsers within NetworkWindow make unknown
	// browsers of that network wait for the window's end.
	NetworkFailures = 100
	NetworkWindow   = 15 * time.Minute

	// Failures of one browser class are forgotten a day after the last one,
	// the row of consecutive failures after 30 days: it has to outlive a
	// patient guesser, and rows of mistyped addresses must not stay for ever.
	classMemory   = 24 * time.Hour
	accountMemory = 30 * 24 * time.Hour
	// A row that holds refused attempts alone is of no use for long.
	refusedMemory = NetworkWindow
)

// Limits are what an operator can set.
type Limits struct {
	// Exempt names networks (a hospital behind one address) whose failures
	// are not counted by network. The other counts still hold there.
	Exempt []netip.Prefix
}

// Throttle counts. It holds no state of its own.
type Throttle struct {
	mac    *keys.MAC
	exempt []netip.Prefix
}

// New returns a throttle whose keys hang on ring.
func New(ring *keys.Ring, limits Limits) *Throttle {
	return &Throttle{mac: ring.MAC("throttle"), exempt: limits.Exempt}
}

// Subject is who tries what.
type Subject struct {
	// Action is what is verified ("password", "app code"): each has its own
	// count for an address.
	Action string
	// Address is what was typed, or another name of the account; known or not.
	Address string
	// Known says that Device is the cookie of a browser that signed in as
	// this address before. All other browsers share one count.
	Known  bool
	Device string
	// Network is the client's address; the zero value is counted nowhere.
	Network netip.Addr
}

// Rules of a row.
const (
	ruleClass int64 = iota + 1
	ruleAccount
	ruleNetwork
)

// counter is a row that a subject touches.
type counter struct {
	key    []byte
	rule   int64
	memory time.Duration
}

// counters returns the rows of the subject's address, in the order of their
// keys, so that two transactions lock the rows that they share in the same
// order.
func (t *Throttle) counters(s Subject) []counter {
	address := strings.ToLower(strings.TrimSpace(s.Address))
	class := "unknown"
	if s.known() {
		class = "device:" + s.Device
	}
	list := []counter{
		{t.key("class", s.Action, address, class), ruleClass, classMemory},
		{t.key("account", s.Action, address), ruleAccount, accountMemory},
	}
	slices.SortFunc(list, func(a, b counter) int { return cmp.Compare(string(a.key), string(b.key)) })
	return list
}

func (s Subject) known() bool { return s.Known && s.Device != "" }

// crowd returns the key of the network's row, or nil for a browser that is
// known and a network that is exempt.
func (t *Throttle) crowd(s Subject) []byte {
	network, ok := t.network(s.Network)
	if !ok || s.known() {
		return nil
	}
	return t.key("network", network.String())
}

// network returns what is counted as one network: an IPv4 address, or the /64
// that an IPv6 host can choose its addresses from.
func (t *Throttle) network(a netip.Addr) (netip.Prefix, bool) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || slices.ContainsFunc(t.exempt, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return netip.Prefix{}, false
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	prefix, err := a.Prefix(bits)
	return prefix, err == nil
}

func (t *Throttle) key(parts ...string) []byte {
	list := make([][]byte, len(parts))
	for i, part := range parts {
		list[i] = []byte(part)
	}
	return t.mac.Sum(list...)
}
