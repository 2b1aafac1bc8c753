package config

import (
	"path/filepath"
	"time"

	"carekey.dev/carekey/internal/oidc/signing"
)

// Signing says when the keys that sign tokens follow one another, and where
// they are kept.
type Signing struct {
	// RotateEvery is how long a key signs, PublishBefore how long it is
	// published before that. 0 is the default of signing.Schedule.
	RotateEvery   time.Duration
	PublishBefore time.Duration
	// HSMSocket is the socket of carekey-hsm, "" for keys in the database.
	HSMSocket string
}

// Schedule returns the times for the keys.
func (s Signing) Schedule() signing.Schedule {
	return signing.Schedule{Every: s.RotateEvery, Publish: s.PublishBefore}
}

// mostRotation: NIST SP 800-57 part 1, table 1, gives a private key that signs
// three years at most.
const mostRotation = 2 * 365 * 24 * time.Hour

func (l *loader) signing(f file) Signing {
	s := Signing{
		RotateEvery:   l.span("signing.rotate_every", f.Signing.RotateEvery),
		PublishBefore: l.span("signing.publish_before", f.Signing.PublishBefore),
		HSMSocket:     f.Signing.HSMSocket,
	}
	if s.HSMSocket != "" && !filepath.IsAbs(s.HSMSocket) {
		l.wrong("signing.hsm_socket", "a socket looks like /run/carekey-hsm/signing.sock, not %q", s.HSMSocket)
	}
	every, publish := s.RotateEvery, s.PublishBefore
	if every == 0 {
		every = signing.DefaultEvery
	}
	if publish == 0 {
		publish = signing.DefaultPublish
	}
	switch {
	case publish < signing.LeastPublish:
		l.wrong("signing.publish_before", "%s is too short: relying parties keep the old set of keys for minutes, so %s is the least", publish, signing.LeastPublish)
	case every < 2*publish:
		l.wrong("signing.rotate_every", "%s is too short: twice signing.publish_before (%s) is the least", every, publish)
	case every > mostRotation:
		l.wrong("signing.rotate_every", "%s is too long: two years (%s) are the most", every, mostRotation)
	}
	return s
}

// span is "90m" or "2160h", "" for the default.
func (l *loader) span(name, value string) time.Duration {
	if value == "" {
		return 0
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		l.wrong(name, "a time looks like 15m or 2160h, not %q", value)
		return 0
	}
	return d
}
