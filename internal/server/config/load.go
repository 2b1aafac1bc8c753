package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/yamldoc"
)

// Environment looks a variable up (os.LookupEnv).
type Environment func(name string) (string, bool)

// Variable is the environment variable of a setting: "smtp.host" is
// CAREKEY_SMTP_HOST.
func Variable(setting string) string {
	return "CAREKEY_" + strings.ToUpper(strings.ReplaceAll(setting, ".", "_"))
}

// Load reads the configuration of `carekey serve`. Each setting of the file
// can be replaced by its environment variable; without a path, all of them
// come from there.
func Load(path string, env Environment) (*Config, error) {
	var text []byte
	name := "the environment"
	if path != "" {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		name = path
	}
	doc, err := yamldoc.Parse(name, text)
	if err != nil {
		return nil, err
	}
	var f file
	if err := doc.Decode(&f); err != nil {
		return nil, err
	}
	l := loader{doc: doc, env: map[string]bool{}}
	l.environment(&f, env)
	c := l.serve(f)
	if len(l.mistakes) > 0 {
		return nil, errors.Join(l.mistakes...)
	}
	return c, nil
}

// Demo is what `carekey dev` is told on its command line.
type Demo struct {
	Listen, DataDir string
	// TLS serves https with a certificate of a local CA.
	TLS bool
	// HeadlessSignIn opens the sign-in for test automation.
	HeadlessSignIn bool
	// ConnectionManager is the address to offer it on, "" for none.
	ConnectionManager string
}

// Dev returns the configuration of dev mode: everything in one folder, plain
// http on this machine, and whatever the environment says otherwise.
func Dev(d Demo, env Environment) (*Config, error) {
	doc, err := yamldoc.Parse("the environment", nil)
	if err != nil {
		return nil, err
	}
	var f file
	f.Listen = d.Listen
	f.BaseURL = devURL(d.Listen, d.TLS)
	f.Database.URL = "sqlite:" + filepath.Join(d.DataDir, "carekey.db")
	f.RootKeyFile = filepath.Join(d.DataDir, "root.key")
	f.Operator.Name = "Carekey demonstration"
	f.Operator.Service = "NHS CIS2 Authentication" // suppliers see the screens that they know
	f.SMTP.From = "no-reply@carekey.example"
	f.SMTP.Security = "none"
	f.HeadlessSignIn = d.HeadlessSignIn
	f.DynamicRegistration = true                                  // whoever has the folder makes the tokens
	f.Outgoing.AllowNetworks = []string{"127.0.0.0/8", "::1/128"} // decision 13: dev mode names loopback
	f.Passkey.RelyingParties, f.Passkey.People = []string{access.Everyone}, []string{access.Everyone}
	if d.ConnectionManager != "" {
		f.ConnectionManager.Listen = d.ConnectionManager
		f.ConnectionManager.BaseURL = devURL(d.ConnectionManager, d.TLS)
	}
	if d.TLS {
		f.TLS.CertificateFile = filepath.Join(d.DataDir, "tls", "localhost.pem")
		f.TLS.KeyFile = filepath.Join(d.DataDir, "tls", "localhost.key")
	}
	l := loader{doc: doc, env: map[string]bool{}, dev: true}
	l.environment(&f, env)
	c := l.config(f)
	c.Dev, c.DataDir = true, d.DataDir
	if len(l.mistakes) > 0 {
		return nil, errors.Join(l.mistakes...)
	}
	return c, nil
}

// devURL is how people on this machine reach what listens there. Browsers keep
// Secure cookies for localhost without https, but not for every loopback
// address.
func devURL(listen string, encrypted bool) string {
	scheme := "http"
	if encrypted {
		scheme = "https"
	}
	host, port, ok := strings.Cut(listen, ":")
	if i := strings.LastIndex(listen, ":"); i >= 0 {
		host, port, ok = listen[:i], listen[i+1:], true
	}
	if !ok || host == "" || host == "0.0.0.0" || host == "[::]" {
		host = "localhost"
	}
	return scheme + "://" + host + ":" + port
}

// loader checks a file and remembers where each value came from.
type loader struct {
	doc      *yamldoc.Document
	env      map[string]bool // settings that came from the environment
	dev      bool
	mistakes []error
}

// wrong reports a mistake of a setting, with its line or its variable.
func (l *loader) wrong(name, format string, args ...any) {
	if l.env[name] {
		l.mistakes = append(l.mistakes, fmt.Errorf("%s: %s", Variable(name), fmt.Sprintf(format, args...)))
		return
	}
	var path []any
	for step := range strings.SplitSeq(name, ".") {
		path = append(path, step)
	}
	l.mistakes = append(l.mistakes, l.doc.Mistake(path, "%s: %s", name, fmt.Sprintf(format, args...)))
}

// environment replaces what the environment says. A list is separated by
// commas.
func (l *loader) environment(f *file, env Environment) {
	for _, s := range f.settings() {
		value, ok := env(Variable(s.name))
		if !ok {
			continue
		}
		l.env[s.name] = true
		switch into := s.into.(type) {
		case *string:
			*into = value
		case *int:
			n, err := strconv.Atoi(value)
			if err != nil {
				l.wrong(s.name, "a number is wanted, not %q", value)
			}
			*into = n
		case *bool:
			b, err := strconv.ParseBool(value)
			if err != nil {
				l.wrong(s.name, "true or false is wanted, not %q", value)
			}
			*into = b
		case *[]string:
			*into = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
		}
	}
}
