package fetch

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var loopback = prefixes("127.0.0.0/8", "::1/128")

func TestPublicAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "185.199.108.1": true, "2606:4700::1111": true, "2a00:1450::1": true,

		"127.0.0.1": false, "127.9.9.9": false, "::1": false,
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false,
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false,
		"fd00:ec2::254": false, "fc00::1": false, "fec0::1": false,
		"100.64.0.1": false, "100.100.100.200": false, "100.127.255.255": false, "100.128.0.1": true,
		"168.63.129.16": false, "192.0.0.192": false,
		"0.0.0.0": false, "0.1.2.3": false, "::": false,
		"224.0.0.1": false, "239.255.255.250": false, "ff02::1": false, "255.255.255.255": false, "240.0.0.1": false,
		"192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "198.18.0.1": false, "198.20.0.1": true,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:8.8.8.8": true,
		"::10.0.0.1": false, "64:ff9b::a00:1": false, "64:ff9b:1::1": false, "2002:a00:1::": false,
		"2001:0:1::1": false, "2001:db8::1": false, "100::1": false, "3fff::1": false, "5f00::1": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("public(%s) = %v, want %v", text, got, want)
		}
	}
}

// TestConnectsOnlyWhereAllowed talks to real servers on the loopback address.
func TestConnectsOnlyWhereAllowed(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(hello))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(hello))
	defer secure.Close()
	port := func(server *httptest.Server) string {
		return server.URL[strings.LastIndexByte(server.URL, ':'):]
	}
	for _, c := range []struct {
		name, url string
		allow     []netip.Prefix
		want      error
	}{
		{"plain http in a named network", plain.URL, loopback, nil},
		{"https in a named network", secure.URL, loopback, nil},
		{"plain http", plain.URL, nil, ErrScheme},
		{"https to loopback", secure.URL, nil, ErrAddress},
		{"another network is named", secure.URL, prefixes("10.0.0.0/8"), ErrAddress},
		{"a name that resolves to loopback", "https://localhost" + port(secure), nil, ErrAddress},
		{"IPv4 written as IPv6", "https://[::ffff:127.0.0.1]" + port(secure), nil, ErrAddress},
		{"IPv4 written as IPv6 in a named network", "http://[::ffff:127.0.0.1]" + port(plain), loopback, nil},
		{"unspecified, which connects to loopback", "https://0.0.0.0" + port(secure), nil, ErrAddress},
		{"decimal notation", "https://2130706433" + port(secure), nil, errAny},
		{"file", "file:///etc/passwd", loopback, ErrScheme},
		{"a password in the URL", strings.Replace(plain.URL, "//", "//user:pass@", 1), loopback, ErrAddress},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := New(Options{Allow: c.allow, TLS: trust(secure)})
			answer, err := client.Get(c.url)
			if err == nil {
				answer.Body.Close()
			}
			switch {
			case c.want == nil && err != nil:
				t.Fatalf("refused: %v", err)
			case c.want == errAny && err == nil, c.want != nil && c.want != errAny && !errors.Is(err, c.want):
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestErrorDoesNotNameTheInnerAddress(t *testing.T) {
	_, err := New(Options{}).Get("https://localhost:1/")
	if err == nil || strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "::1") {
		t.Fatalf("the error says where the name leads: %v", err)
	}
}

func TestRedirects(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(hello))
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/here", hello)
	mux.Handle("/near", http.RedirectHandler("/here", http.StatusFound))
	mux.Handle("/far", http.RedirectHandler(other.URL, http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	mux.Handle("/file", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	server := httptest.NewServer(mux)
	defer server.Close()
	client := New(Options{Allow: loopback})
	for path, want := range map[string]error{"/here": nil, "/near": nil, "/far": ErrRedirect, "/round": ErrRedirect, "/file": ErrRedirect} {
		answer, err := client.Get(server.URL + path)
		if err == nil {
			answer.Body.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
	}
}

func TestAnswerIsBounded(t *testing.T) {
	const limit = 1000
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := limit
		if strings.HasPrefix(r.URL.Path, "/large") {
			size++
		}
		if strings.HasSuffix(r.URL.Path, "/streamed") {
			w.(http.Flusher).Flush() // so that no Content-Length is sent
		}
		w.Write(bytes.Repeat([]byte("x"), size))
	}))
	defer server.Close()
	client := New(Options{Allow: loopback, MaxBody: limit})
	for path, want := range map[string]error{
		"/right": nil, "/right/streamed": nil, "/large": ErrTooLarge, "/large/streamed": ErrTooLarge,
	} {
		answer, err := client.Get(server.URL + path)
		if err == nil {
			var text []byte
			text, err = io.ReadAll(answer.Body)
			answer.Body.Close()
			if len(text) > limit {
				t.Errorf("%s: read %d bytes", path, len(text))
			}
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
	}
}

func TestSlowAnswerEnds(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done() // until the client gives up
	}))
	defer server.Close()
	answer, err := New(Options{Allow: loopback, Timeout: 50 * time.Millisecond}).Get(server.URL)
	if err == nil {
		_, err = io.ReadAll(answer.Body)
		answer.Body.Close()
	}
	if err == nil {
		t.Fatal("an answer without an end was read")
	}
}

func TestEnvironmentProxyIsNotUsed(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Error("the proxy of the environment was used")
	}))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	if transport(Options{}, public).Proxy != nil {
		t.Fatal("the transport has a proxy")
	}
	if _, err := New(Options{Allow: loopback}).Get("http://carekey.invalid/"); err == nil {
		t.Fatal("a name that does not exist answered")
	}
}

func TestConnectionsAreNotKept(t *testing.T) {
	seen := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen[r.RemoteAddr] {
			t.Error("a connection was used twice")
		}
		seen[r.RemoteAddr] = true
	}))
	defer server.Close()
	client := New(Options{Allow: loopback})
	for range 3 {
		answer, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
}

var errAny = errors.New("any error")

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

func trust(server *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &tls.Config{RootCAs: roots, ServerName: "example.com"}
}
