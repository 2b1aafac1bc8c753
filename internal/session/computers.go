package session

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

// sharedCookie marks a browser on a computer that people share. IT sets it.
const sharedCookie = "__Host-shared-computer"

// MarkLife is how long a link that marks a computer works: IT walks through a
// ward with it.
const MarkLife = 24 * time.Hour

// Computers knows which computers people share: by network, or by a cookie that
// IT has set with a link (decision 8). On such a computer no single sign-on
// outlives one relying party's sign-in, and no choice is remembered.
type Computers struct {
	networks     []netip.Prefix
	links, marks *keys.Sealer
	now          func() time.Time
}

// NewComputers returns the room's knowledge of shared computers.
func NewComputers(ring *keys.Ring, networks []netip.Prefix, now func() time.Time) *Computers {
	return &Computers{
		networks: networks, links: ring.Sealer("shared computer/link"), marks: ring.Sealer("shared computer/mark"), now: now,
	}
}

// Shared reports whether a request comes from a shared computer. network is the
// client's address behind trusted proxies.
func (c *Computers) Shared(r *http.Request, network netip.Addr) bool {
	return c.InNetwork(network) || c.Marked(r)
}

// InNetwork reports whether all computers at the address are shared.
func (c *Computers) InNetwork(network netip.Addr) bool {
	return slices.ContainsFunc(c.networks, func(p netip.Prefix) bool { return p.Contains(network.Unmap()) })
}

// Marked reports whether IT has marked the browser.
func (c *Computers) Marked(r *http.Request) bool {
	cookie, err := r.Cookie(sharedCookie)
	if err != nil {
		return false
	}
	shared, err := keys.OpenJSON[bool](c.marks, nil, cookie.Value)
	return err == nil && shared
}

// mark is what a link is for.
type mark struct {
	Expires time.Time `json:"e"`
	Shared  bool      `json:"s"`
}

// Link returns the secret of a link that marks browsers as shared, or takes the
// mark away. It works for MarkLife, in any number of browsers: it gives nobody
// a right, and a mark only makes Carekey stricter.
func (c *Computers) Link(shared bool) (string, error) {
	return keys.SealJSON(c.links, nil, mark{c.now().Add(MarkLife), shared})
}

// Open returns what a link is for. Fault: MarkLinkUnusable.
func (c *Computers) Open(link string) (shared bool, err error) {
	m, err := keys.OpenJSON[mark](c.links, nil, link)
	switch {
	case err != nil:
		return false, fault.New(fault.MarkLinkUnusable, err)
	case !c.now().Before(m.Expires):
		return false, fault.New(fault.MarkLinkUnusable, errors.New("the link has expired"))
	}
	return m.Shared, nil
}

// Mark does to the browser what the link is for.
func (c *Computers) Mark(w http.ResponseWriter, link string) (shared bool, err error) {
	if shared, err = c.Open(link); err != nil {
		return false, err
	}
	if shared {
		return true, c.set(w)
	}
	http.SetCookie(w, &http.Cookie{
		Name: sharedCookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return false, nil
}

// Renew lets the mark of a browser live as long again as browsers keep a
// cookie: a ward computer is in use for longer than that.
func (c *Computers) Renew(w http.ResponseWriter, r *http.Request) error {
	if !c.Marked(r) {
		return nil
	}
	return c.set(w)
}

func (c *Computers) set(w http.ResponseWriter) error {
	sealed, err := keys.SealJSON(c.marks, nil, true)
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: sharedCookie, Value: sealed, Path: "/", MaxAge: deviceLife,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return nil
}
