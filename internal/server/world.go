package server

import (
	"context"
	"errors"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/world"
)

// WorldOptions is how a world file is applied in this house.
func (h *House) WorldOptions(prune bool) world.Options {
	return world.Options{DB: h.DB, Prune: prune, Random: h.Random, Enrol: h.App.FromWorld, Bind: h.Gate.BindDemo}
}

// Populate applies the demo world to a database that knows nobody yet. Later
// starts leave everything as people changed it.
func (h *House) Populate(ctx context.Context) error {
	empty, err := h.empty(ctx)
	if err != nil || !empty {
		return err
	}
	w, err := world.Parse(world.DemoName, world.Demo, world.Dev)
	if err != nil {
		return err
	}
	_, err = w.Apply(ctx, h.WorldOptions(false))
	return err
}

func (h *House) empty(ctx context.Context) (bool, error) {
	var people []person.Person
	var parties []relyingparty.RelyingParty
	err := h.DB.Read(ctx, func(tx *db.Tx) error {
		var err, other error
		people, err = person.All(tx)
		parties, other = relyingparty.All(tx)
		return errors.Join(err, other)
	})
	return len(people) == 0 && len(parties) == 0, err
}
