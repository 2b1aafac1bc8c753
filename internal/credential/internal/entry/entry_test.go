package entry

import (
	"strings"
	"testing"
)

func TestDigitsAsTiredPeopleTypeThem(t *testing.T) {
	for typed, want := range map[string]string{
		"711725": "711725", "711 725": "711725", " 711725 \r\n": "711725", "711-725": "711725", "7 1 1 7 2 5": "711725",
		"711–725": "711725", "711\u202f725": "711725", "７１１７２５": "711725", "711\u200b725": "711725", "711−725": "711725",
		"": "", "71172": "", "7117255": "", "71172S": "", "seven": "", "711.725": "", "711725!": "", "٧١١٧٢٥": "",
		strings.Repeat(" ", 200) + "711725": "", "711725\x00": "", "711725\xff": "",
	} {
		got, ok := Digits(typed, 6)
		if got != want || ok != (want != "") {
			t.Errorf("Digits(%q) = %q, %v; want %q", typed, got, ok, want)
		}
	}
}

func TestBase32AsTiredPeopleTypeIt(t *testing.T) {
	for typed, want := range map[string]string{
		"7K3M-Q9TX-2WB4N": "7K3MQ9TX2WB4N", "7k3m q9tx 2wb4n": "7K3MQ9TX2WB4N", "7k3mq9tx2wb4n": "7K3MQ9TX2WB4N",
		"OOOO-IIII-lllll": "0000111111111", "７Ｋ３ＭＱ９ＴＸ２ＷＢ４Ｎ": "7K3MQ9TX2WB4N",
		"7K3M-Q9TX-2WB4": "", "7K3M-Q9TX-2WB4NN": "", "7K3M-Q9TX-2WB4U": "", "7K3M-Q9TX-2WB4É": "", "": "",
	} {
		got, ok := Base32(typed, 13)
		if got != want || ok != (want != "") {
			t.Errorf("Base32(%q) = %q, %v; want %q", typed, got, ok, want)
		}
	}
}

func FuzzEntry(f *testing.F) {
	f.Add("711 725")
	f.Add("7K3M-Q9TX-2WB4N")
	f.Add("７１１−７２５\u200f")
	f.Fuzz(func(t *testing.T, typed string) {
		if code, ok := Digits(typed, 6); ok && (len(code) != 6 || strings.Trim(code, "0123456789") != "") {
			t.Errorf("Digits(%q) = %q", typed, code)
		}
		code, ok := Base32(typed, 13)
		if ok && (len(code) != 13 || strings.Trim(code, Crockford) != "") {
			t.Errorf("Base32(%q) = %q", typed, code)
		}
		if again, _ := Base32(code, 13); ok && again != code {
			t.Errorf("Base32 is not stable: %q, then %q", code, again)
		}
	})
}
