package bench

import (
	"context"
	"errors"
	"path/filepath"

	"opsconductor.dev/host/automation"
)

// away is the task queue that the other host alone serves.
const away = "away"

// ChainAway is Chain over two hosts on one PostgreSQL database: this process leads,
// and every step runs in the other one, so that each goes there and comes back
// through the database.
func ChainAway(ctx context.Context, o Options) (Report, error) {
	if o.Store != "postgres" {
		return Report{}, &automation.Error{Code: automation.CodeInvalid, Message: "on SQLite there is one host", Suggestion: "--store postgres, or --hosts 1"}
	}
	o = o.chainDefaults()
	r := o.report("chain")
	r.Settings["runs"], r.Settings["steps"], r.Settings["hosts"] = o.Runs, o.Steps, 2
	for _, executor := range []string{sandbox, sandboxSmall} {
		err := withRig(ctx, o, executor, func(ctx context.Context, b *rig) (err error) {
			d := &deployment{options: o, dir: b.dir, database: b.url, key: filepath.Join(b.dir, "vault.key"), cache: b.cache}
			other, err := d.start(ctx, "other", "--queue", away)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, other.kill()) }()
			b.queue = away
			chain, err := b.chain(ctx, o.Runs, o.Steps)
			if err != nil {
				return err
			}
			o.note("%s, %s: chain of %d steps on another host: p50 %.2f ms, p99 %.2f ms a step", o.Store, b.executor, o.Steps, chain.P50MS, chain.P99MS)
			r.Results = append(r.Results, chain)
			r.finish(b)
			return nil
		})
		if err != nil {
			return r, err
		}
	}
	last := r.Results[len(r.Results)-1]
	r.add("ms_per_step_p50", last.P50MS)
	r.add("ms_per_step_p99", last.P99MS)
	return r, nil
}
