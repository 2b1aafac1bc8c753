package main

import (
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

//go:embed templates style.css
var files embed.FS

// most is how many signed-in people a demo remembers before it forgets all.
const most = 1000

// demo is one running relying party.
type demo struct {
	face
	others []face
	up     *upstream
	pages  *template.Template
	key    *assertions // nil for one with a secret

	mu       sync.Mutex // guards signedIn
	signedIn map[string]*visitor
}

func newDemo(one face, all []face, up *upstream) (*demo, error) {
	pages, err := template.ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("reading the pages: %w", err)
	}
	d := &demo{face: one, others: all, up: up, pages: pages, signedIn: map[string]*visitor{}}
	if one.Secret == "" {
		if d.key, err = newAssertions(one.ClientID); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *demo) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.start)
	mux.HandleFunc("POST /sign-in", d.signIn)
	mux.HandleFunc("GET /callback", d.callback)
	mux.HandleFunc("POST /sign-out", d.signOut)
	mux.HandleFunc("POST /sign-out-everywhere", d.signOutEverywhere)
	mux.HandleFunc("POST /backchannel-logout", d.backchannel)
	if d.key != nil {
		mux.Handle("GET "+jwksPath, d.key)
	}
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "style.css") })
	return http.NewCrossOriginProtection().Handler(mux)
}

// scene is what the templates see.
type scene struct {
	face
	Title   string
	Others  []face
	Issuer  string
	Visitor *visitor
	// Code and Text are the OAuth error, or what went wrong here.
	Code, Text string
}

func (d *demo) render(w http.ResponseWriter, status int, name string, s scene) {
	s.face, s.Others, s.Issuer = d.face, d.others, d.up.issuer
	var page strings.Builder
	if err := d.pages.ExecuteTemplate(&page, name, s); err != nil {
		slog.Error("rendering a page", "page", name, "err", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address of the callback holds the code
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; form-action 'self' "+d.up.origin+
		"; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	fmt.Fprint(w, page.String())
}

// sorry shows plainly what went wrong: developers read it.
func (d *demo) sorry(w http.ResponseWriter, status int, code string, err error) {
	d.render(w, status, "error.html", scene{Title: "Sign-in to " + d.Short + " did not work", Code: code, Text: err.Error()})
}

// start shows who is signed in, or the button.
func (d *demo) start(w http.ResponseWriter, r *http.Request) {
	if _, ok := d.at(r.Host); !ok {
		http.Redirect(w, r, d.Address, http.StatusFound)
		return
	}
	d.mu.Lock()
	v := d.signedIn[cookie(r, d.cookieName("session"))]
	d.mu.Unlock()
	if v != nil {
		d.render(w, http.StatusOK, "signed-in.html", scene{Title: "You are signed in to " + d.Short, Visitor: v})
		return
	}
	d.render(w, http.StatusOK, "start.html", scene{Title: d.Name})
}

// remember signs a visitor in here.
func (d *demo) remember(w http.ResponseWriter, v *visitor) {
	id := rand.Text()
	d.mu.Lock()
	if len(d.signedIn) >= most {
		clear(d.signedIn)
	}
	d.signedIn[id] = v
	d.mu.Unlock()
	setCookie(w, d.cookieName("session"), id, 0)
}

// cookieName keeps the faces apart: browsers share cookies between ports.
func (d *demo) cookieName(what string) string {
	return "demo-" + strings.ToLower(d.Short) + "-" + what
}

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie keeps a value for a while; 0 is until the browser closes.
func setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
