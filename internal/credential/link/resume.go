package link

import (
	"context"

	"carekey.dev/carekey/internal/keys"
)

// Resume returns the link of a token and the journey that it began, to the
// browser that began it: whoever closed the tab opens the link again and goes
// on (decision 5). It changes nothing. Faults: LinkUnknown; those of Start if
// nothing is on its way with the link, or another browser began it.
func (l *Links) Resume(ctx context.Context, token, browser string) (Link, string, error) {
	found, err := l.Peek(ctx, token)
	if found.live() && keys.Equal(found.browser, keys.Hash(browser)) {
		return found, found.journey, nil
	}
	if err == nil {
		err = found.over()
	}
	return Link{}, "", err
}
