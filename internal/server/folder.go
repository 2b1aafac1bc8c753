package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/server/certificate"
	"carekey.dev/carekey/internal/server/config"
)

// baseURLFile tells commands that work beside `carekey dev` under which address
// it runs. Only dev mode writes it, so it also marks a folder as a
// demonstration.
const baseURLFile = "base_url"

// DefaultFolder is where dev mode keeps everything, and where commands look.
const DefaultFolder = "data"

// folderFlag is what makes a command find another folder.
func folderFlag(folder string) string {
	if folder == DefaultFolder {
		return ""
	}
	return " --data " + folder
}

// PrepareDev makes the data folder of dev mode what it has to be: locked
// against a second server, with a root key, a certificate if asked for, and the
// address for commands. Close what it returns when the server ends.
func PrepareDev(d config.Demo, env config.Environment) (*config.Config, io.Closer, error) {
	c, err := config.Dev(d, env)
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(d.DataDir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("making the data folder: %w", err)
	}
	lock, err := db.Lock(d.DataDir)
	if err != nil {
		return nil, nil, err
	}
	if err := fill(d, c); err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return c, lock, nil
}

func fill(d config.Demo, c *config.Config) error {
	if _, err := os.Stat(c.RootKeyFile); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(d.DataDir, "carekey.db")); err == nil {
			return fmt.Errorf("%s is missing, and the database beside it cannot be read without it: put it back, or delete the folder %s", c.RootKeyFile, d.DataDir)
		}
		if err := keys.CreateRoot(c.RootKeyFile); err != nil {
			return err
		}
	}
	if d.TLS {
		base, err := url.Parse(c.BaseURL)
		if err != nil {
			return fmt.Errorf("reading our own address: %w", err)
		}
		if _, err := certificate.Local(filepath.Join(d.DataDir, "tls"), base.Hostname(), time.Now()); err != nil {
			return err
		}
	}
	err := os.WriteFile(filepath.Join(d.DataDir, baseURLFile), []byte(c.BaseURL+"\n"), 0o600)
	if err != nil {
		return fmt.Errorf("writing the address into the data folder: %w", err)
	}
	return nil
}

// BesideDev returns the configuration for a command that works on the data
// folder of dev mode, while `carekey dev` runs or not.
func BesideDev(folder string, env config.Environment) (*config.Config, error) {
	text, err := os.ReadFile(filepath.Join(folder, baseURLFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no data folder of carekey dev: start carekey dev there first, or name a configuration with --config", folder)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the data folder: %w", err)
	}
	c, err := config.Dev(config.Demo{Listen: "localhost:0", DataDir: folder}, env)
	if err != nil {
		return nil, err
	}
	c.BaseURL = strings.TrimSpace(string(text))
	return c, nil
}

// LockServe locks what a server alone may work on: the folder of a SQLite
// file. Servers on PostgreSQL may be many.
func LockServe(c *config.Config) (io.Closer, error) {
	path, embedded := strings.CutPrefix(c.Database.URL, "sqlite:")
	if !embedded {
		return io.NopCloser(nil), nil
	}
	return db.Lock(filepath.Dir(path))
}
