package app

import (
	"encoding/base32"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"rsc.io/qr"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/keys"
)

// The values that every authenticator app takes as its default; Microsoft's
// ignores others. A step of 30 seconds keeps ASVS 6.5.5 and N16.
const (
	stepSeconds = 30
	digits      = 6
	// secretSize is 160 bits: the length of SHA-1, as RFC 4226 section 4
	// recommends, and above the 112 of N16.
	secretSize = 20
	// secretLeast is N16's 112 bits, for secrets that come from elsewhere.
	secretLeast = 14
)

var base32Secret = base32.StdEncoding.WithPadding(base32.NoPadding)

// stepAt is RFC 6238's T.
func stepAt(t time.Time) int64 { return t.Unix() / stepSeconds }

// codeAt returns the code of a step.
func codeAt(secret []byte, step int64) (string, error) {
	code, err := hotp.GenerateCodeCustom(base32Secret.EncodeToString(secret), uint64(step),
		hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return "", fmt.Errorf("computing an app code: %w", err)
	}
	return code, nil
}

// match returns the step whose code was typed: the present one, or one beside
// it for phones whose clock is a little wrong (decision 10; RFC 6238 section
// 5.2). 0: none. Every step is computed and compared, whichever matches.
func match(secret []byte, typed string, now time.Time) (int64, error) {
	found := int64(0)
	for step := stepAt(now) - 1; step <= stepAt(now)+1; step++ {
		code, err := codeAt(secret, step)
		if err != nil {
			return 0, err
		}
		if keys.Equal([]byte(code), []byte(typed)) {
			found = step
		}
	}
	return found, nil
}

// Card is what a person puts into their app.
type Card struct {
	// URI is for the QR code, and for a link on the phone itself.
	URI string
	// Key is for typing, in groups of four.
	Key string
}

func newCard(issuer string, email care.Email, secret []byte) Card {
	text := base32Secret.EncodeToString(secret)
	label := escape(issuer) + ":" + strings.ReplaceAll(escape(string(email)), "%40", "@")
	uri := "otpauth://totp/" + label + "?secret=" + text + "&issuer=" + escape(issuer) +
		"&algorithm=SHA1&digits=6&period=30"
	var groups []string
	for len(text) > 4 {
		groups, text = append(groups, text[:4]), text[4:]
	}
	return Card{URI: uri, Key: strings.Join(append(groups, text), " ")}
}

// escape writes spaces as %20, not as +: some apps show the plus sign.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// qrScale makes modules of 6 pixels: large enough for a phone's camera, small
// enough for a page at 320 pixels.
const qrScale = 6

// QR returns the PNG of the URI with its quiet zone of four modules.
func (c Card) QR() ([]byte, error) {
	code, err := qr.Encode(c.URI, qr.M)
	if err != nil {
		return nil, fmt.Errorf("drawing a QR code: %w", err)
	}
	code.Scale = qrScale
	return code.PNG(), nil
}
