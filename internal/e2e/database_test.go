package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"carekey.dev/carekey/internal/page/pagetest"
)

// inTime is how long somebody may wait for the page that says that the database
// is busy: its deadline (ten seconds), and what a slow machine needs.
const inTime = 30 * time.Second

// lock keeps the database from being written, as a backup tool or an
// operator's forgotten transaction does, until the returned function is called.
func (s *station) lock() (unlock func()) {
	s.t.Helper()
	conn, err := s.sql().Conn(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	statements := []string{"BEGIN IMMEDIATE"}
	if !strings.HasPrefix(s.database, "sqlite:") {
		statements = []string{"BEGIN", "LOCK TABLE throttle, session IN EXCLUSIVE MODE"}
	}
	for _, statement := range statements {
		if _, err := conn.ExecContext(s.t.Context(), statement); err != nil {
			s.t.Fatal(err)
		}
	}
	return func() {
		if _, err := conn.ExecContext(context.WithoutCancel(s.t.Context()), "ROLLBACK"); err != nil {
			s.t.Error(err)
		}
		if err := conn.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

// kept is what the tables that a sign-in writes to hold.
func kept(t *testing.T, pool *sql.DB) string {
	t.Helper()
	var all strings.Builder
	for _, query := range []string{
		`SELECT count(*), coalesce(sum(failures), 0), coalesce(sum(refused), 0), coalesce(sum(blocked_until), 0) FROM throttle`,
		`SELECT count(*), coalesce(sum(last_step), 0), 0, 0 FROM app_credential`,
		`SELECT count(*), coalesce(sum(last_seen), 0), coalesce(sum(ended_at), 0), 0 FROM session`,
		`SELECT count(*), 0, 0, 0 FROM audit_entry`,
		`SELECT count(*), 0, 0, 0 FROM outbox`,
	} {
		var a, b, c, d int64
		if err := pool.QueryRowContext(t.Context(), query).Scan(&a, &b, &c, &d); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		fmt.Fprintln(&all, a, b, c, d)
	}
	return all.String()
}

// TestALockedDatabaseIsAPageAndNothingIsHalfWritten: what was to be written is
// not, what only reads goes on, and afterwards the same form works.
func TestALockedDatabaseIsAPageAndNothingIsHalfWritten(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *station) {
		workers := s.populate(2)
		reading, trying := s.signedIn(workers[0]), s.visit()
		s.toPassword(trying, "/cim/", workers[1])
		pool := s.sql()
		// A minute ago, so that this person's next page is to record that they
		// are active.
		if _, err := pool.Exec(`UPDATE session SET last_seen = last_seen - 120000000`); err != nil {
			t.Fatal(err)
		}
		before := kept(t, pool)

		unlock := s.lock()
		var both sync.WaitGroup
		both.Go(func() {
			began := time.Now()
			reading.Get("/cim/profile")
			if took := time.Since(began); reading.Status != http.StatusOK || took > 8*time.Second { // less than the deadline
				t.Errorf("somebody who only reads waits %s for %d", took, reading.Status)
			}
		})
		began := time.Now()
		target, form := trying.Form("")
		trying.Submit("", url.Values{"password": {workers[1].password}})
		took := time.Since(began)
		both.Wait()
		if took > inTime || trying.Header.Get("Retry-After") == "" {
			t.Errorf("the answer took %s; Retry-After %q", took, trying.Header.Get("Retry-After"))
		}
		sees(t, trying, http.StatusServiceUnavailable, "The service is very busy", "Nothing was changed.", "Reference")
		pagetest.Check(t, trying.Page)
		ref := reference(t, trying)
		unlock()

		// The reader's activity is written now, or not: that is no part of it.
		ended := strings.Split(kept(t, pool), "\n")
		for i, line := range strings.Split(before, "\n") {
			if i != 2 && ended[i] != line {
				t.Errorf("table %d held %s and holds %s", i, line, ended[i])
			}
		}
		form.Set("password", workers[1].password)
		trying.Post(strings.TrimPrefix(target, s.url), form)
		sees(t, trying, http.StatusOK, "Check your authenticator app")
		trying.Submit("", url.Values{"code": {s.phones.code(t, workers[1].secret)}})
		sees(t, trying, http.StatusOK, "View your profile")
		eventually(t, "explain knows of it", func() bool {
			said, err := s.command("explain", ref)
			return err == nil && strings.Contains(said, "POST /signin/password\n")
		})
	})
}

// small starts the server in a mount namespace of its own, in which the data
// folder is a file system of 4 MiB that holds a copy of what was there. It
// returns the folder as it can be reached from here. The file system ends with
// the server.
func (s *station) small() (folder string) {
	s.t.Helper()
	data, mount := filepath.Join(s.dir, "var"), filepath.Join(s.dir, "small")
	if err := os.Mkdir(mount, 0o700); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-ec", `mount -t tmpfs -o size=4m,mode=0700 tmpfs "$1"; cp "$2"/carekey.db* "$1"; mount --bind "$1" "$2"; shift 2; exec "$@"`,
		"sh", mount, data, filepath.Join(programs, "carekey"), "serve", "--config", s.config)
	cmd.Env = os.Environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 { // who is not root can be it in a user namespace
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	s.prog = launchAs(s.t, cmd)
	s.ready(s.prog, s.port)
	return filepath.Join("/proc", fmt.Sprint(cmd.Process.Pid), "root", data)
}

// fill takes what room there is left in a folder, and returns a function that
// gives it back.
func fill(t *testing.T, folder string) (free func()) {
	t.Helper()
	path := filepath.Join(folder, "ballast")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := make([]byte, 4096)
	for size := 0; err == nil; size += len(block) {
		if size > 8<<20 {
			t.Fatal("the small disk has no end: it was not mounted")
		}
		_, err = file.Write(block)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// copied opens a copy of the database of a running server.
func (s *station) copied(folder, name string) *sql.DB {
	s.t.Helper()
	to := filepath.Join(s.dir, name)
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(filepath.Join(folder, "carekey.db"+suffix))
		if err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, text, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	pool, err := sql.Open("sqlite", "file:"+to)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { pool.Close() })
	return pool
}

// TestAFullDiskIsAPageAndNobodyElseIsHarmed: a real file system without room.
func TestAFullDiskIsAPageAndNobodyElseIsHarmed(t *testing.T) {
	t.Parallel()
	s := newStation(t, "")
	s.start()
	workers := s.populate(4)
	s.prog.stop()
	folder := s.small()
	reading := s.signedIn(workers[0])
	var trying []*pagetest.Browser
	for _, w := range workers[1:] {
		b := s.visit()
		s.toPassword(b, "/cim/", w)
		trying = append(trying, b)
	}
	before := kept(t, s.copied(folder, "before.db"))

	free := fill(t, folder)
	var all sync.WaitGroup
	for _, b := range trying { // together, so that they share a commit
		target, form := b.Form("")
		form.Set("password", chosen)
		all.Go(func() { b.Post(strings.TrimPrefix(target, s.url), form) })
	}
	all.Wait()
	for _, b := range trying {
		sees(t, b, http.StatusServiceUnavailable, "The service cannot save anything at the moment", "Nothing was changed.", "Reference")
		pagetest.Check(t, b.Page)
		if !strings.Contains(reference(t, b), "102-") || b.Header.Get("Retry-After") == "" {
			t.Errorf("reference %s, Retry-After %q", reference(t, b), b.Header.Get("Retry-After"))
		}
	}
	// Who only reads is not harmed.
	reading.Get("/cim/profile")
	sees(t, reading, http.StatusOK, workers[0].email)
	fresh := s.visit()
	fresh.Get("/cim/")
	sees(t, fresh, http.StatusOK, "Select your login method")
	if after := kept(t, s.copied(folder, "after.db")); after != before {
		t.Errorf("something was half-written:\n%s\nwas\n%s", after, before)
	}

	free()
	for i, b := range trying {
		b.Get("/cim/")
		s.signIn(b, "/cim/", workers[i+1])
		sees(t, b, http.StatusOK, "View your profile")
	}
	var whole string
	if err := s.copied(folder, "end.db").QueryRow(`PRAGMA integrity_check`).Scan(&whole); err != nil || whole != "ok" {
		t.Errorf("the database is %q: %v", whole, err)
	}
}

// TestAKilledServerHasKeptWhatItTold: sessions that people were told of exist
// after a power cut in the middle of sign-ins, and nobody is locked out by it.
func TestAKilledServerHasKeptWhatItTold(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *station) {
		workers := s.populate(6)
		var clients []*http.Client
		var targets []string
		var forms []url.Values
		for _, w := range workers {
			client := s.client(s.port)
			b := pagetest.Visit(t, s.url, client)
			s.toCode(b, "/cim/", w)
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			target, form := b.Form("")
			form.Set("code", s.phones.code(t, w.secret))
			clients, targets, forms = append(clients, client), append(targets, target), append(forms, form)
		}
		told := make(chan int, len(workers))
		var all sync.WaitGroup
		for i, client := range clients {
			all.Go(func() {
				response, err := client.PostForm(targets[i], forms[i])
				if err != nil {
					return // cut off: this person was told nothing
				}
				response.Body.Close()
				if response.StatusCode == http.StatusSeeOther && strings.HasPrefix(response.Header.Get("Location"), "/cim/") {
					told <- i
				}
			})
		}
		first := <-told
		s.prog.kill()
		all.Wait()
		close(told)
		kept := []int{first}
		for i := range told {
			kept = append(kept, i)
		}
		s.start()
		for _, i := range kept {
			b := pagetest.Visit(t, s.url, clients[i])
			clients[i].CloseIdleConnections()
			b.Get("/cim/")
			clients[i].CheckRedirect = nil
			sees(t, b, http.StatusOK, "View your profile")
		}
		// Who was told nothing is not locked out.
		for i, w := range workers {
			if !slices.Contains(kept, i) {
				s.toCode(s.visit(), "/cim/", w)
			}
		}
	})
}
