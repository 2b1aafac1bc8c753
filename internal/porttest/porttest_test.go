package porttest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// childVariable makes this test program be another one that reserves a port.
const childVariable = "CAREKEY_TEST_RESERVES"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		port, err := Reserve(1)
		fmt.Println(port, err)
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test has looked
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestAPortIsGivenOnceAndCanBeListenedOn(t *testing.T) {
	seen := map[int]bool{}
	for range 100 {
		first := Ports(t, 3)
		for port := first; port < first+3; port++ {
			if seen[port] {
				t.Fatalf("port %d was given twice", port)
			}
			seen[port] = true
			l, err := net.Listen("tcp", Address(port))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
		}
	}
}

func TestAPortOfAnotherProcessIsNotGiven(t *testing.T) {
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), childVariable+"=1")
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscan(line, &port); err != nil {
		t.Fatalf("it said %q", line)
	}
	Port(t) // opens the file
	held.Lock()
	taken := reserve(port)
	held.Unlock()
	if taken {
		t.Errorf("port %d is the other's, and was given", port)
	}
	in.Close()
	if err := other.Wait(); err != nil {
		t.Error(err)
	}
	held.Lock()
	defer held.Unlock()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: int64(port), Len: 1}
	if err := syscall.FcntlFlock(held.file.Fd(), syscall.F_SETLK, &lock); err != nil {
		t.Errorf("it has ended, and its port is still held: %v", err)
	}
}
