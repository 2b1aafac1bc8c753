package page_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/page/pagetest"
)

// faulty is a server whose every page fails with err.
func faulty(t *testing.T, h *house, err error, ways ...page.Link) *house {
	t.Helper()
	built := build(t)
	*h = *built
	h.Browser = pagetest.Client(t, built.kit.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		built.kit.Fault(w, r, err, ways...)
	})))
	return built
}

func TestFaultPageSaysWhatHappenedAndWhatToDo(t *testing.T) { // decision 26
	var h house
	f := fault.New(fault.JourneyExpired, errors.New("the cause")).With("It began an hour ago.")
	told := faulty(t, &h, f, page.Link{Text: "Sign in again", Href: "/signin"})
	h.Get("/somewhere?j=a-sealed-journey")
	if h.Status != fault.JourneyExpired.Status {
		t.Errorf("answered with %d", h.Status)
	}
	for _, want := range []string{
		fault.JourneyExpired.Title, fault.JourneyExpired.Sentence, "It began an hour ago.", fault.JourneyExpired.Next,
		"Reference " + f.Ref + ". Read it out if you call the service desk.", "Sign in again",
	} {
		if !strings.Contains(h.Text(), want) {
			t.Errorf("the page does not say %q:\n%s", want, h.Text())
		}
	}
	if !strings.Contains(h.Page, `href="/help/errors/301"`) || !strings.Contains(h.Page, `href="/signin"`) {
		t.Error("the page has no way on")
	}
	if strings.Contains(h.Page, "the cause") {
		t.Error("the page shows the cause")
	}
	pagetest.Check(t, h.Page)
	if len(told.faults) != 1 || told.faults[0] != f {
		t.Errorf("recorded %v", told.faults)
	}
	line := told.log.String()
	if !strings.Contains(line, f.Ref) || !strings.Contains(line, "the cause") || strings.Contains(line, "a-sealed-journey") {
		t.Errorf("the log line must hold reference and cause and no query: %s", line)
	}
}

func TestAnyErrorHasAPageWithAReference(t *testing.T) {
	var h house
	faulty(t, &h, errors.New("dial tcp 10.0.0.7:5432: refused"))
	h.Get("/")
	if h.Status != http.StatusInternalServerError || strings.Contains(h.Page, "10.0.0.7") || !strings.Contains(h.Text(), "Reference 100-") {
		t.Errorf("answered with %d:\n%s", h.Status, h.Page)
	}
	pagetest.Check(t, h.Page)
}

func TestBusyAndThrottledFaultsSayWhenToTryAgain(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{fault.New(fault.Busy, nil), "5"},
		{fault.New(fault.Busy, nil).After(90 * time.Second), "90"},
		{fault.New(fault.TooManyAttempts, nil).After(1500 * time.Millisecond), "2"},
		{fault.New(fault.NotFound, nil), ""},
	} {
		var h house
		faulty(t, &h, test.err)
		if got := h.Get("/").Header.Get("Retry-After"); got != test.want {
			t.Errorf("%v: Retry-After is %q, not %q", test.err, got, test.want)
		}
	}
}

func TestEveryKindOfFaultHasAGoodPage(t *testing.T) {
	for _, kind := range fault.Kinds() {
		var h house
		faulty(t, &h, fault.New(kind, nil))
		if h.Get("/"); h.Status != kind.Status {
			t.Errorf("%s: answered with %d", kind.Name, h.Status)
		}
		pagetest.Check(t, h.Page)
	}
}
