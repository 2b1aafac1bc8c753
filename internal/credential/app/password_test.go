package app

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
)

func rules() *App { return &App{o: Options{Issuer: Issuer}, common: newCommon(nil)} }

func kind(err error) *fault.Kind {
	if err == nil {
		return nil
	}
	return fault.As(err).Kind
}

// N12, N13; ASVS 6.2.1, 6.2.5, 6.2.9: length alone, the block-list, and the reason.
func TestNewPasswordIsRefusedWithItsReason(t *testing.T) {
	for _, c := range []struct {
		password string
		want     *fault.Kind
	}{
		{"", fault.PasswordMissing},
		{"tR7#kQ2", fault.PasswordTooShort},
		{"tR7#kQ2!", nil},
		{"ünïcödé", fault.PasswordTooShort},
		{"ünïcödé♥", nil},
		{"u\u0308n\u0308i\u0308c\u0308", fault.PasswordTooShort}, // ten code points typed, five after NFC
		{"otter otter gravel", nil},
		{strings.Repeat("tide ", 25) + "abc", nil}, // 128
		{strings.Repeat("tide ", 25) + "abcd", fault.PasswordTooLong},
		{strings.Repeat("tide ", 1000), fault.PasswordTooLong},
		{"password1", fault.PasswordCommon},
		{"tab\tin between", fault.PasswordUnusable},
		{"not utf-8 \xff\xfe", fault.PasswordUnusable},
		{"amara.osei@northgate.example.nhs.uk", fault.PasswordPersonal},
		{"amara.osei", fault.PasswordPersonal},
		{"AmaraOsei1984!", fault.PasswordPersonal},
		{"osei amara", fault.PasswordPersonal},
		{"OSEI2024", fault.PasswordPersonal},
		{"careidentityauthentication", fault.PasswordPersonal},
		{"Amara likes otters", nil},
	} {
		err := rules().CheckPassword(c.password, c.password, "amara.osei@northgate.example.nhs.uk", "Dr Amara OSEI")
		if kind(err) != c.want {
			t.Errorf("%.40q: got %v", c.password, err)
		}
	}
}

func TestConfirmationHasToBeTheSame(t *testing.T) {
	err := rules().CheckPassword("harbour lamp 42", "harbour lamp 43", "a@example.nhs.uk", "")
	if kind(err) != fault.PasswordsDiffer {
		t.Errorf("got %v", err)
	}
}

// N12: all printing ASCII, the space and Unicode are accepted, 64 and more.
func TestEveryPrintableCharacterCanBeInAPassword(t *testing.T) {
	for c := ' '; c <= '~'; c++ {
		if err := rules().CheckPassword("gravel"+string(c)+"kq♥z", "gravel"+string(c)+"kq♥z", "", ""); err != nil {
			t.Errorf("%q: %v", c, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		core := rapid.StringOfN(rapid.RuneFrom([]rune("abcdefghijäöüßéñçøåλπжъя漢字かな한글ابجदख £€♥☂😀🚑")), 57, 64, -1).Draw(t, "password")
		password := "zq" + core + "qz"
		if err := rules().CheckPassword(password, password, "", ""); err != nil && kind(err) != fault.PasswordUnusable {
			t.Errorf("%q: %v", password, err)
		}
	})
}

// N12: the same keys on two devices make the same password, and nothing is cut
// off or folded.
func TestPreparedPasswordIsStableAndWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.StringOf(rapid.RuneFrom([]rune("abcXYZ 0189éöü\u0301\u0308ñ漢")).Filter(func(r rune) bool { return r != 0 })).Draw(t, "password")
		prepared, ok := prepare(password)
		if !ok {
			return
		}
		for _, form := range []norm.Form{norm.NFC, norm.NFD} {
			if other, ok := prepare(form.String(password)); !ok || other != prepared {
				t.Errorf("%q and its %v differ: %q, %q", password, form, prepared, other)
			}
		}
		if n := utf8.RuneCountInString(norm.NFC.String(password)); utf8.RuneCountInString(prepared) != n {
			t.Errorf("%q became %q", password, prepared)
		}
	})
}

func TestPersonalNeedsTheWholePassword(t *testing.T) {
	for password, want := range map[string]bool{
		"Osei1999": true, "o.s.e.i.99": true, "oseiosei": true, "oseis boat": false, "1234567!": false, "Ng Ng Ng 7": false,
	} {
		if got := personal(password, care.Email("x@example.nhs.uk"), "Ng Amara Osei", Issuer); got != want {
			t.Errorf("%q: %v", password, got)
		}
	}
}
