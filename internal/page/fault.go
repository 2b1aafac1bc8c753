package page

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"carekey.dev/carekey/internal/fault"
)

// Link is a way on.
type Link struct{ Text, Href string }

// retryAfter is what a busy service asks for when it does not know better.
const retryAfter = 5 * time.Second

// Fault writes the page of an error: what happened, what to do, a reference
// that can be read out (decision 26) and the ways on. The cause goes to the
// log and nowhere else.
func (k *Kit) Fault(w http.ResponseWriter, r *http.Request, err error, ways ...Link) {
	f := k.Note(r, err)
	if len(ways) == 0 {
		ways = []Link{{Text: "Go to the start page", Href: "/"}}
	}
	SetRetry(w, f)
	v := View{
		Title: f.Kind.Title,
		Data: faultData{
			Message: f.Message(), Next: f.Kind.Next, Ref: f.Ref, Ways: ways,
			Help: fmt.Sprintf("/help/errors/%d", f.Kind.Number),
		},
	}
	if k.options.Person != nil {
		v.Person = k.options.Person(r)
	}
	body, err := k.fault.execute("fault", k.scene(r, v))
	if err != nil {
		k.options.Log.Error("the fault page itself failed", "ref", f.Ref, "err", err)
		http.Error(w, f.Kind.Title+"\n\n"+f.Message()+"\n\nReference "+f.Ref, f.Kind.Status)
		return
	}
	k.send(w, r, f.Kind.Status, v, body)
}

// Note logs an error and keeps it for `carekey explain`, and returns it as a
// fault, for an answer that is not a page.
func (k *Kit) Note(r *http.Request, err error) *fault.Error {
	if k.options.Translate != nil {
		err = k.options.Translate(err)
	}
	f := fault.As(err)
	k.log(r, f)
	if k.options.Record != nil {
		k.options.Record(r, f)
	}
	return f
}

type faultData struct {
	Message, Next, Ref, Help string
	Ways                     []Link
}

func (k *Kit) log(r *http.Request, f *fault.Error) {
	level := k.options.Log.Info
	if f.Kind.Status >= http.StatusInternalServerError {
		level = k.options.Log.Error
	}
	// The path only: a query may hold a sealed journey or a code.
	level("fault", "ref", f.Ref, "status", f.Kind.Status, "method", r.Method, "path", r.URL.Path, "err", f.Error())
}

// SetRetry says in the header when another try can succeed, if that is known.
func SetRetry(w http.ResponseWriter, f *fault.Error) {
	if seconds := wait(f); seconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
}

// wait is the Retry-After of a fault in whole seconds, or 0.
func wait(f *fault.Error) int {
	after := f.RetryAfter
	if after == 0 && f.Kind.Status == http.StatusServiceUnavailable {
		after = retryAfter
	}
	return int(math.Ceil(after.Seconds()))
}
