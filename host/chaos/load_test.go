package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/chaos"
	"opsconductor.dev/host/client"
)

// steps are those of the workflow that every run has.
func steps() []chaos.Step {
	return []chaos.Step{
		{ID: "again", Parallel: 6},
		{ID: "once", Once: true, Needs: []string{"again"}, Key: "crowd"},
	}
}

// definition is a workflow of a step that may run twice and one that must not, each
// on every target; milliseconds is how long a command takes.
func (d *deployment) definition(milliseconds int) []byte {
	argv := func(step string) string {
		words := []string{d.recorder, filepath.Join(d.ledgers, "${{ asset.name }}"), "${{ run.id }}", step, "${{ asset.name }}", fmt.Sprint(milliseconds)}
		b, _ := json.Marshal(words) //nolint:errchkjson // texts
		return string(b)
	}
	return fmt.Appendf(nil, `
schema: opsconductor/v1
name: chaos
targets: {select: "'chaos' in asset.tags"}
steps:
  - id: again
    uses: linux.command@1
    effect: idempotent
    for_each: {in: targets, max_parallel: 6}
    retry: {max_attempts: 8, backoff: {initial: 300ms, factor: 2, max: 3s}}
    timeout: 30s
    with: {argv: %s}
  - id: once
    uses: linux.command@1
    effect: once
    needs: [again]
    for_each: {in: targets}
    concurrency_key: crowd
    retry: {max_attempts: 8, backoff: {initial: 300ms, factor: 2, max: 3s}}
    timeout: 30s
    with: {argv: %s}
`, argv("again"), argv("once"))
}

// load is runs that are submitted and followed.
type load struct {
	d          *deployment
	definition []byte

	mu       sync.Mutex
	accepted []string
}

// submit submits runs, one each interval, until ctx is done. Each is asked for until
// some host accepts it: what was asked for and never answered is asked for again
// under the same key.
func (l *load) submit(ctx context.Context, name string, interval time.Duration) {
	var all sync.WaitGroup
	defer all.Wait()
	for n := 0; ctx.Err() == nil; n++ {
		all.Go(func() { l.insist(context.WithoutCancel(ctx), fmt.Sprintf("%s-%d", name, n), n) })
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
}

func (l *load) insist(ctx context.Context, key string, n int) {
	until := time.Now().Add(patience)
	for try := 0; time.Now().Before(until); try++ {
		h := l.d.hosts[(n+try)%len(l.d.hosts)]
		run, err := h.client(l.d.token).Submit(ctx, client.SubmitRequest{Definition: l.definition, Key: key})
		if err == nil {
			l.mu.Lock()
			l.accepted = append(l.accepted, string(run.ID))
			l.mu.Unlock()
			return
		}
		pause(100 * time.Millisecond)
	}
	l.d.t.Errorf("no host has accepted %s", key)
}

// settle waits until every run that was accepted has ended. Outcomes that are
// unknown it settles as an operator does, who looks at the target.
func (l *load) settle() {
	l.d.t.Helper()
	deadline := time.Now().Add(patience)
	open := slices.Clone(l.accepted)
	for len(open) > 0 && time.Now().Before(deadline) {
		open = slices.DeleteFunc(open, func(id string) bool {
			ended := false
			_ = l.d.ask(func(cl *client.Client) error {
				run, err := cl.Run(l.d.t.Context(), client.RunID(id))
				ended = err == nil && run.State.Ended()
				return err
			})
			if !ended {
				l.operate(id)
			}
			return ended
		})
		pause(200 * time.Millisecond)
	}
	for _, id := range open {
		l.d.t.Errorf("run %s has not ended in %s", id, patience)
	}
}

// operate says of each unknown item of a run what its target's ledger says.
func (l *load) operate(id string) {
	var page client.Items
	err := l.d.ask(func(cl *client.Client) error {
		var err error
		page, err = cl.Items(l.d.t.Context(), client.RunID(id), "once", client.Page{Limit: 1000})
		return err
	})
	if err != nil {
		return
	}
	var ledger []chaos.Line
	for _, it := range page.Items {
		if it.State != automation.ItemUnknown {
			continue
		}
		if ledger == nil {
			ledger = l.d.ledger()
		}
		resolution, outcome := l.look(ledger, id, it.Target)
		_ = l.d.ask(func(cl *client.Client) error {
			_, err := cl.Resolve(l.d.t.Context(), client.ItemRef{Run: client.RunID(id), Step: "once", Item: it.Index}, resolution, outcome, "the ledger says so")
			return err
		})
	}
}

// look says what became of an item by its target's ledger.
func (l *load) look(ledger []chaos.Line, run, target string) (client.Resolution, *client.Outcome) {
	var started bool
	for _, line := range ledger {
		if line.Run != run || line.Step != "once" || line.Item != target {
			continue
		}
		started = true
		if line.Kind == chaos.LineEnd {
			return client.ResolutionRan, &client.Outcome{State: client.ItemSucceeded}
		}
	}
	if started {
		return client.ResolutionRan, &client.Outcome{State: client.ItemFailed, Message: "the ledger has no end of it"}
	}
	return client.ResolutionDidNotRun, nil
}

// told gathers what the API says of the runs.
func (l *load) told() []chaos.Run {
	out := make([]chaos.Run, len(l.accepted))
	var all sync.WaitGroup
	next := make(chan int, len(l.accepted))
	for i := range l.accepted {
		next <- i
	}
	close(next)
	for range 4 {
		all.Go(func() {
			for i := range next {
				out[i].ID = l.accepted[i]
				if err := l.d.ask(func(cl *client.Client) error { return l.tell(cl, &out[i]) }); err != nil {
					l.d.t.Errorf("read run %s: %v", out[i].ID, err)
				}
			}
		})
	}
	all.Wait()
	return out
}

func (l *load) tell(cl *client.Client, r *chaos.Run) error {
	ctx, id := l.d.t.Context(), client.RunID(r.ID)
	run, err := cl.Run(ctx, id)
	if err != nil {
		return err
	}
	r.State = run.State
	page, err := cl.Items(ctx, id, "", client.Page{Limit: 1000})
	if err != nil {
		return err
	}
	r.Items = nil
	for _, it := range page.Items {
		r.Items = append(r.Items, itemOf(&it))
	}
	if !r.State.Ended() {
		return nil
	}
	r.Events = nil
	_, err = cl.Events(ctx, id, "", func(e client.Event) error {
		r.Events = append(r.Events, chaos.Event{Step: e.Step, Item: e.Item, State: e.State, RunState: e.RunState})
		return nil
	})
	return err
}

func itemOf(it *client.Item) chaos.Item {
	out := chaos.Item{Step: it.Step, Index: it.Index, Target: it.Target, State: it.State, Told: it.Answer != nil}
	var output struct {
		Stdout string `json:"stdout"`
	}
	if len(it.Output) > 0 && json.Unmarshal(it.Output, &output) == nil {
		out.Nonce = output.Stdout
	}
	out.Before = it.Error != nil && it.Error.Phase == automation.PhaseBefore && it.Answer == nil
	return out
}
