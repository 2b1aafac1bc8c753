package server

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/credential/link"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/dev"
	"carekey.dev/carekey/internal/fetch"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/server/config"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/terms"
	"carekey.dev/carekey/internal/throttle"
)

// House is every room below the ways, made from one configuration.
type House struct {
	Config *config.Config
	Log    *slog.Logger
	DB     *db.DB
	Ring   *keys.Ring
	Random io.Reader

	Terms        *terms.Terms
	Directory    *relyingparty.Directory
	Outbox       *outbox.Outbox
	Throttle     *throttle.Throttle
	Sessions     *session.Sessions
	Devices      *session.Devices
	Computers    *session.Computers
	Requirements *journey.Requirements
	App          *app.App
	MailCode     *mailcode.MailCode
	Links        *link.Links
	Recovery     *recovery.Recovery
	FIDO         *fido.FIDO
	// Metadata knows the models of keys.
	Metadata *metadata.Store
	Passkeys access.Cohort // whom they are open to
	Gate     *gate.Gate
	// Fetch is the guarded client for addresses that relying parties name.
	Fetch *http.Client
}

// Furnish opens the database, brings its tables up to date and makes the
// rooms. The error is one line that says what to mend.
func Furnish(ctx context.Context, c *config.Config, log *slog.Logger) (*House, error) {
	h := &House{Config: c, Log: log, Random: rand.Reader}
	roots, err := keys.LoadRoot(c.RootKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the root key %[1]s is missing: put it back, or for a new installation make one with (umask 077; head -c 32 /dev/urandom | base64 > %[1]s)", c.RootKeyFile)
	}
	if err != nil {
		return nil, err
	}
	h.Ring = keys.NewRing(roots...)
	if h.Terms, err = readTerms(c); err != nil {
		return nil, err
	}
	h.DB, err = db.Open(ctx, db.Config{
		URL: c.Database.URL, Log: log, AllowAsyncStandbys: c.Database.AllowAsynchronousStandbys,
	})
	if err != nil {
		return nil, err
	}
	if err := h.furnish(ctx); err != nil {
		return nil, errors.Join(err, h.DB.Close())
	}
	return h, nil
}

// Close closes the database, after the writes that it has accepted.
func (h *House) Close() error { return h.DB.Close() }

func (h *House) furnish(ctx context.Context) error {
	if err := h.DB.Migrate(ctx, Schemas()...); err != nil {
		return err
	}
	if err := h.Rotation().FitsRoot(ctx); err != nil {
		return err
	}
	send, err := h.mailer()
	if err != nil {
		return err
	}
	refused, err := blockList(h.Config.Passwords.BlockListFile)
	if err != nil {
		return err
	}
	h.Outbox, err = outbox.New(h.DB, h.Ring, outbox.Options{
		Service: h.Config.Operator.Service, Operator: h.Config.Operator.Name, Desk: h.Config.Operator.Desk,
		From: care.Email(h.Config.SMTP.From), Send: send, Random: h.Random, Log: h.Log,
	})
	if err != nil {
		return err
	}
	limits := h.Config.Sessions
	sessions, opener, err := session.New(h.DB, session.Options{
		AAL2:   session.Limits{Idle: limits.AAL2Idle, Total: limits.AAL2Total},
		AAL3:   session.Limits{Idle: limits.AAL3Idle, Total: limits.AAL3Total},
		Random: h.Random,
	})
	if err != nil {
		return err
	}
	h.Sessions = sessions
	h.Devices = session.NewDevices(h.Ring, h.Random)
	h.Computers = session.NewComputers(h.Ring, h.Config.SharedComputers, h.DB.Now)
	h.Requirements = journey.NewRequirements(h.Ring, h.DB.Now)
	h.Fetch = fetch.New(fetch.Options{Allow: h.Config.OutgoingAllow})
	h.Passkeys = access.NewCohort(h.Config.Passkey.RelyingParties, h.Config.Passkey.People)
	h.Directory = relyingparty.NewDirectory(h.DB)
	h.Directory.Passkeys(h.Passkeys.Service)
	h.Throttle = throttle.New(h.Ring, throttle.Limits{Exempt: h.Config.ThrottleExempt})
	h.Gate = gate.New(gate.Options{
		DB: h.DB, Ring: h.Ring, Opener: opener, Binder: credential.NewBinder(), Outbox: h.Outbox,
		Link: h.Config.Link, Demo: h.Config.Dev, Random: h.Random, Log: h.Log,
		PerMethod: h.Config.PerType,
		Barred:    func(tx *db.Tx, uid care.UID) ([]string, error) { return h.FIDO.Barred(tx, uid) },
	})
	roots, err := attestationRoots(h.Config.FIDO.RootsFile)
	if err != nil {
		return err
	}
	h.verifiers(refused, roots)
	return nil
}

// verifiers makes the rooms that prove.
func (h *House) verifiers(refused []string, roots []*x509.Certificate) {
	p := h.Config.Passwords
	cost := app.Cost{MemoryKiB: uint32(p.MemoryKiB), Time: uint32(p.Time), Threads: uint8(p.Threads)}
	h.App = app.New(app.Options{
		DB: h.DB, Ring: h.Ring, Throttle: h.Throttle, Outbox: h.Outbox, NotMe: h.Gate.NotMe, Random: h.Random,
		Cost: cost, Pool: p.Pool, BlockList: refused, Dev: h.Config.Dev,
	})
	h.Recovery = recovery.New(recovery.Options{
		DB: h.DB, Ring: h.Ring, Throttle: h.Throttle, Outbox: h.Outbox, NotMe: h.Gate.NotMe, Random: h.Random,
		Cost: cost, Pool: h.App.Pool(),
	})
	h.MailCode = mailcode.New(mailcode.Options{DB: h.DB, Ring: h.Ring, Outbox: h.Outbox, Throttle: h.Throttle, Random: h.Random})
	h.Links = link.New(h.DB, h.Random)
	models := h.Config.FIDO
	h.Metadata = metadata.New(metadata.Options{
		DB: h.DB, Roots: roots, Allowed: models.ModelsAllowed, Refused: models.ModelsRefused,
		Outbox: h.Outbox, NotMe: h.Gate.NotMe, Holders: fido.Holders,
	})
	h.FIDO = fido.New(fido.Options{
		Roots: roots, Allowed: models.ModelsAllowed, Refused: models.ModelsRefused,
		DB: h.DB, Ring: h.Ring, Random: h.Random, RPID: h.Config.FIDO.RPID, RPName: h.Config.Operator.Service,
		Origins: h.Config.FIDO.Origins, Policies: h.Config.FIDO.Policies, Suspend: h.Gate.Doubt,
		PerMethod: h.Config.PerType,
	})
}

// mailer is how mail leaves: by SMTP, and in dev mode into the inbox too, which
// is enough there.
func (h *House) mailer() (func(context.Context, outbox.Mail) error, error) {
	s := h.Config.SMTP
	var smtp func(context.Context, outbox.Mail) error
	if s.Host != "" {
		password, err := secretFile(s.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("reading smtp.password_file: %w", err)
		}
		smtp, err = outbox.SMTP(outbox.SMTPConfig{Host: s.Host, Port: s.Port, Security: s.Security, User: s.User, Password: password})
		if err != nil {
			return nil, err
		}
	}
	if !h.Config.Dev {
		return smtp, nil
	}
	inbox := dev.Deliver(h.DB)
	return func(ctx context.Context, m outbox.Mail) error {
		if err := inbox(ctx, m); err != nil || smtp == nil {
			return err
		}
		return smtp(ctx, m)
	}, nil
}

func secretFile(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	return strings.TrimRight(string(text), "\r\n"), err
}

// attestationRoots are the certificates that the operator trusts to attest keys.
func attestationRoots(path string) ([]*x509.Certificate, error) {
	if path == "" {
		return nil, nil
	}
	roots, err := metadata.ReadRoots(path)
	if err != nil {
		return nil, fmt.Errorf("fido.roots_file: %w", err)
	}
	return roots, nil
}

func blockList(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading passwords.block_list_file: %w", err)
	}
	defer file.Close()
	return app.ReadBlockList(file)
}

func readTerms(c *config.Config) (*terms.Terms, error) {
	if c.TermsFolder == "" {
		return terms.Default(), nil
	}
	t, err := terms.Load(os.DirFS(c.TermsFolder))
	if err != nil {
		return nil, fmt.Errorf("terms_folder %s: %w", c.TermsFolder, err)
	}
	return t, nil
}

// host is the name under which people reach this installation.
func (h *House) host() string {
	u, err := url.Parse(h.Config.BaseURL)
	if err != nil {
		return "carekey" // checked when the configuration was read
	}
	return u.Hostname()
}
