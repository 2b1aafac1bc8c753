package logout_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/oidc/logout"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

// OpenID Connect Back-Channel Logout sections 2.4 and 2.5; wire rule 16.
func TestEachRelyingPartyOfAnEndedSessionIsToldOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rp := newReceiver(t)
		h.register(rp, "e-rs", "ncrs", "mesh")
		quiet := relyingparty.RelyingParty{ClientID: "no-channel", Name: "x", RedirectURIs: []string{"https://rp.example/"}}
		quiet.Complete()
		h.write(func(tx *db.Tx) error { return relyingparty.Put(tx, quiet) })
		over := h.signedIn("e-rs", "ncrs", "no-channel", "e-rs", "removed")
		h.signedIn("e-rs", "mesh") // goes on
		h.signOut(over)
		n := h.node(h.DB, rp)
		n.tell()
		n.tell()
		if diff := cmp.Diff([]string{"e-rs waiting 0", "ncrs waiting 0"}, sorted(h.deliveries(logout.Filter{}))); diff != "" {
			t.Errorf("before (-want +got):\n%s", diff)
		}
		h.clock.pass(time.Hour) // the token is as young as the call
		got := n.deliver(2, rp)
		slices.Sort(got)
		for i, client := range []string{"e-rs", "ncrs"} {
			head, payload, _ := strings.Cut(got[i], "{")
			if head != client+" JWT " {
				t.Errorf("signed for %q", head)
			}
			var claims map[string]any
			if err := json.Unmarshal([]byte("{"+payload), &claims); err != nil {
				t.Fatal(err)
			}
			if jti, _ := claims["jti"].(string); len(jti) < 16 {
				t.Errorf("jti is %v", claims["jti"])
			}
			delete(claims, "jti")
			at := float64(start.Add(time.Hour).Unix())
			want := map[string]any{
				"iss": issuer, "sub": string(amara), "aud": client, "sid": over.SID, "iat": at, "exp": at + 120,
				"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("the logout token (-want +got):\n%s", diff)
			}
		}
		if got := h.deliveries(logout.Filter{}); got != nil {
			t.Errorf("not told: %v", got)
		}
		if got := h.deliveries(logout.Filter{ClientID: "ncrs", Told: true}); len(got) != 1 || got[0] != "ncrs told 1" {
			t.Errorf("told: %v", got)
		}
	})
}

func sorted(all []string) []string { slices.Sort(all); return all }

// OpenID Connect Back-Channel Logout section 2.8; wire rule 16: 400 is final.
func TestWhatAnAnswerMeans(t *testing.T) {
	for _, test := range []struct {
		status     int
		body, want string
	}{
		{200, "", "told 1"},
		{204, "", "told 1"},
		{202, "anything", "told 1"},
		{400, "", "given up 1 the relying party answered 400"},
		{400, `{"error":"invalid_request","error_description":"Amara OSEI"}`, "given up 1 the relying party answered 400, invalid_request"},
		{400, `{"error":"Amara OSEI is not here"}`, "given up 1 the relying party answered 400"},
		{400, "{" + strings.Repeat(" ", 10<<10) + `"error":"late"}`, "given up 1 the relying party answered 400"},
		{302, "", "retried 1 the relying party answered 302: a redirect is not followed"},
		{401, "", "retried 1 the relying party answered 401"},
		{404, "", "retried 1 the relying party answered 404"},
		{429, "", "retried 1 the relying party answered 429"},
		{500, `{"error":"invalid_request"}`, "retried 1 the relying party answered 500"},
		{503, "", "retried 1 the relying party answered 503"},
	} {
		h := open(t)
		rp := newReceiver(t)
		rp.says(test.status, test.body)
		h.register(rp, "e-rs")
		h.signOut(h.signedIn("e-rs"))
		n := h.node(h.DB, rp)
		n.tell()
		n.deliver(1, rp)
		if got := h.deliveries(logout.Filter{Told: true}); len(got) != 1 || got[0] != "e-rs "+test.want {
			t.Errorf("%d %.40s: %v, want %s", test.status, test.body, got, test.want)
		}
		// The log names who was not told, and nothing of what it said.
		if log := h.log.String(); strings.Contains(log, "client=e-rs reason=") != (test.status >= 300) || strings.Contains(log, "Amara") {
			t.Errorf("%d: the log says %q", test.status, log)
		}
	}
}

// A relying party that is down is told when it is up, by whichever process is
// there by then, with a token of that moment.
func TestARelyingPartyThatWasDownIsToldAfterARestart(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rp := newReceiver(t)
		rp.says(http.StatusInternalServerError, "")
		h.register(rp, "e-rs")
		h.signOut(h.signedIn("e-rs"))
		first := h.node(h.DB, rp)
		first.tell()
		before := first.deliver(1, rp)
		next := h.listed(logout.Filter{})[0].Next.Sub(h.Now())
		if next < 4*time.Second || next > 6*time.Second {
			t.Errorf("tried again after %s", next)
		}
		h.clock.pass(next)
		again := h.node(h.DB, rp).deliver(1, rp)
		if got := h.deliveries(logout.Filter{}); len(got) != 1 || !strings.HasPrefix(got[0], "e-rs retried 2 ") {
			t.Errorf("after the second try: %v", got)
		}
		rp.says(http.StatusOK, "")
		h.clock.pass(time.Hour)
		after := h.node(h.DB, rp).deliver(1, rp)
		if got := h.deliveries(logout.Filter{Told: true}); len(got) != 1 || got[0] != "e-rs told 3" {
			t.Errorf("at last: %v", got)
		}
		if before[0] == again[0] || again[0] == after[0] {
			t.Error("an old token was sent again")
		}
	})
}

func TestARelyingPartyThatTakesTooLongIsTriedAgain(t *testing.T) {
	h := open(t)
	h.timeout = 100 * time.Millisecond
	rp := newReceiver(t)
	release := make(chan bool)
	hang := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-release
		panic(http.ErrAbortHandler)
	})
	rp.answer.Store(&hang)
	h.register(rp, "e-rs")
	h.signOut(h.signedIn("e-rs"))
	n := h.node(h.DB, rp)
	n.tell()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { n.box.Run(ctx) })
	h.settled("e-rs")
	stop()
	running.Wait()
	if got := h.deliveries(logout.Filter{}); len(got) != 1 || got[0] != "e-rs retried 1 timed out" {
		t.Errorf("after the time-out: %v", got)
	}
	rp.answer.Store(nil)
	close(release)
	h.clock.pass(time.Minute)
	h.timeout = 0 // the default
	h.node(h.DB, rp).deliver(1, rp)
	if got := h.deliveries(logout.Filter{Told: true}); len(got) != 1 || got[0] != "e-rs told 2" {
		t.Errorf("at last: %v", got)
	}
}

// settled waits until the outbox stored that a delivery failed, which wakes
// whoever listens.
func (h *house) settled(client string) {
	h.t.Helper()
	heard, stop := h.Listen("outbox")
	defer stop()
	for {
		all := h.listed(logout.Filter{ClientID: client})
		if len(all) > 0 && all[0].LastError != "" {
			return
		}
		<-heard
	}
}

// A relying party that hangs holds up its own messages and nobody else's.
func TestAHangingRelyingPartyHoldsUpNobodyElse(t *testing.T) {
	h := open(t)
	hanging, well := newReceiver(t), newReceiver(t)
	// It hangs until it holds half of those who deliver, and then ends without an
	// answer.
	const workers = 8
	release := make(chan bool)
	var calls atomic.Int64
	hang := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == workers/2 {
			close(release)
		}
		<-release
		panic(http.ErrAbortHandler)
	})
	hanging.answer.Store(&hang)
	h.register(hanging, "dead")
	h.register(well, "well")
	const many = 60
	var all []*session.Session
	for range many {
		all = append(all, h.signedIn("dead", "well"))
	}
	h.signOut(all...)
	n := h.node(h.DB, hanging, well)
	n.tell()
	n.deliver(many, well)
	if calls.Load() > workers {
		t.Errorf("the relying party that hangs was called %d times meanwhile", calls.Load())
	}
}

// Of two nodes that see the same sessions end, one puts each message into the
// outbox, and one delivers it.
func TestTwoNodesTellEachRelyingPartyOnce(t *testing.T) {
	nodes := dbtest.Nodes(t, 2, schemas...)
	h := newHouse(t, nodes[0], nil)
	rp := newReceiver(t)
	clients := []string{"e-rs", "ncrs", "mesh"}
	h.register(rp, clients...)
	const sessions = 40
	var all []*session.Session
	for range sessions {
		all = append(all, h.signedIn(clients...))
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, d := range nodes {
		n := h.node(d, rp)
		running.Go(func() { n.box.Run(ctx) })
		running.Go(func() {
			if err := n.Run(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
		running.Go(func() { // and as often as it can
			for range 20 {
				if err := n.Tell(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	h.signOut(all...)
	told := map[string]int{}
	for range sessions * len(clients) {
		token := <-rp.arrived
		told[token[:strings.Index(token, " ")]+token[strings.Index(token, `"sid"`):strings.Index(token, `,"events"`)]]++
	}
	stop()
	running.Wait()
	if len(rp.arrived) != 0 || len(told) != sessions*len(clients) {
		t.Errorf("%d of %d were told, and %d more often than once", len(told), sessions*len(clients), len(rp.arrived))
	}
	if got := h.deliveries(logout.Filter{}); got != nil {
		t.Errorf("not told: %v", got)
	}
}

func TestASessionWithMoreRelyingPartiesThanOneTransactionTakes(t *testing.T) {
	h := open(t)
	rp := newReceiver(t)
	var clients []string
	for i := range 70 {
		clients = append(clients, fmt.Sprintf("client-%02d", i))
	}
	h.register(rp, clients...)
	h.signOut(h.signedIn(clients[:20]...), h.signedIn(clients...), h.signedIn(clients[:1]...), h.signedIn())
	h.node(h.DB, rp).tell()
	if got := h.deliveries(logout.Filter{}); len(got) != 91 {
		t.Errorf("%d deliveries, want 91", len(got))
	}
}

// Decision 7: the absolute limit is told, idle expiry is not.
func TestTheAbsoluteLimitIsToldAndIdleExpiryIsNot(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rp := newReceiver(t)
		h.register(rp, "e-rs")
		s := h.signedIn("e-rs")
		n := h.node(h.DB, rp)
		h.clock.pass(23 * time.Hour)
		n.tell()
		if got := h.deliveries(logout.Filter{}); got != nil {
			t.Fatalf("an idle session was told: %v", got)
		}
		h.clock.pass(time.Hour)
		n.tell()
		all := h.listed(logout.Filter{})
		if len(all) != 1 || all[0].SID != s.SID || all[0].Why != session.AbsoluteLimit || all[0].UID != amara {
			t.Errorf("told: %+v", all)
		}
	})
}

// What was registered may have changed before a message is delivered.
func TestWhoCannotBeToldAnyMoreIsGivenUp(t *testing.T) {
	for want, change := range map[string]func(tx *db.Tx) error{
		"the relying party is not registered any more": func(tx *db.Tx) error { return relyingparty.Delete(tx, "e-rs") },
		"the relying party has no backchannel_logout_uri any more": func(tx *db.Tx) error {
			rp, err := relyingparty.ByID(tx, "e-rs")
			if err != nil {
				return err
			}
			rp.BackchannelLogoutURI = ""
			return relyingparty.Put(tx, rp)
		},
	} {
		h := open(t)
		rp := newReceiver(t)
		h.register(rp, "e-rs", "other")
		h.signOut(h.signedIn("e-rs"))
		n := h.node(h.DB, rp)
		n.tell()
		h.write(change)
		h.clock.pass(time.Second)
		h.signOut(h.signedIn("other")) // comes second
		n.tell()
		n.deliver(1, rp)
		if got := h.deliveries(logout.Filter{ClientID: "e-rs"}); len(got) != 1 || got[0] != "e-rs given up 1 "+want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

// Decision 13: a logout URI is what a supplier makes us call.
func TestAddressesThatAreNotPublicAreNotCalled(t *testing.T) {
	for uri, want := range map[string]string{
		"https://10.0.0.1/backchannel": "its address may not be called: outgoing.allow_networks names those that are not public",
		"http://10.0.0.1/backchannel":  "its address is not https",
	} {
		h := open(t)
		rp := newReceiver(t)
		h.register(rp, "e-rs")
		h.write(func(tx *db.Tx) error {
			rp, err := relyingparty.ByID(tx, "e-rs")
			if err != nil {
				return err
			}
			rp.BackchannelLogoutURI = uri
			return relyingparty.Put(tx, rp)
		})
		h.signOut(h.signedIn("e-rs"))
		n := h.node(h.DB, rp)
		n.tell()
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { n.box.Run(ctx) })
		h.settled("e-rs")
		stop()
		running.Wait()
		if got := h.deliveries(logout.Filter{}); len(got) != 1 || got[0] != "e-rs retried 1 "+want {
			t.Errorf("%s: %v", uri, got)
		}
	}
}

func TestAnUntrustedCertificateIsNamed(t *testing.T) {
	h := open(t)
	rp := newReceiver(t)
	rp.Config.ErrorLog = nil
	h.register(rp, "e-rs")
	h.signOut(h.signedIn("e-rs"))
	n := h.node(h.DB)
	n.tell()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { n.box.Run(ctx) })
	h.settled("e-rs")
	stop()
	running.Wait()
	if got := h.deliveries(logout.Filter{}); len(got) != 1 || got[0] != "e-rs retried 1 its certificate is not trusted" {
		t.Errorf("%v", got)
	}
}

// Decision 12: typ is JWT in cis2 and logout+jwt in strict, or as the switch
// says.
func TestTheTypeOfALogoutTokenFollowsTheProfile(t *testing.T) {
	for _, test := range []struct {
		profile relyingparty.Profile
		quirk   string
		want    string
	}{
		{relyingparty.CIS2, "", "JWT"}, {relyingparty.Strict, "", "logout+jwt"},
		{relyingparty.CIS2, "logout+jwt", "logout+jwt"}, {relyingparty.Strict, "JWT", "JWT"},
	} {
		h := open(t)
		rp := newReceiver(t)
		h.register(rp, "e-rs")
		h.write(func(tx *db.Tx) error {
			rp, err := relyingparty.ByID(tx, "e-rs")
			if err != nil {
				return err
			}
			rp.Profile, rp.Quirks.LogoutTokenType = test.profile, test.quirk
			return relyingparty.Put(tx, rp)
		})
		h.signOut(h.signedIn("e-rs"))
		n := h.node(h.DB, rp)
		n.tell()
		if got := n.deliver(1, rp); !strings.HasPrefix(got[0], "e-rs "+test.want+" {") {
			t.Errorf("%s %q: %s", test.profile, test.quirk, got[0])
		}
	}
}
