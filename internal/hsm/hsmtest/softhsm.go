// Package hsmtest gives tests a PKCS#11 token of their own, made by SoftHSM.
//
// Tests come in; a module, a token's name and its PIN leave. The token is
// deleted after the test. It never touches a token of this machine.
package hsmtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Token is a fresh token.
type Token struct {
	Module, Label, PIN string
	// Config is the value of SOFTHSM2_CONF under which the module knows it.
	Config string
}

// modules are where Debian and others put SoftHSM's library.
var modules = []string{
	"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
	"/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

// New makes a token and tells this process where it is.
func New(t testing.TB) Token {
	t.Helper()
	token := Token{Label: "carekey", PIN: "2719-northmoor"}
	for _, module := range modules {
		if _, err := os.Stat(module); err == nil {
			token.Module = module
			break
		}
	}
	if token.Module == "" {
		t.Fatalf("SoftHSM is missing (Debian: softhsm2): none of %v is there", modules)
	}
	folder := t.TempDir()
	token.Config = filepath.Join(folder, "softhsm2.conf")
	tokens := filepath.Join(folder, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(token.Config, []byte("directories.tokendir = "+tokens+"\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", token.Config)
	output, err := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free",
		"--label", token.Label, "--pin", token.PIN, "--so-pin", "so-"+token.PIN).CombinedOutput()
	if err != nil {
		t.Fatalf("making a token: %v\n%s", err, output)
	}
	return token
}
