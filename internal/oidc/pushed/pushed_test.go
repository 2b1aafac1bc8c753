package pushed_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/oidc/pushed"
)

const client = "555000000001.apps.national"

var (
	schemas = []fs.FS{pushed.Schema}
	start   = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	mine    = pushed.BrowserOf("mine")
	other   = pushed.BrowserOf("other")
)

type house struct {
	*db.DB
	t    *testing.T
	past *atomic.Int64
}

func each(t *testing.T, test func(h house)) {
	past := &atomic.Int64{}
	now := func() time.Time { return start.Add(time.Duration(past.Load())) }
	dbtest.EachAt(t, now, schemas, func(t *testing.T, d *db.DB) {
		past.Store(0)
		test(house{d, t, past})
	})
}

func (h house) pass(some time.Duration) { h.past.Add(int64(some)) }

func (h house) write(fn func(tx *db.Tx) (error, error)) error {
	h.t.Helper()
	var refused error
	err := h.Write(context.Background(), func(tx *db.Tx) (err error) {
		refused, err = fn(tx)
		return err
	})
	if err != nil {
		h.t.Error(err)
	}
	return refused
}

func (h house) push() string {
	h.t.Helper()
	name := pushed.NewName(rand.Reader)
	h.write(func(tx *db.Tx) (error, error) {
		return nil, pushed.Push(tx, name, client, url.Values{"state": {"a b&c"}, "prompt": {"login", "consent"}})
	})
	return name
}

func (h house) begin(name string, b pushed.Browser) error {
	h.t.Helper()
	return h.write(func(tx *db.Tx) (error, error) { return pushed.Begin(tx, name, client, b) })
}

func (h house) use(name string, b pushed.Browser) error {
	h.t.Helper()
	return h.write(func(tx *db.Tx) (error, error) { return pushed.Use(tx, name, client, b) })
}

func (h house) read(name, clientID string, b pushed.Browser) (parameters url.Values, begun bool, refused error) {
	h.t.Helper()
	err := h.Read(h.t.Context(), func(tx *db.Tx) (err error) {
		parameters, begun, refused, err = pushed.Read(tx, name, clientID, b)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return parameters, begun, refused
}

func (h house) want(what string, got, want error) {
	h.t.Helper()
	if !errors.Is(got, want) || (got == nil) != (want == nil) {
		h.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// RFC 9126 section 2.2: bound to the client, with a name that nobody guesses.
func TestARequestIsReadByItsClientAlone(t *testing.T) {
	each(t, func(h house) {
		name := h.push()
		if !pushed.Named(name) || len(strings.TrimPrefix(name, "urn:ietf:params:oauth:request_uri:")) != 43 {
			t.Errorf("the name is %q", name)
		}
		got, begun, refused := h.read(name, client, mine)
		if refused != nil || begun || got.Get("state") != "a b&c" || len(got["prompt"]) != 2 {
			t.Errorf("read %v, begun %t, %v", got, begun, refused)
		}
		_, _, refused = h.read(name, "another", mine)
		h.want("another client", refused, pushed.ErrUnknown)
		_, _, refused = h.read(name+"x", client, mine)
		h.want("another name", refused, pushed.ErrUnknown)
	})
}

// RFC 9126 section 4: an expired request_uri is refused.
func TestABrowserHasSixtySecondsToBegin(t *testing.T) {
	each(t, func(h house) {
		early, late := h.push(), h.push()
		h.pass(59 * time.Second)
		h.want("after 59 seconds", h.begin(early, mine), nil)
		h.pass(2 * time.Second)
		_, _, refused := h.read(late, client, mine)
		h.want("reading after 61 seconds", refused, pushed.ErrExpired)
		h.want("beginning after 61 seconds", h.begin(late, mine), pushed.ErrExpired)
		h.want("using after 61 seconds", h.use(late, mine), pushed.ErrExpired)
		h.pass(journey.RequirementLife - 4*time.Second)
		h.want("a sign-in that took half an hour", h.use(early, mine), nil)
	})
}

func TestASignInThatTakesTooLongEndsTheRequest(t *testing.T) {
	each(t, func(h house) {
		name := h.push()
		h.want("beginning", h.begin(name, mine), nil)
		h.pass(journey.RequirementLife + time.Second)
		h.want("using", h.use(name, mine), pushed.ErrExpired)
	})
}

// FAPI 2.0 section 5.3.2.2: used up with the code and not with the page.
func TestAReloadDoesNotUseARequestUpButItsCodeDoes(t *testing.T) {
	each(t, func(h house) {
		name := h.push()
		for range 3 {
			h.want("beginning", h.begin(name, mine), nil)
			if _, begun, refused := h.read(name, client, mine); refused != nil || !begun {
				t.Errorf("reloading: begun %t, %v", begun, refused)
			}
		}
		h.want("the first code", h.use(name, mine), nil)
		h.want("the second code", h.use(name, mine), pushed.ErrUsed)
		h.want("beginning again", h.begin(name, mine), pushed.ErrUsed)
		_, _, refused := h.read(name, client, mine)
		h.want("reading again", refused, pushed.ErrUsed)
	})
}

func TestARequestBelongsToTheFirstBrowser(t *testing.T) {
	each(t, func(h house) {
		name := h.push()
		h.want("the first", h.begin(name, mine), nil)
		h.want("another begins", h.begin(name, other), pushed.ErrElsewhere)
		h.want("another uses", h.use(name, other), pushed.ErrElsewhere)
		_, _, refused := h.read(name, client, other)
		h.want("another reads", refused, pushed.ErrElsewhere)
		h.want("the first goes on", h.use(name, mine), nil)
	})
}

func TestOldRequestsArePruned(t *testing.T) {
	each(t, func(h house) {
		name := h.push()
		for _, step := range []struct {
			pass time.Duration
			want error
		}{{time.Hour, pushed.ErrExpired}, {2 * time.Minute, pushed.ErrUnknown}} {
			h.pass(step.pass)
			h.write(func(tx *db.Tx) (error, error) { return nil, pushed.Prune(tx) })
			_, _, refused := h.read(name, client, mine)
			h.want("after "+step.pass.String(), refused, step.want)
		}
	})
}

// Two nodes on one PostgreSQL: of a thousand racing uses in one browser exactly
// one gets its code (RFC 9126 section 7.3).
func TestOfRacingUsesExactlyOneWins(t *testing.T) {
	var nodes []house
	for _, d := range dbtest.Nodes(t, 2, schemas...) {
		nodes = append(nodes, house{DB: d, t: t})
	}
	race(t, nodes)
}

func TestOfRacingUsesExactlyOneWinsOnSQLite(t *testing.T) {
	race(t, []house{{DB: dbtest.Open(t, schemas...), t: t}})
}

func race(t *testing.T, nodes []house) {
	const racers = 1000
	name := nodes[0].push()
	var won, refused atomic.Int64
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() {
			switch why := nodes[i%len(nodes)].use(name, mine); why {
			case nil:
				won.Add(1)
			case pushed.ErrUsed:
				refused.Add(1)
			default:
				t.Error(why)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || refused.Load() != racers-1 {
		t.Errorf("%d won and %d were refused, want 1 and %d", won.Load(), refused.Load(), racers-1)
	}
}

func TestOfRacingBrowsersExactlyOneBegins(t *testing.T) {
	each(t, func(h house) {
		name := h.push()
		var won atomic.Int64
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				switch why := h.begin(name, pushed.BrowserOf(string(rune('a'+i)))); why {
				case nil:
					won.Add(1)
				case pushed.ErrElsewhere:
				default:
					t.Error(why)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 {
			t.Errorf("%d browsers began", won.Load())
		}
	})
}
