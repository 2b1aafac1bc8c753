package app

import (
	"bytes"
	"image/png"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
)

// RFC 6238, appendix B, SHA-1, the last six of its eight digits.
func TestCodesOfRFC6238(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		got, err := codeAt(secret, stepAt(time.Unix(at, 0)))
		if err != nil || got != want {
			t.Errorf("at %d: %q, %v; want %q", at, got, err, want)
		}
	}
}

// Decision 10: one step beside the present one, no further.
func TestCodeMatchesOneStepBesideThePresentOne(t *testing.T) {
	secret := []byte("12345678901234567890")
	start := time.Unix(1234567890/30*30, 0)
	code, err := codeAt(secret, stepAt(start))
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]bool{
		-31 * time.Second: false, -30 * time.Second: true, -time.Second: true, 0: true, 29 * time.Second: true,
		59 * time.Second: true, 60 * time.Second: false, 61 * time.Second: false,
	} {
		step, err := match(secret, code, start.Add(after))
		if err != nil || (step == stepAt(start)) != want {
			t.Errorf("%v later: step %d, %v; want %v", after, step, err, want)
		}
	}
}

// An independent tool computes the same code from the key that is shown.
func TestOathtoolComputesTheSameCode(t *testing.T) {
	tool(t, "oathtool")
	secret := []byte("a secret of 20 bytes")
	card := newCard(Issuer, "amara.osei@northgate.example.nhs.uk", secret)
	out, err := exec.Command("oathtool", "--totp", "--base32", "--now", "2026-03-02 08:00:10 UTC", strings.ReplaceAll(card.Key, " ", "")).Output()
	if err != nil {
		t.Fatal(err)
	}
	code, err := codeAt(secret, stepAt(time.Date(2026, 3, 2, 8, 0, 10, 0, time.UTC)))
	if err != nil || strings.TrimSpace(string(out)) != code {
		t.Errorf("oathtool says %s, we say %s, %v", out, code, err)
	}
}

// Seed 1's picture: the app shows the service and the email address.
func TestCardNamesIssuerAndAddress(t *testing.T) {
	card := newCard(Issuer, "amara+ward@northgate.example.nhs.uk", []byte("a secret of 20 bytes"))
	if !strings.HasPrefix(card.URI, "otpauth://totp/Care%20Identity%20Authentication:amara%2Bward@northgate.example.nhs.uk?secret=MEQHGZLDOJSXIIDPMYQDEMBAMJ4XIZLT&issuer=Care%20Identity%20Authentication&") {
		t.Error(card.URI)
	}
	u, err := url.Parse(card.URI)
	if err != nil {
		t.Fatal(err)
	}
	if u.Path != "/Care Identity Authentication:amara+ward@northgate.example.nhs.uk" || u.Query().Get("issuer") != Issuer {
		t.Errorf("%q, %q", u.Path, u.Query())
	}
	if card.Key != "MEQH GZLD OJSX IIDP MYQD EMBA MJ4X IZLT" {
		t.Error(card.Key)
	}
}

// An independent reader finds the address in the picture, quiet zone and all.
func TestZbarReadsTheQRCode(t *testing.T) {
	tool(t, "zbarimg")
	for _, email := range []care.Email{"a@nhs.net", "amara.osei-with-a-long-name@department.northgate-hospitals.example.nhs.uk"} {
		card := newCard(Issuer, email, []byte("a secret of 20 bytes"))
		picture, err := card.QR()
		if err != nil {
			t.Fatal(err)
		}
		image, err := png.Decode(bytes.NewReader(picture))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 * qrScale { // the quiet zone of ISO/IEC 18004
			if r, _, _, _ := image.At(i, i).RGBA(); r != 0xffff {
				t.Fatalf("%s: a dark pixel at %d in the quiet zone", email, i)
			}
		}
		path := filepath.Join(t.TempDir(), "qr.png")
		if err := os.WriteFile(path, picture, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("zbarimg", "--quiet", "--raw", path).Output()
		if err != nil || strings.TrimSpace(string(out)) != card.URI {
			t.Errorf("zbarimg read %q, %v; want %q", out, err, card.URI)
		}
	}
}

func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing: make test installs it", name)
	}
}
