// Package fault is Carekey's one typed error: what went wrong (Kind), a safe
// sentence for the person who sees it, a reference that can be read out to a
// service desk, and the wrapped cause for the log.
//
// Every room may return one. Only the edge (a page, or an OAuth answer)
// renders it. A fault never carries a secret, and its cause never leaves the
// log.
package fault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Kind is a way in which something can go wrong. The catalogue is kinds.go.
type Kind struct {
	// Number has three digits and never changes its meaning: it is the first
	// part of every reference, so that a service desk can explain a reference
	// even if nothing about it could be stored.
	Number int
	// Name is the kind in a log line.
	Name string
	// Status is the HTTP status of its page.
	Status int
	// Title heads the page, Sentence says what happened, Next what to do.
	Title, Sentence, Next string
	// Desk tells a service desk what usually lies behind it and what helps.
	Desk string
}

// Error is one occurrence of a Kind.
type Error struct {
	Kind *Kind
	// Ref is the reference, "412-7XQ-9KD".
	Ref string
	// Detail is a further safe sentence for this occurrence, or "".
	Detail string
	// RetryAfter is how long to wait before another try can succeed, or 0.
	RetryAfter time.Duration

	cause error
}

// New returns an occurrence of kind with a new reference. cause may be nil.
func New(kind *Kind, cause error) *Error {
	return &Error{Kind: kind, Ref: reference(kind.Number), cause: cause}
}

// With adds a safe sentence about this occurrence.
func (e *Error) With(detail string) *Error {
	e.Detail = detail
	return e
}

// After says how long to wait before another try can succeed.
func (e *Error) After(wait time.Duration) *Error {
	e.RetryAfter = wait
	return e
}

// Error is the text for the log: never show it to a person.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Kind.Name
	}
	return fmt.Sprintf("%s: %v", e.Kind.Name, e.cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is(err, fault.New(kind, nil)) true for the same kind.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Kind == e.Kind
}

// Message is what a person may read: the sentence and the detail.
func (e *Error) Message() string {
	if e.Detail == "" {
		return e.Kind.Sentence
	}
	return e.Kind.Sentence + " " + e.Detail
}

// As returns the fault in err's chain, or wraps err as Internal, so that an
// error that nobody foresaw still has a page and a reference.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return New(Internal, err)
}

// Has reports whether err is a fault of kind.
func Has(err error, kind *Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// alphabet is Crockford's base 32: no letter that a tired voice confuses.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

func reference(number int) string {
	var b [6]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return fmt.Sprintf("%03d-%s-%s", number, b[:3], b[3:])
}

var referenceForm = regexp.MustCompile(`^([0-9]{3})([0-9A-HJKMNP-TV-Z]{3})([0-9A-HJKMNP-TV-Z]{3})$`)

// ParseRef returns the canonical form of a reference as somebody read it out
// (any case, spaces or dashes, O for 0, I and L for 1) and its kind; the kind
// is nil if this version of Carekey does not know the number.
func ParseRef(s string) (string, *Kind, error) {
	s = strings.NewReplacer(" ", "", "-", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(s))
	m := referenceForm.FindStringSubmatch(s)
	if m == nil {
		return "", nil, errors.New("a reference looks like 412-7XQ-9KD")
	}
	number, err := strconv.Atoi(m[1])
	if err != nil {
		return "", nil, fmt.Errorf("reading the kind of reference %q: %w", s, err)
	}
	return m[1] + "-" + m[2] + "-" + m[3], KindOf(number), nil
}
