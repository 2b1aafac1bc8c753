package argon

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestThePoolGivesItsMemoryBackWhenItIsQuiet: once for each time that it falls
// quiet, and never while people sign in.
func TestThePoolGivesItsMemoryBackWhenItIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		collections := func() uint32 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.NumForcedGC
		}
		p := NewPool(1)
		before := collections()
		for range 3 {
			place, err := p.Enter()
			if err != nil {
				t.Fatal(err)
			}
			if err := place.run(t.Context(), func() {}); err != nil {
				t.Fatal(err)
			}
			place.Leave()
			<-time.After(quiet - time.Second)
			if n := collections() - before; n != 0 {
				t.Fatalf("memory was given back %d times while people sign in", n)
			}
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		if n := collections() - before; n != 1 {
			t.Errorf("memory was given back %d times", n)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if n := collections() - before; n != 1 {
			t.Errorf("an idle pool works: %d times", n)
		}
	})
}
