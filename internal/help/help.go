// Package help is the shelf of help pages: short answers for somebody who is
// stuck, and a page for every kind of fault, which the fault pages link to.
//
// People come in by links, signed in or not, and leave by links. The room
// changes nothing, and reads nothing but the list of email domains that it is
// given a way to read.
package help

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
)

//go:embed templates
var templates embed.FS

// Help serves the help pages.
type Help struct {
	kit       *page.Kit
	pages     *page.Pages
	allowList func(context.Context) (care.AllowList, error)
}

// New returns the help pages. allowList reads the email domains that may be
// used.
func New(kit *page.Kit, allowList func(context.Context) (care.AllowList, error)) *Help {
	return &Help{kit: kit, pages: kit.Pages(templates), allowList: allowList}
}

// Routes registers the pages.
func (h *Help) Routes(mux *http.ServeMux) {
	h.still(mux, "/help", "index", "Help and troubleshooting", nil)
	h.still(mux, "/help/authenticator-app", "authenticator-app", "Microsoft Authenticator", nil)
	h.still(mux, "/help/security-key", "security-key", "Security key", nil)
	h.still(mux, "/help/windows-hello", "windows-hello", "Windows Hello", nil)
	h.still(mux, "/help/passkey", "passkey", "Passkey (private beta)", nil)
	h.still(mux, "/help/lost-phone", "lost-phone", "When you do not have your phone", nil)
	h.still(mux, "/help/authenticators", "authenticators", "NHS CIS2 authenticators", types())
	h.still(mux, "/help/errors", "errors", "What an error message means", kinds())
	h.still(mux, "/help/privacy", "privacy", "Cookies and privacy", cookies())
	h.still(mux, "/help/accessibility", "accessibility", "Accessibility", nil)
	mux.HandleFunc("GET /help/errors/{number}", h.errorKind)
	mux.HandleFunc("GET /help/email-domains", h.emailDomains)
}

// still registers a page that is always the same.
func (h *Help) still(mux *http.ServeMux, path, name, title string, data any) {
	back := "/help"
	if path == back {
		back = ""
	}
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		h.pages.Render(w, r, http.StatusOK, name, page.View{Title: title, Data: data, Back: back})
	})
}

// errorKind explains one kind of fault to whoever met it. What it says to a
// service desk is not for everybody.
func (h *Help) errorKind(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.PathValue("number"))
	kind := fault.KindOf(number)
	if err != nil || kind == nil {
		h.kit.Fault(w, r, fault.New(fault.NotFound, nil), page.Link{Text: "See what error messages mean", Href: "/help/errors"})
		return
	}
	h.pages.Render(w, r, http.StatusOK, "error", page.View{
		Title: kind.Title, Back: "/help/errors",
		Data: struct {
			*fault.Kind
			More *page.Link
		}{kind, more(kind)},
	})
}

// more is the help page that goes with a kind of fault, if there is one.
func more(kind *fault.Kind) *page.Link {
	switch kind {
	case fault.WrongAppCode, fault.AppCodeUsed, fault.AppCodeMistyped:
		return &page.Link{Text: "My code is not accepted", Href: "/help/authenticator-app#codes"}
	case fault.AuthenticatorSuspended, fault.WrongRecoveryCode, fault.RecoveryCodeUsed, fault.RecoveryCodeMistyped, fault.TriesUsedUp:
		return &page.Link{Text: "When you do not have your phone", Href: "/help/lost-phone"}
	case fault.WrongEmailOrPassword:
		return &page.Link{Text: "I forgot my password", Href: "/recover/password"}
	case fault.LevelTooLow:
		return &page.Link{Text: "All NHS CIS2 authenticators", Href: "/help/authenticators"}
	case fault.LinkExpired, fault.LinkUsed, fault.LinkUnknown:
		return &page.Link{Text: "How to register Microsoft Authenticator", Href: "/help/authenticator-app#register"}
	}
	return nil
}

// kinds lists every fault, so that none can be without its page.
func kinds() [][]any {
	var list [][]any
	for _, kind := range fault.Kinds() {
		number := fmt.Sprintf("%03d", kind.Number)
		title := template.HTML(`<a class="nhsuk-link" href="/help/errors/` + number + `">` + template.HTMLEscapeString(kind.Title) + `</a>`)
		list = append(list, []any{number, title})
	}
	return list
}

// types describes the authenticators, in the order of the login page.
func types() [][]any {
	words := map[care.Method]string{
		care.Smartcard:        "A card with a chip and a passcode, in a card reader",
		care.WindowsHello:     "Your face, your fingerprint or a PIN on supported Windows devices",
		care.SecurityKey:      "A small physical device that you plug in or hold to the computer",
		care.IPadApp:          "Your fingerprint on an iPad",
		care.AuthenticatorApp: "Your email address, a password and a code from an app on your phone, such as Microsoft Authenticator",
		care.NHSmail:          "Your NHSmail account",
		care.Passkey:          "A passkey that your phone, computer or password manager keeps",
	}
	var list [][]any
	for _, m := range care.Methods() {
		level := m.Highest().String()
		switch m {
		case care.WindowsHello, care.SecurityKey:
			level = "AAL3 or AAL2"
		case care.Passkey:
			level = "AAL2, or AAL3 if it cannot leave its device"
		}
		list = append(list, []any{m.Label(), words[m], level})
	}
	return list
}

// cookies lists every cookie of the house. A test compares it with the code.
func cookies() [][]any {
	return [][]any{
		{"__Host-browser", "Keeps what you are doing on these pages to this browser, and forms safe", "Until you close the browser"},
		{"__Host-carekey", "Keeps you signed in", "Until you sign out or close the browser; it stops working before that, after a time limit"},
		{"__Host-method-…", "Remembers your login method, if you tick “Remember my selection”", "2 years"},
		{"__Host-device", "Shows that you signed in with this browser before, so that wrong tries of others do not lock you out here", "400 days"},
		{"__Host-shared-computer", "Marks a computer that people share, if your IT service has marked it", "400 days from the last sign-in"},
		{"__Host-session", "Lets a supplier's program look after the services that it registered. People's browsers never get it", "1 hour"},
		{"__Host-dismissed", "Remembers which notices you dismissed", "90 days"},
	}
}

// emailDomains lists the whole allow-list (seed 0, step 3).
func (h *Help) emailDomains(w http.ResponseWriter, r *http.Request) {
	list, err := h.allowList(r.Context())
	if err != nil {
		h.kit.Fault(w, r, fmt.Errorf("reading the email domains for their page: %w", err))
		return
	}
	exact, below := split(list)
	h.pages.Render(w, r, http.StatusOK, "email-domains", page.View{
		Title: "Which email addresses you can use", Back: "/help",
		Data: struct{ Exact, Below []string }{exact, below},
	})
}

// split parts the domains that must be matched whole from those below which
// any domain is good. ".nhs.uk" accepts nhs.uk itself as well.
func split(list care.AllowList) (exact, below []string) {
	for _, entry := range list {
		if strings.HasPrefix(entry, ".") {
			below = append(below, entry)
		} else {
			exact = append(exact, entry)
		}
	}
	for _, entry := range below {
		if bare := entry[1:]; !slices.Contains(exact, bare) {
			exact = append(exact, bare)
		}
	}
	return exact, below
}
