package web_test

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/server/web"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}

func TestOnlyATrustedProxyIsBelievedAboutTheClient(t *testing.T) {
	for name, c := range map[string]struct {
		peer, forwarded, want string
	}{
		"no proxy":                    {"192.0.2.7:1234", "", "192.0.2.7"},
		"a stranger invents":          {"192.0.2.7:1234", "198.51.100.1", "192.0.2.7"},
		"through a proxy":             {"10.1.2.3:1234", "198.51.100.1", "198.51.100.1"},
		"the client invents":          {"10.1.2.3:1234", "203.0.113.9, 198.51.100.1", "198.51.100.1"},
		"through two proxies":         {"10.1.2.3:1234", "198.51.100.1, 10.1.9.9", "198.51.100.1"},
		"several headers":             {"10.1.2.3:1234", "203.0.113.9|198.51.100.1", "198.51.100.1"},
		"with a port":                 {"10.1.2.3:1234", "198.51.100.1:5555", "198.51.100.1"},
		"version 6":                   {"[fd00::1]:1234", "[2001:db8::7]:5555", "2001:db8::7"},
		"version 4 inside version 6":  {"[::ffff:10.1.2.3]:1234", "::ffff:198.51.100.1", "198.51.100.1"},
		"nonsense":                    {"10.1.2.3:1234", "unknown", "10.1.2.3"},
		"nonsense before a good one":  {"10.1.2.3:1234", "unknown, 198.51.100.1", "198.51.100.1"},
		"only proxies in the header":  {"10.1.2.3:1234", "10.1.9.9", "10.1.9.9"},
		"the proxy says nothing":      {"10.1.2.3:1234", "", "10.1.2.3"},
		"a zone tells nothing":        {"[fe80::1%eth0]:1234", "", "fe80::1"},
		"the connection has no peer":  {"@", "", "invalid IP"},
		"an empty hop at the far end": {"10.1.2.3:1234", ", 198.51.100.1", "198.51.100.1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.peer
			for _, header := range strings.Split(c.forwarded, "|") {
				r.Header.Add("X-Forwarded-For", header)
			}
			var got netip.Addr
			web.Proxies{Trusted: proxies}.Name(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = web.Client(r)
			})).ServeHTTP(httptest.NewRecorder(), r)
			if got.String() != c.want {
				t.Errorf("client %s, want %s", got, c.want)
			}
		})
	}
}

func TestBehindProxiesNobodyElseIsServedDecision14(t *testing.T) {
	p := web.Proxies{
		Trusted: proxies, Only: true, Open: []string{"/healthz"},
		Refuse: func(w http.ResponseWriter, _ *http.Request, err error) { w.WriteHeader(fault.As(err).Kind.Status) },
	}
	open := p
	open.Only = false // with a certificate of its own, or on loopback
	for name, c := range map[string]struct {
		peer, proto, path string
		only, otherwise   int
	}{
		"through the proxy":        {"10.1.2.3:1", "https", "/cim/", 200, 200},
		"the proxy says nothing":   {"10.1.2.3:1", "", "/cim/", 200, 200},
		"plain http to the proxy":  {"10.1.2.3:1", "http", "/cim/", 403, 403},
		"past the proxy":           {"192.0.2.7:1", "https", "/cim/", 403, 200},
		"a stranger says anything": {"192.0.2.7:1", "http", "/cim/", 403, 200},
		"a health check past it":   {"192.0.2.7:1", "", "/healthz", 200, 200},
		"below a health check":     {"192.0.2.7:1", "", "/healthz/x", 403, 200},
		"a health check by proxy":  {"10.1.2.3:1", "http", "/healthz", 200, 200},
		"from this machine, plain": {"127.0.0.1:1", "", "/cim/", 403, 200},
	} {
		for guard, want := range map[*web.Proxies]int{&p: c.only, &open: c.otherwise} {
			r := httptest.NewRequest("GET", c.path, nil)
			r.RemoteAddr = c.peer
			r.Header.Set("X-Forwarded-Proto", c.proto)
			w := httptest.NewRecorder()
			guard.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s, proxies only %t: status %d, want %d", name, guard.Only, w.Code, want)
			}
		}
	}
}

// serve sends one request through Log and Recover and returns the answer and
// the log.
func serve(t *testing.T, handler http.HandlerFunc, path string) (*httptest.ResponseRecorder, string) {
	t.Helper()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	show := func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, fault.As(err).Kind.Title, http.StatusInternalServerError)
	}
	w := httptest.NewRecorder()
	chain := web.Log(log, web.Watched{"/healthz"}, rand.Reader, func(*http.Request, int, time.Duration) {}, web.Recover(log, show, handler))
	chain.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w, out.String()
}

func TestTheAccessLogHoldsNoQuery(t *testing.T) {
	w, log := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if web.ID(r) == "" {
			t.Error("the request has no id")
		}
		if _, bounded := r.Context().Deadline(); !bounded {
			t.Error("the request may take for ever")
		}
		w.WriteHeader(http.StatusTeapot)
	}, "/signin?j=sealed-journey")
	if strings.Contains(log, "sealed-journey") {
		t.Errorf("the log holds the query: %s", log)
	}
	for _, part := range []string{"path=/signin", "status=418", "id=" + w.Header().Get("X-Request-Id")} {
		if !strings.Contains(log, part) {
			t.Errorf("the log has no %q: %s", part, log)
		}
	}
}

func TestGoodAnswersToWhoeverWatchesAreNotLogged(t *testing.T) {
	for status, logged := range map[int]bool{http.StatusOK: false, http.StatusServiceUnavailable: true} {
		_, log := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, "/healthz")
		if (log != "") != logged {
			t.Errorf("%d is logged as %q", status, log)
		}
	}
}

func TestAPanicBecomesAFaultPageAndTheLogHasTheStack(t *testing.T) {
	w, log := serve(t, func(http.ResponseWriter, *http.Request) { panic("spilt") }, "/")
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "spilt") {
		t.Errorf("answer %d %q", w.Code, w.Body)
	}
	if !strings.Contains(log, "spilt") || !strings.Contains(log, "web_test.go") || !strings.Contains(log, "status=500") {
		t.Errorf("log: %s", log)
	}
}

func TestAPanicInTheMiddleBreaksTheConnection(t *testing.T) {
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("half an answer was left looking whole")
		}
	}()
	serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half"))
		panic("spilt")
	}, "/")
}
