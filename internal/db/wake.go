package db

import "sync"

// wakes are the listeners of this process, by topic.
type wakes struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool
}

// Wake tells everybody in this process who listens for topic that something was committed, after this transaction's COMMIT. It is a hint that saves
// polling often: other nodes do not hear it, and a process that ends right after COMMIT never sends it, so a listener also looks by itself now and then.
func (tx *Tx) Wake(topic string) { tx.woken = append(tx.woken, topic) }

// Listen returns a channel that receives after commits that called Wake(topic). Several commits may be told as one. stop ends it.
func (d *DB) Listen(topic string) (heard <-chan struct{}, stop func()) {
	w := &d.wakes
	channel := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = map[string]map[chan struct{}]bool{}
	}
	if w.waiting[topic] == nil {
		w.waiting[topic] = map[chan struct{}]bool{}
	}
	w.waiting[topic][channel] = true
	return channel, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting[topic], channel)
	}
}

func (w *wakes) tell(topics []string) {
	if len(topics) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, topic := range topics {
		for channel := range w.waiting[topic] {
			select {
			case channel <- struct{}{}:
			default: // it has not yet taken the last one
			}
		}
	}
}
