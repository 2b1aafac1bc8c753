package app

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

//go:embed words.txt
var wordFile string

// straight are lines that fingers walk along: the alphabet, counting, the rows
// and columns of keyboards. woven is what people make of them. Each counts
// backwards too.
var (
	straight = []string{
		"abcdefghijklmnopqrstuvwxyz", "01234567890", "1234567890-=", "!@#$%^&*()", "!\"£$%^&*()",
		"qwertyuiop[]", "asdfghjkl;'#", "zxcvbnm,./", "qwertzuiop", "azertyuiop", "qsdfghjklm", "yxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
	}
	woven = []string{
		"12345678910111213", "00112233445566778899", "000111222333444555666777888999", "0102030405060708", "12344321", "123321", "13579", "24680", "1029384756",
		"aabbccddeeffgghhiijjkk", "aaabbbcccdddeee", "1qazxsw23edcvfr45tgbnhy67ujm", "1qaz!qaz2wsx@wsx", "qazwsxedcrfvtgbyhnujmikolp", "zaqxswcdevfrbgtnhymju",
		"q1w2e3r4t5y6u7i8o9p0", "1q2w3e4r5t6y7u8i9o0p", "a1s2d3f4g5h6j7k8l9", "1a2s3d4f5g6h7j8k9l", "z1x2c3v4b5n6m7", "1z2x3c4v5b6n7m",
		"a1b2c3d4e5f6g7h8", "1a2b3c4d5e6f7g8h", "qweasdzxcrtyfghvbn", "qawsedrftgyhujikolp", "789456123", "147258369", "159357", "741852963", "147852369", "159753",
	}
)

const (
	wordLeast = 3 // shortest word that counts
	walkLeast = 3 // shortest stretch of a straight line, or run of one character, that counts
	weftLeast = 4 // shortest stretch of a woven line that counts
	mostParts = 3 // words, walks, runs and years in one password
	mostLoose = 4 // other characters beside them, letters only where there is no word

	mostLooseLetters = 2
	cutAt            = 8  // old systems cut passwords off here, and people kept what was left
	pairMost         = 10 // two words in a row, if they are no longer than this together
	turnLeast        = 6  // shortest word that people write backwards
)

// common recognises passwords that are well known: one common word, stretches
// of a keyboard or of the alphabet, runs of one character and years, up to
// three of them, with at most four loose digits or symbols around; or two short
// words run together (N13, ASVS 6.2.4). So the list of some 4,800 words stands
// for millions of passwords, and words with spaces between them pass.
type common struct {
	words map[string]bool // spelled plainly (see plain)
	own   map[string]bool // the operator's list, compared whole
	most  int             // length of the longest word

	straight, woven []string // both ways
}

func newCommon(own []string) *common {
	c := &common{words: map[string]bool{}, own: map[string]bool{}, straight: bothWays(straight), woven: bothWays(woven)}
	for line := range strings.Lines(wordFile) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for word := range strings.FieldsSeq(line) {
			c.add(word)
		}
	}
	for _, password := range own {
		c.own[fold(password)] = true
	}
	return c
}

func (c *common) add(word string) {
	for _, spelling := range plain(fold(word)) {
		c.words[spelling] = true
		runes := []rune(spelling)
		c.most = max(c.most, len(runes))
		if len(runes) > cutAt {
			c.words[string(runes[:cutAt])] = true
		}
		if len(runes) >= turnLeast {
			c.words[backwards(spelling)] = true
		}
	}
}

// ReadBlockList reads further passwords to refuse, one a line: an operator's
// own list, or one of leaked passwords.
func ReadBlockList(r io.Reader) ([]string, error) {
	var list []string
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		if line := strings.TrimRight(scanner.Text(), "\r"); line != "" {
			list = append(list, line)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("reading the list of refused passwords: %w", err)
	}
	return list, nil
}

// has reports whether many people would choose password.
func (c *common) has(password string) bool {
	folded := fold(password)
	if c.own[folded] {
		return true
	}
	return c.composed(folded) || c.composed(closed(folded)) || c.pair(folded)
}

// pair recognises two words that are run together, "bluebird".
func (c *common) pair(folded string) bool {
	if text := []rune(folded); len(text) > pairMost || !lettered(text) {
		return false
	}
	for _, spelling := range spell(folded) {
		for i := wordLeast; i <= len(spelling)-wordLeast; i++ {
			if c.words[string(spelling[:i])] && c.words[string(spelling[i:])] {
				return true
			}
		}
	}
	return false
}

func (c *common) composed(folded string) bool {
	if unit := repeated(folded); len([]rune(unit)) <= 4 || unit != folded && c.composed(unit) {
		return true
	}
	text := []rune(folded)
	if len(text) > mostWoven {
		return false
	}
	w := weaving{
		common: c, text: text, spellings: spell(folded),
		failed: map[spot]bool{}, stretches: make([]int, len(text)),
	}
	return w.covers(0, state{})
}

// mostWoven bounds the search. Folding can make a password many times longer
// than what was typed; nobody's common password is.
const mostWoven = 2 * PasswordMost

// weaving is the search for a way to cover one password with parts.
type weaving struct {
	*common
	text      []rune
	spellings [][]rune // of the same length as text
	// failed are the spots from which there is no way, and stretches what
	// stretch has found, plus one: each is looked at once, so that no password
	// takes long, whoever made it up.
	failed    map[spot]bool
	stretches []int
}

type state struct {
	word                  bool
	parts, loose, letters int
}

type spot struct {
	i int
	state
}

func (s state) plusPart() state { s.parts++; return s }

// covers reports whether the text from i can be covered, given what was used
// before it.
func (w *weaving) covers(i int, s state) bool {
	if i == len(w.text) {
		return s.parts > 0
	}
	at := spot{i, s}
	if w.failed[at] {
		return false
	}
	if w.goesOn(i, s) {
		return true
	}
	w.failed[at] = true
	return false
}

// goesOn tries every part that can begin at i, and a loose character.
func (w *weaving) goesOn(i int, s state) bool {
	if s.parts < mostParts {
		if !s.word && w.byWord(i, s) {
			return true
		}
		for end := i + w.stretch(i); end >= i+walkLeast; end-- {
			if w.covers(end, s.plusPart()) {
				return true
			}
		}
		if w.year(i) && w.covers(i+4, s.plusPart()) {
			return true
		}
	}
	if unicode.IsLetter(w.text[i]) {
		s.letters++
	}
	s.loose++
	return s.loose <= mostLoose && (s.letters == 0 || s.letters <= mostLooseLetters && !s.word) && w.covers(i+1, s)
}

func (w *weaving) byWord(i int, s state) bool {
	if s.letters > 0 {
		return false
	}
	next := s.plusPart()
	next.word = true
	for _, spelling := range w.spellings {
		for end := min(len(spelling), i+w.most); end >= i+wordLeast; end-- {
			if w.words[string(spelling[i:end])] && lettered(w.text[i:end]) && w.covers(end, next) {
				return true
			}
		}
	}
	return false
}

// lettered reports whether a third of text is letters: digits alone are no
// word, whatever letters they look like.
func lettered(text []rune) bool {
	letters := 0
	for _, r := range text {
		if unicode.IsLetter(r) {
			letters++
		}
	}
	return 3*letters >= len(text)
}

// stretch is the length of the longest walk or run that begins at i, or 0.
func (w *weaving) stretch(i int) int {
	if w.stretches[i] == 0 {
		w.stretches[i] = 1 + w.findStretch(i)
	}
	return w.stretches[i] - 1
}

func (w *weaving) findStretch(i int) int {
	run := i + 1
	for run < len(w.text) && w.text[run] == w.text[i] {
		run++
	}
	best := max(run-i, along(w.straight, w.text[i:]))
	if weft := along(w.woven, w.text[i:]); weft >= weftLeast {
		best = max(best, weft)
	}
	if best < walkLeast {
		return 0
	}
	return best
}

// along is how much of text's beginning lies on one of the lines.
func along(lines []string, text []rune) int {
	best := 0
	for _, line := range lines {
		for best < len(text) && strings.Contains(line, string(text[:best+1])) {
			best++
		}
	}
	return best
}

func bothWays(lines []string) []string {
	var both []string
	for _, line := range lines {
		both = append(both, line, backwards(line))
	}
	return both
}

// year reports whether a year stands at i, by itself or at one end of a date:
// four digits in the middle of others are no year.
func (w *weaving) year(i int) bool {
	end := i + 4
	if end > len(w.text) || i > 0 && unicode.IsDigit(w.text[i-1]) && end < len(w.text) && unicode.IsDigit(w.text[end]) {
		return false
	}
	year, err := strconv.Atoi(string(w.text[i : i+4]))
	return err == nil && year >= 1900 && year < 2100
}

// fold makes spellings that look alike equal: compatibility forms and case.
func fold(s string) string { return strings.ToLower(norm.NFKC.String(s)) }

// closed leaves out spaces, dashes, dots and underscores.
func closed(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune("-_.", r) {
			return -1
		}
		return r
	}, s)
}

// swaps are the letters that people replace by look-alikes.
var swaps = strings.NewReplacer("@", "a", "4", "a", "8", "b", "3", "e", "€", "e", "6", "g", "9", "g", "0", "o", "5", "s", "$", "s", "7", "t", "+", "t", "2", "z")

// plain returns s with look-alikes replaced by the letters that they stand
// for; 1 and ! may be i or l. The length in characters stays.
func plain(s string) []string {
	swapped := swaps.Replace(s)
	if !strings.ContainsAny(swapped, "1!|") {
		return []string{swapped}
	}
	return []string{
		strings.NewReplacer("1", "i", "!", "i", "|", "i").Replace(swapped),
		strings.NewReplacer("1", "l", "!", "l", "|", "l").Replace(swapped),
	}
}

func spell(s string) [][]rune {
	var all [][]rune
	for _, spelling := range plain(s) {
		all = append(all, []rune(spelling))
	}
	return all
}

// repeated returns the shortest text whose repetition is s, or s itself.
func repeated(s string) string {
	runes := []rune(s)
	for n := 1; n <= len(runes)/2; n++ {
		if len(runes)%n == 0 && strings.Repeat(string(runes[:n]), len(runes)/n) == s {
			return string(runes[:n])
		}
	}
	return s
}

func backwards(s string) string {
	runes := []rune(s)
	for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes)
}
