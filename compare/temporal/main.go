// Command temporal measures Temporal's test server, which runs in this process on
// SQLite in memory, on the work that OpsConductor's own benchmarks do: no-op
// activities. It prints one JSON object a line.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.temporal.io/server/temporaltest"
)

const taskQueue = "bench"

// noop is the activity.
func noop(context.Context, int) (string, error) { return "{}", nil }

func activities(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
}

// chain runs n activities, one after the other.
func chain(ctx workflow.Context, n int) error {
	for i := range n {
		if err := workflow.ExecuteActivity(activities(ctx), noop, i).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// fanOut runs n activities side by side.
func fanOut(ctx workflow.Context, n int) error {
	var all []workflow.Future
	for i := range n {
		all = append(all, workflow.ExecuteActivity(activities(ctx), noop, i))
	}
	for _, f := range all {
		if err := f.Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// result is one line of what is printed.
type result struct {
	Peer     string  `json:"peer"`
	Version  string  `json:"version"`
	Name     string  `json:"name"` // drain, independent or chain
	Steps    int     `json:"steps"`
	Seconds  float64 `json:"seconds"`
	PerS     float64 `json:"steps_per_s,omitempty"`
	P50MS    float64 `json:"ms_per_step_p50,omitempty"`
	Settings string  `json:"settings"`
}

const settings = "test server in process, SQLite in memory, 16 pollers of each kind"

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "temporal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	server := temporaltest.NewServer()
	defer server.Stop()
	server.NewWorkerWithOptions(taskQueue, func(r worker.Registry) {
		r.RegisterWorkflow(chain)
		r.RegisterWorkflow(fanOut)
		r.RegisterActivity(noop)
	}, worker.Options{
		MaxConcurrentActivityExecutionSize: 500, MaxConcurrentWorkflowTaskExecutionSize: 200,
		MaxConcurrentActivityTaskPollers: 16, MaxConcurrentWorkflowTaskPollers: 16,
	})
	b := bench{client: server.GetDefaultClient(), out: json.NewEncoder(out)}
	if _, err := b.workflow(ctx, chain, 3); err != nil { // warms up
		return err
	}
	took, err := b.workflow(ctx, fanOut, 500)
	if err != nil {
		return err
	}
	if err := b.say("drain", 500, took); err != nil {
		return err
	}
	if err := b.independent(ctx, 50, 10); err != nil {
		return err
	}
	return b.chains(ctx, 20, 10)
}

type bench struct {
	client client.Client
	out    *json.Encoder
}

// workflow runs one to its end.
func (b bench) workflow(ctx context.Context, f any, n int) (time.Duration, error) {
	began := time.Now()
	r, err := b.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: taskQueue}, f, n)
	if err != nil {
		return 0, err
	}
	err = r.Get(ctx, nil)
	return time.Since(began), err
}

// independent measures workflows of one activity, started by many callers.
func (b bench) independent(ctx context.Context, callers, each int) error {
	began := time.Now()
	var group sync.WaitGroup
	failures := make(chan error, callers)
	for range callers {
		group.Go(func() {
			for range each {
				if _, err := b.workflow(ctx, chain, 1); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-failures:
		return err
	default:
	}
	return b.say("independent", callers*each, time.Since(began))
}

// chains measures workflows of sequential activities, one at a time.
func (b bench) chains(ctx context.Context, n, links int) error {
	var all []time.Duration
	for range n {
		took, err := b.workflow(ctx, chain, links)
		if err != nil {
			return err
		}
		all = append(all, took/time.Duration(links))
	}
	slices.Sort(all)
	return b.out.Encode(result{
		Peer: "Temporal", Version: version(), Name: "chain", Steps: n * links, P50MS: float64(all[len(all)/2].Microseconds()) / 1000, Settings: settings,
	})
}

func (b bench) say(name string, n int, took time.Duration) error {
	return b.out.Encode(result{
		Peer: "Temporal", Version: version(), Name: name, Steps: n, Seconds: took.Seconds(), PerS: float64(n) / took.Seconds(), Settings: settings,
	})
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == "go.temporal.io/server" {
			return m.Version
		}
	}
	return ""
}
