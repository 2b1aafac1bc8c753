package app

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ASVS 6.2.4: at least the 3,000 most common choices that satisfy the rules.
func TestBlockListHoldsFarMoreThan3000Passwords(t *testing.T) {
	c := newCommon(nil)
	refused := map[string]bool{}
	for line := range strings.Lines(wordFile) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for word := range strings.FieldsSeq(line) {
			for _, ending := range []string{"", "1", "12", "123", "1234", "2024", "2025", "!", "1!", "007", "01", "69", "99"} {
				for _, password := range []string{word + ending, strings.ToUpper(word[:1]) + word[1:] + ending} {
					if len(password) >= PasswordLeast && c.has(password) {
						refused[strings.ToLower(password)] = true
					}
				}
			}
		}
	}
	if len(refused) < 3000 {
		t.Errorf("%d passwords", len(refused))
	}
	t.Logf("%d passwords", len(refused))
}

func TestWellKnownPasswordsAreRefused(t *testing.T) {
	c := newCommon([]string{"Northgate Hospitals"})
	for _, password := range []string{
		"password", "Password1", "P@ssw0rd", "p4$$w0rd!", "Passw0rd2024", "drowssap", "passwordpassword", "pass word", "Password-123",
		"12345678", "87654321", "123456789", "11111111", "12121212", "11223344", "1q2w3e4r", "1qaz2wsx", "zaq12wsx", "qwertyui", "qwerty123",
		"asdfghjkl", "qweasdzxc", "1234qwer", "abcd1234", "abc12345", "aaaaaaaa", "abcabcabc", "a1b2c3d4", "147258369", "q1w2e3r4", "a1234567",
		"iloveyou", "ILoveYou2", "trustno1", "letmein1", "welcome123", "Welcome1!", "sunshine", "football", "princess1", "dragon123", "monkey2023",
		"superman", "starwars", "liverpool", "liverpoolfc", "Chelsea1905", "arsenal1", "manchesterunited", "jennifer", "michelle1", "charlie1",
		"Summer2024", "Winter2025!", "December24", "Monday123", "24monday", "14061987", "19870614", "01012000", "2024spring", "alexande", "bluebird",
		"nhsnhs123", "Nhs12345", "ilovenhs", "hospital1", "Smartcard1", "carekey1", "nursing2024", "paramedic", "doctorwho", "nhsmail2024", "covid2020",
		"northgate hospitals",
	} {
		if !c.has(password) {
			t.Errorf("%q passes", password)
		}
	}
}

func TestReasonablePasswordsPass(t *testing.T) {
	c := newCommon(nil)
	for _, password := range []string{
		"harbour lamp 42 otter", "quiet gravel 17 heron", "copper finch 88 delta", "violet anchor 63 pine", "silver kettle 05 moth",
		"amber cliff 29 wren", "correct horse battery", "blue kettle seven", "tR7#kQ2!", "50836194", "my dog eats slippers", "Zugspitze-im-Nebel",
		"eight words", "gravel otter", "xkcd-Plover-9", "correcthorsebatterystaple", "lantern-tulip-quarry", "ποταμός-βουνό", "川の流れのように",
	} {
		if c.has(password) {
			t.Errorf("%q is refused", password)
		}
	}
}

// TestRandomPasswordsPass: the same ones each time, because one of many thousands
// is as simple as those that people choose, and refused.
func TestRandomPasswordsPass(t *testing.T) {
	c := newCommon(nil)
	random := rand.New(rand.NewPCG(12, 13))
	const keys = "bcdfghjkmnpqvwxzBCDFGHJKMNPQVWXZ0123456789#%&*~;:"
	for range 2000 {
		password := make([]byte, 12)
		for i := range password {
			password[i] = keys[random.IntN(len(keys))]
		}
		if c.has(string(password)) {
			t.Errorf("%q is refused", password)
		}
	}
}

func TestLongPasswordsAreJudgedQuickly(t *testing.T) {
	c := newCommon(nil)
	for _, unit := range []string{"a", "1", "passwor", "12345qwert", "2024", "abc!", "love1"} {
		password := strings.Repeat(unit, PasswordMost)[:PasswordMost-1] + "~"
		if took := worked(t, func() { c.has(password) }); took > time.Second {
			t.Errorf("%q… took %v", unit, took)
		}
	}
}

func TestReadBlockListTakesOnePasswordALine(t *testing.T) {
	list, err := ReadBlockList(strings.NewReader("Northgate1\r\n\nspaces are kept \n"))
	if err != nil || len(list) != 2 || list[0] != "Northgate1" || list[1] != "spaces are kept " {
		t.Errorf("%q, %v", list, err)
	}
}

// TestNoPasswordTakesLongToJudge: whoever chooses a password must not be able
// to keep a processor busy with it (ASVS 15.2.2: what is costly is bounded).
// Without its memory the search takes ten seconds and more for some of these.
func TestNoPasswordTakesLongToJudge(t *testing.T) {
	c := newCommon(nil)
	for name, password := range map[string]string{
		"a run":                  strings.Repeat("1", 122) + "☃☂☄☆☇☈",
		"runs":                   strings.Repeat("1112223334445556667778889990", 4) + "☃☂☄☆☇☈",
		"walks":                  strings.Repeat("123qwe", 20) + "☃☂☄☆☇☈",
		"words":                  strings.Repeat("passwordletmein", 8) + "☃☂☄☆☇☈",
		"what folds to much":     strings.Repeat("⁗", 62) + "☃☂☄☆☇☈",
		"what folds to too much": strings.Repeat("ﷺ", 120) + "☃☂☄☆☇☈",
	} {
		took := worked(t, func() {
			if c.has(password) {
				t.Errorf("%s: common", name)
			}
		})
		if took > 2*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

// worked is how long do keeps a processor busy, whatever else the machine does.
func worked(t *testing.T, do func()) time.Duration {
	t.Helper()
	spent := func() int64 {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			t.Fatal(err)
		}
		return used.Utime.Nano() + used.Stime.Nano()
	}
	before := spent()
	do()
	return time.Duration(spent() - before)
}
