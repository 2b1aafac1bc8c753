package keys

import (
	"errors"
	"strings"
	"testing"
)

func TestSealedValueOpensForItsPurposeAndPlaceOnly(t *testing.T) {
	type ticket struct{ UID string }
	ring := NewRing(Root{1})
	text, err := SealJSON(ring.Sealer("tickets"), []byte("here"), ticket{"555000100101"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(text, "+/=&?;, ") {
		t.Errorf("%q cannot stand in an address and a cookie as it is", text)
	}
	if got, err := OpenJSON[ticket](ring.Sealer("tickets"), []byte("here"), text); err != nil || got.UID != "555000100101" {
		t.Errorf("opens as %+v, %v", got, err)
	}
	for name, open := range map[string]func() (ticket, error){
		"another place":   func() (ticket, error) { return OpenJSON[ticket](ring.Sealer("tickets"), []byte("there"), text) },
		"another purpose": func() (ticket, error) { return OpenJSON[ticket](ring.Sealer("codes"), []byte("here"), text) },
		"another root": func() (ticket, error) {
			return OpenJSON[ticket](NewRing(Root{2}).Sealer("tickets"), []byte("here"), text)
		},
	} {
		if got, err := open(); !errors.Is(err, ErrSealed) || got != (ticket{}) {
			t.Errorf("%s: %+v, %v; want ErrSealed", name, got, err)
		}
	}
	for _, wrong := range []string{"", "%", text + "A", text[1:]} {
		if got, err := OpenJSON[ticket](ring.Sealer("tickets"), []byte("here"), wrong); err == nil || got != (ticket{}) {
			t.Errorf("%q opens as %+v", wrong, got)
		}
	}
	if _, err := OpenJSON[[]string](ring.Sealer("tickets"), []byte("here"), text); err == nil {
		t.Error("opens as something else than was sealed")
	}
}
