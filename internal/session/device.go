package session

import (
	"io"
	"net/http"
	"net/netip"
	"slices"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/throttle"
)

// deviceCookie remembers that a person signed in with this browser before. It
// never replaces a proof (N19); it gives the browser a throttling budget of
// its own, so that a stranger's wrong guesses elsewhere do not lock it out.
const deviceCookie = "__Host-device"

// deviceLife is how long the cookie lives: 400 days, which is the longest that
// browsers keep one.
const deviceLife = 400 * 24 * 60 * 60

// devicePeople is how many people one browser remembers; the oldest is
// forgotten first.
const devicePeople = 12

// Devices reads and writes device cookies.
type Devices struct {
	sealer *keys.Sealer
	mac    *keys.MAC
	random io.Reader
}

// NewDevices returns the reader and writer of device cookies.
func NewDevices(ring *keys.Ring, random io.Reader) *Devices {
	return &Devices{sealer: ring.Sealer("device"), mac: ring.MAC("device"), random: random}
}

type device struct {
	ID     string   `json:"i"`
	People [][]byte `json:"p"` // MACs of addresses: the cookie names nobody
}

// Known returns the browser's device name if this address signed in with it
// before, else "" and false.
func (d *Devices) Known(r *http.Request, address care.Email) (string, bool) {
	found := d.read(r)
	mark := d.mark(address)
	for _, person := range found.People {
		if keys.Equal(person, mark) {
			return found.ID, true
		}
	}
	return "", false
}

// Subject is the browser that tries something for an address, as throttling
// sees it.
func (d *Devices) Subject(r *http.Request, address care.Email, network netip.Addr) throttle.Subject {
	name, known := d.Known(r, address)
	return throttle.Subject{Device: name, Known: known, Network: network}
}

// Remember notes that this address signed in with the browser.
func (d *Devices) Remember(w http.ResponseWriter, r *http.Request, address care.Email) error {
	found := d.read(r)
	if found.ID == "" {
		found.ID = keys.Token(d.random, 16)
	}
	mark := d.mark(address)
	found.People = slices.DeleteFunc(found.People, func(person []byte) bool { return keys.Equal(person, mark) })
	found.People = append(found.People, mark)
	if extra := len(found.People) - devicePeople; extra > 0 {
		found.People = found.People[extra:]
	}
	sealed, err := keys.SealJSON(d.sealer, nil, found)
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: deviceCookie, Value: sealed, Path: "/", MaxAge: deviceLife,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return nil
}

func (d *Devices) mark(address care.Email) []byte { return d.mac.Sum([]byte(address))[:16] }

func (d *Devices) read(r *http.Request) device {
	cookie, err := r.Cookie(deviceCookie)
	if err != nil {
		return device{}
	}
	found, err := keys.OpenJSON[device](d.sealer, nil, cookie.Value)
	if err != nil {
		return device{}
	}
	return found
}
