package db_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// cut is what a proxy does to the connection on which it sees a COMMIT.
type cut int

const (
	pass         cut = iota
	cutBefore        // the server never sees the COMMIT, and sees the connection end
	cutAfter         // the server executes the COMMIT, and nobody hears its answer
	cutHalf          // the server never sees the COMMIT, nor that its client has gone
	cutForGood       // as cutAfter, and the server cannot be reached again
	terminateNow     // the COMMIT passes after the test has been asked
)

// proxy stands between a test and PostgreSQL and breaks connections on demand.
type proxy struct {
	URL string

	server   string
	listener net.Listener
	all      sync.WaitGroup

	mu       sync.Mutex
	next     cut    // what happens to the next COMMIT; then pass again
	onCommit func() // for terminateNow
	dead     bool
	open     []net.Conn
	silenced map[net.Conn]cut // clients that hear no answer any more: they are cut when it comes
}

// commitMessage is a simple query (PostgreSQL documentation 55.7): 'Q', length, text, NUL.
var commitMessage = []byte("Q\x00\x00\x00\x0bCOMMIT\x00")

func startProxy(t *testing.T, address string) *proxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{server: u.Host, listener: listener, silenced: map[net.Conn]cut{}}
	u.Host = listener.Addr().String()
	p.URL = u.String()
	p.all.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.kill()
		p.all.Wait()
	})
	return p
}

func (p *proxy) set(next cut, onCommit func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.onCommit = next, onCommit
}

// kill breaks every connection and refuses more.
func (p *proxy) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	for _, conn := range p.open {
		_ = conn.Close()
	}
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.open = append(p.open, client, server)
		if p.dead {
			_, _ = client.Close(), server.Close()
		}
		p.mu.Unlock()
		p.all.Go(func() { p.up(client, server) })
		p.all.Go(func() {
			_, err := io.Copy(down{p, client}, server)
			_ = client.Close()
			if err == nil || !errors.Is(err, net.ErrClosed) {
				_ = server.Close()
			}
		})
	}
}

// down carries the server's answers to a client, unless it is silenced: then the answer shows that the server has done what it was told, and the client
// is cut off.
type down struct {
	p      *proxy
	client net.Conn
}

func (d down) Write(answer []byte) (int, error) {
	d.p.mu.Lock()
	how, silenced := d.p.silenced[d.client]
	d.p.mu.Unlock()
	switch {
	case !silenced:
		return d.client.Write(answer)
	case how == cutForGood:
		d.p.kill()
	}
	return 0, io.ErrClosedPipe
}

// up carries what the client sends. The client sends a COMMIT in one piece and waits for its answer, so it arrives in one piece here.
func (p *proxy) up(client, server net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			_ = server.Close()
			return
		}
		if bytes.HasSuffix(buffer[:n], commitMessage) && !p.commit(client, server, buffer[:n]) {
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			_ = client.Close()
			return
		}
	}
}

// commit does what has been set; true: the message is to be passed on as usual.
func (p *proxy) commit(client, server net.Conn, message []byte) bool {
	p.mu.Lock()
	next, onCommit := p.next, p.onCommit
	p.next = pass
	p.mu.Unlock()
	switch next {
	case cutBefore:
		_, _ = client.Close(), server.Close()
	case cutHalf:
		_ = client.Close() // and server stays open
	case cutAfter, cutForGood:
		p.mu.Lock()
		p.silenced[client] = next
		p.mu.Unlock()
		return true
	case terminateNow:
		onCommit()
		return true
	default:
		return true
	}
	return false
}
