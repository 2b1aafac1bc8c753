package argon

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Cost is what one hash costs. OWASP's password storage guidance and the
// design give 19 MiB, two passes, one lane.
type Cost struct {
	MemoryKiB uint32
	Time      uint32
	Threads   uint8
}

// DefaultCost is used where a Cost is zero.
var DefaultCost = Cost{MemoryKiB: 19456, Time: 2, Threads: 1}

const (
	version  = 19 // argon2 1.3, the only one in x/crypto
	saltSize = 16 // 128 bits; N15 asks for 32 at least
	sumSize  = 32

	// A row that asks for more than this was not written by Carekey: refuse it
	// instead of letting it eat the memory of the node.
	maxMemoryKiB = 1 << 20
	maxTime      = 64
	maxThreads   = 16
	maxBytes     = 64
)

// Hash is a stored hash in the PHC string format:
//
//	$argon2id$v=19$m=19456,t=2,p=1,keyid=5f0c1a9e$salt$sum
//
// Scheme, cost, salt and the name of the pepper's root stand beside the sum
// (N15), so that each can change while old hashes still verify.
type Hash struct {
	Cost  Cost
	KeyID string
	Salt  []byte
	// Sum is empty where several secrets share the rest and are stored apart.
	Sum []byte
}

var errPHC = errors.New("not an argon2id hash in PHC format")

var b64 = base64.RawStdEncoding.Strict()

// String returns the PHC form.
func (h Hash) String() string {
	s := fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d,keyid=%s$%s",
		version, h.Cost.MemoryKiB, h.Cost.Time, h.Cost.Threads, h.KeyID, b64.EncodeToString(h.Salt))
	if len(h.Sum) > 0 {
		s += "$" + b64.EncodeToString(h.Sum)
	}
	return s
}

// Parse reads the PHC form. It accepts only what String writes.
func Parse(s string) (Hash, error) {
	var h Hash
	fields := strings.Split(s, "$")
	if len(fields) < 5 || len(fields) > 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != "v=19" {
		return Hash{}, errPHC
	}
	if err := h.parameters(fields[3]); err != nil {
		return Hash{}, err
	}
	var err error
	if h.Salt, err = b64.DecodeString(fields[4]); err != nil || len(h.Salt) < 4 || len(h.Salt) > maxBytes {
		return Hash{}, fmt.Errorf("%w: its salt", errPHC)
	}
	if len(fields) == 6 {
		if h.Sum, err = b64.DecodeString(fields[5]); err != nil || len(h.Sum) < 16 || len(h.Sum) > maxBytes {
			return Hash{}, fmt.Errorf("%w: its sum", errPHC)
		}
	}
	if h.String() != s {
		return Hash{}, fmt.Errorf("%w: not its canonical form", errPHC)
	}
	return h, nil
}

func (h *Hash) parameters(s string) error {
	values := strings.Split(s, ",")
	if len(values) != 4 {
		return fmt.Errorf("%w: its parameters", errPHC)
	}
	for i, name := range []string{"m=", "t=", "p="} {
		text, named := strings.CutPrefix(values[i], name)
		n, err := strconv.ParseUint(text, 10, 32)
		limit := []uint64{maxMemoryKiB, maxTime, maxThreads}[i]
		if !named || err != nil || n == 0 || n > limit {
			return fmt.Errorf("%w: its parameter %s", errPHC, name)
		}
		switch i {
		case 0:
			h.Cost.MemoryKiB = uint32(n)
		case 1:
			h.Cost.Time = uint32(n)
		default:
			h.Cost.Threads = uint8(n)
		}
	}
	id, named := strings.CutPrefix(values[3], "keyid=")
	if !named || id == "" || len(id) > maxBytes {
		return fmt.Errorf("%w: its key id", errPHC)
	}
	h.KeyID = id
	return nil
}
