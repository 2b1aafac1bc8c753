package hsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// Bounds of a connection. Requests are small and come from this machine.
const (
	headerWithin = 5 * time.Second
	readWithin   = 10 * time.Second
	leaveWithin  = 15 * time.Second
)

// Listen makes the socket. group may connect besides the owner; -1 is nobody.
// Who may do what is for the rules to say: the file's mode only keeps strangers
// from knocking. A socket that a crash left is replaced; one that somebody
// listens on is not.
func Listen(socket string, group int) (net.Listener, error) {
	if info, err := os.Lstat(socket); err == nil && info.Mode()&os.ModeSocket != 0 {
		if conn, err := net.DialTimeout("unix", socket, time.Second); err == nil {
			return nil, errors.Join(fmt.Errorf("another program listens on %s: stop it, or choose another socket", socket), conn.Close())
		}
		if err := os.Remove(socket); err != nil {
			return nil, fmt.Errorf("removing the old socket: %w", err)
		}
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", socket, err)
	}
	err = os.Chmod(socket, 0o600)
	if err == nil && group >= 0 {
		if err = os.Chown(socket, -1, group); err == nil {
			err = os.Chmod(socket, 0o660)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("letting the group connect to %s: %w", socket, err), l.Close())
	}
	return l, nil
}

// Serve answers on the socket until ctx ends or broken receives.
func (s *Service) Serve(ctx context.Context, l net.Listener, broken <-chan error) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: headerWithin, ReadTimeout: readWithin, WriteTimeout: makeWithin, IdleTimeout: 2 * idleFor,
		ConnContext: s.callerOf, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	serving := make(chan error, 1)
	go func() { serving <- server.Serve(l) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-broken:
	case err = <-serving:
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	return errors.Join(err, server.Shutdown(leaving))
}

// callerOf asks the kernel who is at the other end. A connection whose caller
// is not known is answered with a refusal.
func (s *Service) callerOf(ctx context.Context, conn net.Conn) context.Context {
	caller, err := peer(conn)
	if err != nil {
		s.Log.Warn("it is not known who connected", "err", err)
		return ctx
	}
	return withCaller(ctx, caller)
}

func peer(conn net.Conn) (Caller, error) {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return Caller{}, fmt.Errorf("a %T has no credentials", conn)
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return Caller{}, err
	}
	var credentials *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		credentials, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return Caller{}, fmt.Errorf("asking the kernel who connected: %w", err)
	}
	return Caller{UID: credentials.Uid, PID: credentials.Pid}, nil
}
