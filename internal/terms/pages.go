package terms

import (
	"embed"
	"net/http"
	"time"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
)

//go:embed templates
var templates embed.FS

type handler struct {
	kit   *page.Kit
	pages *page.Pages
	terms *Terms
	now   func() time.Time
}

// Routes registers the pages: /terms shows the version in force, /terms/{version}
// any one.
func (t *Terms) Routes(mux *http.ServeMux, kit *page.Kit, now func() time.Time) {
	h := &handler{kit: kit, pages: kit.Pages(templates), terms: t, now: now}
	mux.HandleFunc("GET /terms", h.current)
	mux.HandleFunc("GET /terms/{version}", h.version)
}

func (h *handler) current(w http.ResponseWriter, r *http.Request) {
	h.show(w, r, h.terms.Current(h.now()))
}

func (h *handler) version(w http.ResponseWriter, r *http.Request) {
	v, ok := h.terms.ByID(r.PathValue("version"))
	if !ok {
		h.kit.Fault(w, r, fault.New(fault.NotFound, nil), page.Link{Text: "Read the Terms and Conditions", Href: "/terms"})
		return
	}
	h.show(w, r, v)
}

func (h *handler) show(w http.ResponseWriter, r *http.Request, v Version) {
	now := h.now()
	h.pages.Render(w, r, http.StatusOK, "terms", page.View{
		Title: "Terms and Conditions",
		Data: struct {
			Version
			InForce, Coming bool
			All             []Version
		}{v, v.ID == h.terms.Current(now).ID, v.From.After(now), h.terms.All()},
	})
}
