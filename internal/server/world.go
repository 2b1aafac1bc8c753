package server

import (
	"context"
	"errors"
	"fmt"

	"carekey.dev/carekey/internal/credential/app"
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

// refuseDemonstration keeps a database of dev mode from being served in
// earnest: its passwords and secrets stand in a file that anybody can read
// (decision 15).
func (h *House) refuseDemonstration(ctx context.Context) error {
	if h.Config.Dev {
		return nil
	}
	return h.DB.Read(ctx, func(tx *db.Tx) error {
		n, err := app.FromAWorld(tx)
		if err != nil || n == 0 {
			return err
		}
		return fmt.Errorf("this database is a demonstration: passwords of %d people in it can be read in a world file: name an empty database in database.url", n)
	})
}
