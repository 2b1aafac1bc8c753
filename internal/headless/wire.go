package headless

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
)

// question is an answer that asks for more: AM's shape, which the script sends
// back with the inputs filled in.
type question struct {
	AuthID    string     `json:"authId"`
	Template  string     `json:"template"`
	Stage     string     `json:"stage"`
	Header    string     `json:"header"`
	Callbacks []callback `json:"callbacks"`
}

type callback struct {
	Type   string `json:"type"`
	Output []item `json:"output"`
	Input  []item `json:"input"`
	ID     int    `json:"_id"`
}

type item struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// success is the last answer.
type success struct {
	TokenID    string `json:"tokenId"`
	SuccessURL string `json:"successUrl"`
	Realm      string `json:"realm"`
}

// failure is AM's error, with the reference for the service desk.
type failure struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Detail  detail `json:"detail"`
}

type detail struct {
	// ErrorCode is AM's own number, where scripts look for one.
	ErrorCode string `json:"errorCode,omitempty"`
	Reference string `json:"reference"`
}

// timedOut is AM's number of a sign-in that took too long.
const timedOut = "110"

func nameCallback(prompt, value string) callback {
	return callback{Type: "NameCallback", Output: []item{{"prompt", prompt}}, Input: []item{{Value: value}}}
}

func passwordCallback(prompt string) callback {
	return callback{Type: "PasswordCallback", Output: []item{{"prompt", prompt}}, Input: []item{{Value: ""}}}
}

func choiceCallback(prompt string, choices []string) callback {
	return callback{
		Type:   "ChoiceCallback",
		Output: []item{{"prompt", prompt}, {"choices", choices}, {"defaultChoice", 0}},
		Input:  []item{{Value: 0}},
	}
}

// numbered names the inputs as AM does: IDToken1, IDToken2 …
func numbered(all []callback) []callback {
	for i := range all {
		all[i].ID, all[i].Input[0].Name = i, inputName(i+1)
	}
	return all
}

func inputName(n int) string { return "IDToken" + strconv.Itoa(n) }

// filled is what a script sent back.
type filled struct {
	authID string
	inputs map[string]string
}

func (f filled) text(n int) string { return f.inputs[inputName(n)] }

// read reads a request: nothing, which begins, or a question that was filled
// in. Only application/json is read: a form of another site cannot send it
// (ASVS 3.5.2), and this interface has no token that a form would carry.
func read(r *http.Request) (filled, error) {
	body, err := io.ReadAll(r.Body) // page.Kit has limited it
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return filled{}, fault.New(fault.FormTooLarge, err)
	case err != nil:
		return filled{}, fault.New(fault.HeadlessUnreadable, err)
	}
	media := r.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(media); (media != "" || len(body) > 0) && (err != nil || kind != "application/json") {
		return filled{}, fault.New(fault.HeadlessMedia, fmt.Errorf("Content-Type %.64q", media))
	}
	if len(body) == 0 {
		return filled{}, nil
	}
	return parse(body)
}

// parse reads a question that was filled in. Fields that it does not know are
// ignored, as AM does.
func parse(body []byte) (filled, error) {
	unreadable := func(err error) (filled, error) {
		return filled{}, fault.New(fault.HeadlessUnreadable, err)
	}
	var sent struct {
		AuthID    string `json:"authId"`
		Callbacks []struct {
			Input []struct {
				Name  string          `json:"name"`
				Value json.RawMessage `json:"value"`
			} `json:"input"`
		} `json:"callbacks"`
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		return unreadable(errors.New("the body is not the JSON of a question")) // the parser's words may quote a password
	}
	f := filled{authID: sent.AuthID, inputs: map[string]string{}}
	for _, c := range sent.Callbacks {
		for _, input := range c.Input {
			value, err := text(input.Value)
			if err != nil {
				return unreadable(err)
			}
			if _, twice := f.inputs[input.Name]; twice {
				return unreadable(errors.New("an input is there twice"))
			}
			f.inputs[input.Name] = value
		}
	}
	if f.authID == "" && len(f.inputs) > 0 {
		return unreadable(errors.New("inputs without authId"))
	}
	return f, nil
}

// text returns a value that is a text or a whole number: scripts write the
// number of a choice either way.
func text(value json.RawMessage) (string, error) {
	var words string
	if err := json.Unmarshal(value, &words); err == nil {
		return words, nil // null too, which is empty
	}
	var number int64
	if err := json.Unmarshal(value, &number); err != nil {
		return "", errors.New("an input is neither a text nor a number")
	}
	return strconv.FormatInt(number, 10), nil
}

// fail answers with AM's error. What keeps somebody from signing in is 401;
// what is wrong with the request or with us keeps its own status.
func (h *Headless) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := h.Kit.Note(r, err)
	status := f.Kind.Status
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusTooManyRequests:
	default:
		if status < http.StatusInternalServerError {
			status = http.StatusUnauthorized
		}
	}
	because := detail{Reference: f.Ref}
	if f.Kind == fault.JourneyExpired || f.Kind == fault.SignInTooOld {
		because.ErrorCode = timedOut
	}
	page.SetRetry(w, f)
	write(w, status, failure{Code: status, Reason: http.StatusText(status), Message: f.Message(), Detail: because})
}

func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}
