package keys_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"carekey.dev/carekey/internal/keys"
)

func TestSealedTextOpensForItsPurposeAlone(t *testing.T) {
	ring := keys.NewRing(keys.Root{1})
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		bound := rapid.SliceOf(rapid.Byte()).Draw(t, "bound")
		sealed, err := ring.Sealer("a").Seal(plain, bound)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := ring.Sealer("a").Open(sealed, bound)
		if err != nil || !bytes.Equal(opened, plain) {
			t.Fatalf("opened %x, %v", opened, err)
		}
		if _, err := ring.Sealer("b").Open(sealed, bound); !errors.Is(err, keys.ErrSealed) {
			t.Fatalf("another purpose opened it: %v", err)
		}
		if _, err := ring.Sealer("a").Open(sealed, append(bound, 1)); !errors.Is(err, keys.ErrSealed) {
			t.Fatalf("other associated data opened it: %v", err)
		}
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "where")] ^= 1
		if _, err := ring.Sealer("a").Open(sealed, bound); !errors.Is(err, keys.ErrSealed) {
			t.Fatalf("a changed text opened: %v", err)
		}
	})
}

func TestOldRootsStillOpenAndVerify(t *testing.T) {
	before, after := keys.NewRing(keys.Root{1}), keys.NewRing(keys.Root{2}, keys.Root{1})
	sealed, err := before.Sealer("a").Seal([]byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.Sealer("a").Open(sealed, nil); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	if _, err := keys.NewRing(keys.Root{2}).Sealer("a").Open(sealed, nil); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("without the old root: %v", err)
	}
	if !after.MAC("m").Verify(before.MAC("m").Sum([]byte("x")), []byte("x")) {
		t.Error("a MAC of the old root does not verify")
	}
}

func TestMACPartsDoNotFlowIntoOneAnother(t *testing.T) {
	mac := keys.NewRing(keys.Root{1}).MAC("m")
	if bytes.Equal(mac.Sum([]byte("ab"), []byte("c")), mac.Sum([]byte("a"), []byte("bc"))) {
		t.Error("ab+c and a+bc have one MAC")
	}
	if mac.Verify(mac.Sum([]byte("ab")), []byte("abc")) || !mac.Verify(mac.Sum([]byte("ab")), []byte("ab")) {
		t.Error("Verify is wrong")
	}
}

func TestTokenHasTheEntropyThatWasAskedFor(t *testing.T) {
	if a, b := keys.Token(rand.Reader, 32), keys.Token(rand.Reader, 32); a == b || len(a) != 43 {
		t.Errorf("tokens %q and %q", a, b)
	}
}

func TestRootKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	if err := keys.CreateRoot(path); err != nil {
		t.Fatal(err)
	}
	roots, err := keys.LoadRoot(path)
	if err != nil || len(roots) != 1 || roots[0] == (keys.Root{}) {
		t.Fatalf("LoadRoot = %d roots, %v", len(roots), err)
	}
	if err := keys.CreateRoot(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a root key was replaced: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.LoadRoot(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a root key that others can read: %v", err)
	}
	for name, content := range map[string]string{"empty": "", "short": "AAAA\n", "no base64": strings.Repeat("!", 44) + "\n"} {
		bad := filepath.Join(t.TempDir(), "bad.key")
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.LoadRoot(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
