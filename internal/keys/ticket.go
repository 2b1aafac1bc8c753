package keys

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// SealJSON returns v, sealed, as a text for an address, a cookie or a form.
// associated is bound to it and must be the same when it is opened.
func SealJSON(s *Sealer, associated []byte, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding %T: %w", v, err)
	}
	sealed, err := s.Seal(plain, associated)
	if err != nil {
		return "", fmt.Errorf("sealing %T: %w", v, err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// OpenJSON returns what SealJSON sealed. Any error means that the text is not
// one of ours; whether it is still good is for the caller to ask.
func OpenJSON[V any](s *Sealer, associated []byte, text string) (V, error) {
	var v, none V
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return none, fmt.Errorf("decoding %T: %w", none, err)
	}
	plain, err := s.Open(sealed, associated)
	if err != nil {
		return none, fmt.Errorf("opening %T: %w", none, err)
	}
	if err := json.Unmarshal(plain, &v); err != nil {
		return none, fmt.Errorf("reading %T: %w", none, err)
	}
	return v, nil
}
