package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"opsconductor.dev/host/client"
)

// request is what a client asks about the run of one idempotency key.
type request struct {
	what string // submit, get or cancel
	key  int
}

// reply is what it is told. Lost: nobody knows whether the request was carried out.
type reply struct {
	lost  bool
	id    client.RunID
	ended client.RunState
	late  bool // a cancel of a run that had ended
}

// known is what an observer of one key knows: its run, and how that ended.
type known struct {
	id    client.RunID
	ended client.RunState
}

// runs is what the API promises of the run of one key: it is accepted once, it is
// there from then on, it ends once, and what has ended stays as it is. When it ends
// is the scheduler's business: the model lets any request find it ended.
func runs() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: byKey,
		Init:      func() []any { return []any{known{}} },
		Step: func(state, input, output any) []any {
			return next(state.(known), input.(request), output.(reply)) //nolint:forcetypeassert // the model's own
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
	return m.ToModel()
}

func byKey(history []porcupine.Operation) [][]porcupine.Operation {
	parts := map[int][]porcupine.Operation{}
	for _, o := range history {
		in := o.Input.(request) //nolint:forcetypeassert // the model's own
		parts[in.key] = append(parts[in.key], o)
	}
	out := make([][]porcupine.Operation, 0, len(parts))
	for _, p := range parts {
		out = append(out, p)
	}
	return out
}

func next(s known, in request, out reply) []any {
	switch {
	case out.lost && in.what == "submit":
		if s.id != "" {
			return []any{s}
		}
		return []any{s, known{id: "lost"}} // accepted under an identifier that nobody was told
	case out.lost:
		return []any{s}
	case in.what == "submit":
		if s.id == "" || s.id == "lost" {
			s.id = out.id
		}
		if s.id != out.id {
			return nil
		}
	case s.id == "" || s.id != out.id:
		return nil
	}
	return endsAs(s, out)
}

// endsAs holds what a reply says of the end against what is known of it.
func endsAs(s known, out reply) []any {
	switch {
	case s.ended == "":
		s.ended = out.ended
	case out.ended == "" || out.ended != s.ended:
		return nil
	}
	if out.late && s.ended == "" {
		return nil
	}
	return []any{s}
}

// history is what the clients of a test saw.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
	ids   map[int]client.RunID // told to some client
}

func (h *history) note(who int, in request, call time.Time, out reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := porcupine.Operation{ClientId: who, Input: in, Output: out, Call: call.Sub(h.began).Nanoseconds(), Return: time.Since(h.began).Nanoseconds()}
	if out.lost {
		o.Return = time.Hour.Nanoseconds() // it may be carried out at any later time
	}
	h.ops = append(h.ops, o)
	if out.id != "" {
		h.ids[in.key] = out.id
	}
}

func (h *history) runs() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ids)
}

func (h *history) id(key int) client.RunID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ids[key]
}

// TestLinearizable: clients that submit under shared keys, read and cancel, while
// the host is killed and started again, see one run a key that behaves as if
// requests were carried out one after the other.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host := start()
		var url atomic.Pointer[string]
		url.Store(&host.url)
		token, err := os.ReadFile(filepath.Join(host.dir, "admin.token"))
		if err != nil {
			t.Fatal(err)
		}
		definition := []byte("schema: opsconductor/v1\nname: linear\nsteps: [{id: a, uses: core.wait@1, with: {duration: 300ms}}, {id: b, uses: core.noop@1, needs: [a]}]\n")
		h := &history{began: time.Now(), ids: map[int]client.RunID{}}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var clients sync.WaitGroup
		for who := range 8 {
			clients.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					cl, err := client.New(client.Config{URL: *url.Load(), Token: client.NewSecret([]byte(strings.TrimSpace(string(token)))), Retries: -1})
					if err != nil {
						t.Error(err)
						return
					}
					h.ask(ctx, who, cl, definition, int(time.Since(h.began)/(400*time.Millisecond)))
				}
			})
		}
		kill := time.NewTicker(1500 * time.Millisecond)
		defer kill.Stop()
		for range 3 {
			<-kill.C
			host.kill()
			host = start()
			url.Store(&host.url)
		}
		eventually(t, "at least five runs were made, or the test tests nothing", func() bool { return h.runs() >= 5 })
		stop()
		clients.Wait()
		t.Logf("%d requests about %d runs", len(h.ops), len(h.ids))
		if result := porcupine.CheckOperationsTimeout(runs(), h.ops, time.Minute); result != porcupine.Ok {
			t.Errorf("the history is not linearizable: %s", result)
		}
	})
}

// ask sends one request about one of the newest keys.
func (h *history) ask(ctx context.Context, who int, cl *client.Client, definition []byte, newest int) {
	in := request{key: max(0, newest-rand.IntN(3))} //nolint:gosec // a test's dice
	id := h.id(in.key)
	in.what = []string{"submit", "get", "get", "get", "cancel"}[rand.IntN(5)] //nolint:gosec // a test's dice
	if id == "" {
		in.what = "submit"
	}
	call := time.Now()
	var run client.Run
	var err error
	switch in.what {
	case "submit":
		run, err = cl.Submit(ctx, client.SubmitRequest{Definition: definition, Key: fmt.Sprint("key-", in.key)})
	case "get":
		run, err = cl.Run(ctx, id)
	default:
		run, err = cl.Cancel(ctx, id, "enough")
	}
	out := reply{id: run.ID}
	switch {
	case err == nil:
		if run.State.Ended() {
			out.ended = run.State
		}
	case client.CodeOf(err) == client.CodeConflict && in.what == "cancel":
		out = reply{id: id, late: true, ended: endIn(err)}
	default:
		out = reply{lost: true}
	}
	h.note(who, in, call, out)
}

// endIn finds the state that a refused cancel names.
func endIn(err error) client.RunState {
	for _, s := range []client.RunState{"succeeded", "failed", "cancelled"} {
		if strings.Contains(err.Error(), "already: "+string(s)) {
			return s
		}
	}
	return "none"
}

// TestLinearModel: the model takes what may happen and refuses what may not.
func TestLinearModel(t *testing.T) {
	t.Parallel()
	op := func(call, back int64, what string, out reply) porcupine.Operation {
		return porcupine.Operation{Input: request{what: what}, Output: out, Call: call, Return: back}
	}
	for name, tt := range map[string]struct {
		ops  []porcupine.Operation
		want bool
	}{
		"accepted once":        {[]porcupine.Operation{op(0, 1, "submit", reply{id: "a"}), op(2, 3, "submit", reply{id: "a"})}, true},
		"accepted twice":       {[]porcupine.Operation{op(0, 1, "submit", reply{id: "a"}), op(2, 3, "submit", reply{id: "b"})}, false},
		"lost, then accepted":  {[]porcupine.Operation{op(0, 99, "submit", reply{lost: true}), op(2, 3, "submit", reply{id: "b"})}, true},
		"ends and stays":       {[]porcupine.Operation{op(0, 1, "submit", reply{id: "a"}), op(2, 3, "get", reply{id: "a", ended: "failed"}), op(4, 5, "get", reply{id: "a", ended: "failed"})}, true},
		"ends and goes on":     {[]porcupine.Operation{op(0, 1, "submit", reply{id: "a"}), op(2, 3, "get", reply{id: "a", ended: "failed"}), op(4, 5, "get", reply{id: "a"})}, false},
		"ends in two ways":     {[]porcupine.Operation{op(0, 1, "submit", reply{id: "a"}), op(2, 3, "get", reply{id: "a", ended: "failed"}), op(4, 5, "get", reply{id: "a", ended: "cancelled"})}, false},
		"cancelled after that": {[]porcupine.Operation{op(0, 1, "submit", reply{id: "a"}), op(2, 3, "get", reply{id: "a", ended: "failed"}), op(4, 5, "cancel", reply{id: "a"})}, false},
		"read before it is":    {[]porcupine.Operation{op(0, 1, "get", reply{id: "a"}), op(2, 3, "submit", reply{id: "a"})}, false},
	} {
		if got := porcupine.CheckOperations(runs(), tt.ops); got != tt.want {
			t.Errorf("%s: linearizable is %t, want %t", name, got, tt.want)
		}
	}
}
