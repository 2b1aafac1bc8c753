// Package porttest gives tests TCP ports for programs that are told their port
// before they listen, so that no other program takes it in between.
//
// Who comes in: tests, and what starts servers for them. What leaves: numbers of
// ports on this machine. It never keeps a port from one that asks for it by its
// number without asking here.
package porttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// Operating systems give ports from 32768 or 49152 on to whoever asks for any
// (RFC 6335 section 6), be it for a connection. A port that was looked up there
// and is free may be somebody's a moment later; a lower one is not.
const (
	lowest  = 10000
	highest = 32000
)

// held are the ports of this process. Other processes see them as locked bytes
// of a file, which the operating system frees when the process ends.
var held struct {
	sync.Mutex
	file  *os.File
	ports map[int]bool
}

// Reserve returns the first of n neighbouring ports that are free and stay so,
// until this process ends.
func Reserve(n int) (int, error) {
	held.Lock()
	defer held.Unlock()
	if held.file == nil {
		path := filepath.Join(os.TempDir(), "carekey-test-ports-"+strconv.Itoa(os.Getuid()))
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return 0, fmt.Errorf("reserving ports: %w", err)
		}
		held.file, held.ports = file, map[int]bool{}
	}
	for range 1000 {
		first := lowest + rand.IntN(highest-lowest-n)
		got := 0
		for got < n && reserve(first+got) {
			got++
		}
		if got == n {
			return first, nil
		}
	}
	return 0, errors.New("reserving ports: none are free")
}

// reserve takes one port, if it is free.
func reserve(port int) bool {
	if held.ports[port] {
		return false
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: int64(port), Len: 1}
	if err := syscall.FcntlFlock(held.file.Fd(), syscall.F_SETLK, &lock); err != nil {
		return false // another process has it
	}
	held.ports[port] = true // also if it is in use: nobody need look again
	l, err := net.Listen("tcp", Address(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Address is the port on this machine.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Port returns a port that is the test's.
func Port(t testing.TB) int {
	t.Helper()
	return Ports(t, 1)
}

// Ports returns the first of n neighbouring ports that are the test's.
func Ports(t testing.TB, n int) int {
	t.Helper()
	first, err := Reserve(n)
	if err != nil {
		t.Fatal(err)
	}
	return first
}
