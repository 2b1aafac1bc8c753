package main

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

//go:embed templates style.css
var files embed.FS

var pages = template.Must(template.ParseFS(files, "templates/*.html"))

// patience is how long a call to the provider may take.
const patience = 10 * time.Second

// most is how many signed-in people a demo remembers before it forgets all.
const most = 1000

// demo is one running relying party.
type demo struct {
	face
	issuer string
	others []face

	mu       sync.Mutex
	provider *oidc.Provider
	signedIn map[string]*visitor
}

func newDemo(issuer string, f face, all []face) *demo {
	return &demo{face: f, issuer: issuer, others: all, signedIn: map[string]*visitor{}}
}

func (d *demo) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.start)
	mux.HandleFunc("POST /sign-in", d.signIn)
	mux.HandleFunc("GET /callback", d.callback)
	mux.HandleFunc("POST /sign-out", d.signOut)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "style.css") })
	return http.NewCrossOriginProtection().Handler(mux)
}

// visitor is somebody who is signed in here, with all that Carekey told.
type visitor struct {
	Claims, UserInfo, Token, Raw string
	Name, Role, Method, Level    string
	AuthTime                     time.Time
}

// scene is what the templates see.
type scene struct {
	face
	Title   string
	Others  []face
	Visitor *visitor
	Error   string
	Detail  string
}

func (d *demo) render(w http.ResponseWriter, status int, name string, s scene) {
	s.face, s.Others = d.face, d.others
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	if err := pages.ExecuteTemplate(w, name, s); err != nil {
		slog.Error("rendering a page", "page", name, "error", err)
	}
}

func (d *demo) sorry(w http.ResponseWriter, status int, what string, err error) {
	s := scene{Title: "Sign-in did not work", Error: what}
	if err != nil {
		s.Detail = err.Error()
	}
	d.render(w, status, "error.html", s)
}

func (d *demo) start(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	v := d.signedIn[d.cookie(r, "session")]
	d.mu.Unlock()
	if v != nil {
		d.render(w, http.StatusOK, "signed-in.html", scene{Title: "You are signed in to " + d.Short, Visitor: v})
		return
	}
	d.render(w, http.StatusOK, "start.html", scene{Title: d.Name})
}

// client returns the standard library's idea of this relying party. Discovery
// is read when it is first needed, so that either program may start first.
func (d *demo) client(ctx context.Context, r *http.Request) (*oidc.Provider, oauth2.Config, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.provider == nil {
		provider, err := oidc.NewProvider(context.WithoutCancel(ctx), d.issuer)
		if err != nil {
			return nil, oauth2.Config{}, fmt.Errorf("reading what %s supports: %w", d.issuer, err)
		}
		d.provider = provider
	}
	return d.provider, oauth2.Config{
		ClientID: d.ClientID, ClientSecret: d.Secret, Endpoint: d.provider.Endpoint(),
		RedirectURL: "http://" + r.Host + "/callback", Scopes: d.Scopes,
	}, nil
}

// pending is a sign-in that is under way, kept by the browser.
type pending struct {
	State, Nonce, Verifier string
}

func (d *demo) signIn(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	_, client, err := d.client(ctx, r)
	if err != nil {
		d.sorry(w, http.StatusBadGateway, "Carekey does not answer. Is it running?", err)
		return
	}
	p := pending{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	d.setCookie(w, "pending", p.State+"."+p.Nonce+"."+p.Verifier, int(time.Hour/time.Second))
	options := []oauth2.AuthCodeOption{oidc.Nonce(p.Nonce), oauth2.S256ChallengeOption(p.Verifier)}
	for _, name := range []string{"acr_values", "prompt", "max_age"} {
		value := r.FormValue(name)
		if name == "acr_values" && value == "" {
			value = d.ACR
		}
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	if r.FormValue("changed_role") != "" {
		client.Scopes = append(client.Scopes[:len(client.Scopes):len(client.Scopes)], "changedrole")
	}
	http.Redirect(w, r, client.AuthCodeURL(p.State, options...), http.StatusSeeOther)
}

func (d *demo) callback(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	kept := strings.Split(d.cookie(r, "pending"), ".")
	if len(kept) != 3 || r.FormValue("state") != kept[0] {
		d.sorry(w, http.StatusBadRequest, "This answer does not belong to a sign-in of this browser.", errors.New("the state does not match"))
		return
	}
	p := pending{State: kept[0], Nonce: kept[1], Verifier: kept[2]}
	d.setCookie(w, "pending", "", -1)
	if code := r.FormValue("error"); code != "" {
		d.sorry(w, http.StatusOK, code, errors.New(r.FormValue("error_description")))
		return
	}
	v, err := d.exchange(ctx, r, p)
	if err != nil {
		d.sorry(w, http.StatusBadGateway, "Carekey’s answer was not good.", err)
		return
	}
	id := rand.Text()
	d.mu.Lock()
	if len(d.signedIn) >= most {
		clear(d.signedIn)
	}
	d.signedIn[id] = v
	d.mu.Unlock()
	d.setCookie(w, "session", id, 0)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (d *demo) signOut(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	delete(d.signedIn, d.cookie(r, "session"))
	d.mu.Unlock()
	d.setCookie(w, "session", "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// cookieName keeps the faces apart: browsers share cookies between ports.
func (d *demo) cookieName(what string) string { return "demo-" + strings.ToLower(d.Short) + "-" + what }

func (d *demo) cookie(r *http.Request, what string) string {
	c, err := r.Cookie(d.cookieName(what))
	if err != nil {
		return ""
	}
	return c.Value
}

func (d *demo) setCookie(w http.ResponseWriter, what, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: d.cookieName(what), Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}
