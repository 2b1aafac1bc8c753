//go:build cgo && linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/hsm"
	"carekey.dev/carekey/internal/yamldoc"
)

// settings is the configuration, as it is written and as it is used.
type settings struct {
	Module      string     `yaml:"module"`
	Token       string     `yaml:"token"`
	PINFile     string     `yaml:"pin_file"`
	Socket      string     `yaml:"socket"`
	SocketGroup string     `yaml:"socket_group"`
	Rules       []ruleText `yaml:"rules"`

	pin   string
	group int
	rules []hsm.Rule
}

// ruleText is a rule as it is written.
type ruleText struct {
	User       string                    `yaml:"user"`
	Keys       string                    `yaml:"keys"`
	Algorithms []jose.SignatureAlgorithm `yaml:"algorithms"`
	May        []string                  `yaml:"may"`
}

// load reads and checks the configuration. Each mistake is one line that says
// what to mend.
func load(file string) (*settings, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	doc, err := yamldoc.Parse(file, text)
	if err != nil {
		return nil, err
	}
	c := &settings{group: -1}
	if err := doc.Decode(c); err != nil {
		return nil, err
	}
	var mistakes []error
	wrong := func(err error, at ...any) { mistakes = append(mistakes, doc.Mistake(at, "%s", err)) }
	for _, needed := range [][2]string{{"module", c.Module}, {"token", c.Token}, {"pin_file", c.PINFile}, {"socket", c.Socket}} {
		if needed[1] == "" {
			wrong(fmt.Errorf("%s is missing", needed[0]), needed[0])
		}
	}
	if c.PINFile != "" {
		if c.pin, err = readPIN(c.PINFile); err != nil {
			wrong(err, "pin_file")
		}
	}
	if c.SocketGroup != "" {
		if c.group, err = groupID(c.SocketGroup); err != nil {
			wrong(err, "socket_group")
		}
	}
	if len(c.Rules) == 0 {
		wrong(errors.New("rules is missing: nobody could use a key"), "rules")
	}
	for i, written := range c.Rules {
		rule, err := written.rule()
		if err != nil {
			wrong(err, "rules", i)
		}
		c.rules = append(c.rules, rule)
	}
	return c, errors.Join(mistakes...)
}

// readPIN reads the PIN of the token. A file that others can read is refused.
func readPIN(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", fmt.Errorf("reading the PIN: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("the PIN in %s can be read by others: run chmod 600 %s", file, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the PIN: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

func groupID(name string) (int, error) {
	if g, err := user.LookupGroup(name); err == nil {
		name = g.Gid
	}
	id, err := strconv.Atoi(name)
	if err != nil {
		return -1, fmt.Errorf("there is no group %q on this machine", name)
	}
	return id, nil
}

func (r ruleText) rule() (hsm.Rule, error) {
	name := r.User
	if u, err := user.Lookup(name); err == nil {
		name = u.Uid
	}
	id, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return hsm.Rule{}, fmt.Errorf("there is no user %q on this machine", r.User)
	}
	rule := hsm.Rule{UID: uint32(id), Keys: r.Keys, Algorithms: r.Algorithms, May: r.May}
	return rule, rule.Check()
}
