package main

import (
	"log/slog"
	"path/filepath"
	"testing"

	"carekey.dev/carekey/internal/server"
	"carekey.dev/carekey/internal/server/config"
)

// nothing is an environment without variables.
func nothing(string) (string, bool) { return "", false }

// furnished is a house as a dev server holds it, and its data folder: commands
// run beside it.
func furnished(t *testing.T) (*server.House, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "data")
	settings, lock, err := server.PrepareDev(config.Demo{Listen: "localhost:8080", DataDir: folder}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	h, err := server.Furnish(t.Context(), settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, folder
}
