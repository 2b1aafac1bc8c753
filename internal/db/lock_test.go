package db_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

// childVariable makes this test program be another process: its value is the data folder.
const childVariable = "CAREKEY_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child locks the data folder and writes until it is killed, printing the number of each write that was acknowledged.
func child(dir string) error {
	lock, err := db.Lock(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	d, err := db.Open(context.Background(), db.Config{URL: "sqlite:" + filepath.Join(dir, "carekey.db")})
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		if err := d.Write(context.Background(), increment("a")); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func startChild(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewScanner(out)
}

func TestDataFolderIsForOneServer(t *testing.T) {
	dir := t.TempDir()
	first, err := db.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Lock(dir)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d)", os.Getpid())) || strings.Contains(err.Error(), "\n") {
		t.Errorf("a second Lock returned %v, want one line that names process %d", err, os.Getpid())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := db.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if _, err := db.Lock(filepath.Join(dir, "missing")); err == nil {
		t.Error("a folder that is not there was locked")
	}
}

func TestKilledServerKeepsWhatItAcknowledgedAndFreesItsFolder(t *testing.T) {
	path := strings.TrimPrefix(dbtest.SQLite(t, tables...), "sqlite:")
	dir := filepath.Dir(path)
	for range 3 {
		before := func() int {
			d, err := db.Open(t.Context(), db.Config{URL: "sqlite:" + path})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			return count(t, d, "a")
		}
		had := before()
		cmd, acknowledged := startChild(t, dir)
		n := 0
		for n < 20 && acknowledged.Scan() {
			n++
		}
		if _, err := db.Lock(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d)", cmd.Process.Pid)) {
			t.Errorf("Lock beside a running server returned %v, want one that names process %d", err, cmd.Process.Pid)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for acknowledged.Scan() { // what it printed before it was killed
			n++
		}
		_ = cmd.Wait()
		if got := before() - had; got < n || got > n+1 {
			t.Errorf("%d writes were acknowledged and %d are there", n, got)
		}
		lock, err := db.Lock(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDatabaseFileIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder ?#%", "carekey.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	d := dbtest.OpenWith(t, db.Config{}, "sqlite:"+path)
	migrate(t, d, tables...)
	write(t, d, increment("a"))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("carekey.db%s has mode %o, want 600", suffix, mode)
		}
	}
}

// TestAClosedDatabaseIsOneFile: whoever copies the file after a clean stop has it all.
func TestAClosedDatabaseIsOneFile(t *testing.T) {
	address := dbtest.SQLite(t, tables...)
	d, err := db.Open(t.Context(), db.Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	write(t, d, func(tx *db.Tx) error { return add(tx, "a", 1) })
	if n := count(t, d, "a"); n != 1 {
		t.Fatalf("the counter is %d", n)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(strings.TrimPrefix(address, "sqlite:") + suffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left behind: %v", suffix, err)
		}
	}
}
