package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/link"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/registration"
	"carekey.dev/carekey/internal/server"
)

// operator is who stands for the RA on the command line (decision 4).
const operator = "operator"

// look is how often a link is looked at.
const look = 500 * time.Millisecond

type linkCommand struct {
	UID  string `arg:"" help:"The person's care identity number."`
	Type string `arg:"" help:"The type of authenticator: authenticator_app, windows_hello, security_key or passkey."`
	place
}

// Run makes a link, follows it, and confirms it when the operator says that
// both screens show the same number. A link and a mailbox alone register
// nothing (decision 4).
func (l *linkCommand) Run(c *console) error {
	uid, err := care.ParseUID(l.UID)
	if err != nil {
		return err
	}
	method, types := care.Method(l.Type), registration.Methods()
	if !slices.Contains(types, method) {
		return fmt.Errorf("%q cannot be registered with a link: use one of %v", l.Type, types)
	}
	return l.enter(c, func(h *server.House) error { return c.introduce(h, uid, method) })
}

func (c *console) introduce(h *server.House, uid care.UID, method care.Method) error {
	p, err := c.worker(h, uid)
	if err != nil {
		return err
	}
	if method == care.Passkey {
		if err := c.letIn(h, p); err != nil {
			return err
		}
	}
	token, err := h.Links.Create(c.ctx, uid, method, operator)
	if err != nil {
		return err
	}
	made, err := h.Links.Peek(c.ctx, token)
	if err != nil {
		return err
	}
	c.printf("Give this link to %s (%s). It has to be started within 3 minutes:\n\n  %s\n\n",
		p.DisplayName(), p.Login(), h.Config.Link("/register?t="+url.QueryEscape(token)))
	c.printf("Stay with them, in person or on a call where you see them. Waiting for them to start …\n")
	waiting, err := c.follow(h, made.ID)
	if err != nil {
		return err
	}
	c.printf("\nTheir screens are done. The number is %s.\n", waiting.Number)
	yes, err := c.ask(fmt.Sprintf("Does the worker's screen show %s? [y/N] ", waiting.Number))
	if err != nil {
		return err
	}
	if !yes {
		if err := h.Links.Refuse(c.ctx, made.ID, operator); err != nil {
			return err
		}
		return errors.New("refused: nothing was registered")
	}
	if err := h.Links.Confirm(c.ctx, made.ID, operator); err != nil {
		return err
	}
	c.printf("Confirmed. Their screen says now that the registration was successful.\n")
	return nil
}

// worker is the person, who must be able to receive the emailed code.
func (c *console) worker(h *server.House, uid care.UID) (person.Person, error) {
	var p person.Person
	err := h.DB.Read(c.ctx, func(tx *db.Tx) (err error) {
		p, err = person.ByUID(tx, uid)
		return err
	})
	switch {
	case errors.Is(err, db.ErrNoRows):
		return p, fmt.Errorf("there is nobody with the number %s", uid)
	case err != nil:
		return p, err
	case p.Closed != nil:
		return p, fmt.Errorf("the identity of %s is closed: %s", p.DisplayName(), p.Closed.Reason)
	case p.Login() == "":
		return p, fmt.Errorf("%s has no email address, so the code cannot reach them: give them one first", p.DisplayName())
	}
	return p, nil
}

// letIn checks that passkeys are open to the person: the link would lead nowhere.
func (c *console) letIn(h *server.House, p person.Person) error {
	var open bool
	err := h.DB.Read(c.ctx, func(tx *db.Tx) (err error) {
		open, err = h.Passkeys.Person(tx, p.UID)
		return err
	})
	if err == nil && !open {
		err = fmt.Errorf("passkeys are in private beta, and passkey.people does not name %s nor an organisation where they have a role", p.UID)
	}
	return err
}

// follow waits until the worker's screens show the number, and says how far
// they are.
func (c *console) follow(h *server.House, id string) (link.Link, error) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	said := link.Open
	for {
		now, err := h.Links.Watch(c.ctx, id)
		if err != nil {
			return now, err
		}
		switch now.State {
		case link.Waiting:
			return now, nil
		case link.Started:
			if said != link.Started {
				c.printf("They have started. Waiting for them to finish their screens …\n")
			}
		case link.Expired:
			return now, errors.New("the link has expired: make another")
		case link.Replaced:
			return now, errors.New("a newer link for the same person took its place")
		case link.Refused, link.Finished, link.Confirmed:
			return now, fmt.Errorf("somebody else has dealt with this link: it is %s", now.State)
		}
		said = now.State
		select {
		case <-c.ctx.Done():
			return now, errors.New("interrupted: the link is of no use without your confirmation")
		case <-tick.C:
		}
	}
}

// ask reads one answer; only a clear yes is one.
func (c *console) ask(question string) (bool, error) {
	c.printf("%s", question)
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(c.in).ReadString('\n')
		if err != nil && line == "" {
			line = "no"
		}
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-c.ctx.Done():
		return false, context.Cause(c.ctx)
	case line := <-answer:
		return line == "y" || line == "yes", nil
	}
}
