package page

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"time"
	_ "time/tzdata" // a small container has no zone files, and nurses read local time

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

// Options say whose pages these are. Only Ring and Rand must be given.
type Options struct {
	// Operator is the organisation that runs this installation, Service the
	// name in the header of pages that do not say otherwise.
	Operator, Service string
	// Colours of the operator; zero values are Carekey's own.
	Colours Colours
	// Dev marks every page as a demonstration.
	Dev bool
	// Secure adds Strict-Transport-Security: the pages are reached by https.
	Secure bool
	Ring   *keys.Ring
	Rand   io.Reader
	// Zone is where the readers live; nil means Europe/London.
	Zone *time.Location
	// Person says who is signed in, for pages whose View does not (help pages,
	// fault pages), or nil. It must be quick and must not fail.
	Person func(*http.Request) *Person
	// Translate turns an error that this room does not know (a full disk) into
	// its fault; nil changes nothing.
	Translate func(error) error
	// Record keeps a fault for `carekey explain`; nil keeps nothing.
	Record func(*http.Request, *fault.Error)
	Log    *slog.Logger
}

// Kit renders pages and guards forms. It holds no state of a person: any node
// answers any request.
type Kit struct {
	options Options
	csrf    *keys.MAC
	guard   *http.CrossOriginProtection
	// exempt and programs are paths whose POST is no form of ours.
	exempt, programs map[string]bool

	assets *assets
	parts  *template.Template // the components
	layout *template.Template // what is around each page
	fault  *Pages
	// routes tells which address is a page; mistakes carries what is to be
	// mended there.
	routes   *http.ServeMux
	mistakes *keys.Sealer
}

// New returns a kit. It fails on a colour that people could not read.
func New(o Options) (*Kit, error) {
	if o.Ring == nil || o.Rand == nil {
		return nil, errors.New("the page kit needs a key ring and a source of randomness")
	}
	o.Operator = cmp.Or(o.Operator, "Carekey")
	o.Service = cmp.Or(o.Service, "Care Identity Management")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Zone == nil {
		london, err := time.LoadLocation("Europe/London")
		if err != nil {
			return nil, fmt.Errorf("loading the time zone of the pages: %w", err)
		}
		o.Zone = london
	}
	o.Colours = o.Colours.orDefaults()
	if err := o.Colours.check(); err != nil {
		return nil, err
	}
	built, err := newAssets(o.Colours)
	if err != nil {
		return nil, err
	}
	k := &Kit{
		options:  o,
		csrf:     o.Ring.MAC("page csrf"),
		guard:    http.NewCrossOriginProtection(),
		exempt:   map[string]bool{},
		programs: map[string]bool{},
		assets:   built,
		mistakes: o.Ring.Sealer("page mistakes"),
	}
	if err := k.parse(); err != nil {
		return nil, err
	}
	return k, nil
}

// Routes registers what the kit itself answers: its assets and the dismissal
// of notices.
func (k *Kit) Routes(mux *http.ServeMux) {
	mux.Handle("GET /assets/", k.Static())
	mux.HandleFunc("POST "+dismissPath, k.dismiss)
}
