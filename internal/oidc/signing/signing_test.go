package signing_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/signing"
)

var ring = keys.NewRing(keys.Root{7})

func open(t *testing.T, d *db.DB) *signing.Keys {
	t.Helper()
	k, err := signing.Open(t.Context(), d, ring)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func publicSet(t *testing.T, k *signing.Keys) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(k.Public(), &set); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestWhatIsSignedVerifiesWithThePublishedKey(t *testing.T) {
	k := open(t, dbtest.Open(t, signing.Schema))
	token, err := k.Sign(map[string]any{"sub": "555000100101"})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	header := parsed.Signatures[0].Header
	if header.ExtraHeaders["typ"] != "JWT" {
		t.Errorf("typ is %v, want JWT (wire, ID token)", header.ExtraHeaders["typ"])
	}
	set := publicSet(t, k)
	named := set.Key(header.KeyID)
	if len(named) != 1 {
		t.Fatalf("the header's kid %q names %d keys of the set", header.KeyID, len(named))
	}
	if named[0].Use != "sig" || named[0].Algorithm != "RS256" {
		t.Errorf("the key has use %q and alg %q (wire rule 8)", named[0].Use, named[0].Algorithm)
	}
	payload, err := parsed.Verify(named[0])
	if err != nil {
		t.Fatal(err)
	}
	if string(payload) != `{"sub":"555000100101"}` {
		t.Errorf("the payload is %s", payload)
	}
}

func TestOnlyPublicPartsArePublished(t *testing.T) {
	k := open(t, dbtest.Open(t, signing.Schema))
	for _, private := range []string{`"d":`, `"p":`, `"q":`, `"dp":`, `"dq":`, `"qi":`} {
		if strings.Contains(string(k.Public()), private) {
			t.Errorf("the public set holds %s", private)
		}
	}
}

func TestTheKeySurvivesARestart(t *testing.T) {
	dbtest.Each(t, []fs.FS{signing.Schema}, func(t *testing.T, d *db.DB) {
		first, second := open(t, d), open(t, d)
		if string(first.Public()) != string(second.Public()) {
			t.Error("the second start made another key")
		}
	})
}

func TestNodesThatStartTogetherAgreeOnOneKey(t *testing.T) {
	url := dbtest.Postgres(t, signing.Schema)
	const nodes = 3
	sets := make([]string, nodes)
	var group sync.WaitGroup
	for i := range nodes {
		group.Go(func() {
			d, err := db.Open(context.Background(), db.Config{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			k, err := signing.Open(context.Background(), d, ring)
			if err != nil {
				t.Error(err)
				return
			}
			sets[i] = string(k.Public())
		})
	}
	group.Wait()
	for i, set := range sets {
		if set != sets[0] {
			t.Errorf("node %d publishes another key than node 0", i)
		}
	}
}

func TestThePrivateKeyIsStoredOnlySealed(t *testing.T) {
	d := dbtest.Open(t, signing.Schema)
	open(t, d)
	_, err := signing.Open(t.Context(), d, keys.NewRing(keys.Root{8}))
	if err == nil || !strings.Contains(err.Error(), "put that root key back") {
		t.Errorf("with another root key: %v, want an error that says what to mend", err)
	}
}
