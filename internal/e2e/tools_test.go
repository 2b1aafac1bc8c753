package e2e

import (
	"bytes"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// readQR decodes the QR code on a screenshot with zbarimg, a reader that knows
// nothing of Carekey.
func readQR(t *testing.T, screenshot []byte) *url.URL {
	t.Helper()
	cmd := exec.Command("zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", "PNG:-")
	cmd.Stdin = bytes.NewReader(screenshot)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("zbarimg (Debian package zbar-tools) reads no QR code: %v %s", err, stderr.String())
	}
	u, err := url.Parse(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// phones remembers the last code that each secret has used, for a code counts
// once.
type phones struct {
	mu   sync.Mutex
	last map[string]int64
}

const step = 30 // seconds, RFC 6238

// code computes with oathtool, which knows nothing of Carekey, a code of the
// secret that is newer than the last one: of the step before, this or the next,
// for one step of drift is accepted. If all three are used up it waits for the
// clock.
func (p *phones) code(t *testing.T, secret string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = map[string]int64{}
	}
	// Half a step of distance from the edges, so that the clock does not run
	// on between here and the server.
	next := max(p.last[secret]+1, (time.Now().Unix()+step/2)/step-1)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for next > (time.Now().Unix()-2)/step+1 {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the test ended while it waited for a new code")
		}
	}
	p.last[secret] = next
	return totpAt(t, secret, next)
}

func totpAt(t *testing.T, secret string, step64 int64) string {
	t.Helper()
	out, err := exec.Command("oathtool", "--totp", "--base32", "--now", "@"+strconv.FormatInt(step64*step, 10), secret).Output()
	if err != nil {
		t.Fatalf("oathtool (Debian package oathtool): %v", err)
	}
	return strings.TrimSpace(string(out))
}
