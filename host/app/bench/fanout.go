package bench

import (
	"cmp"
	"context"
	"fmt"
	"math"
)

// FanOut measures one run of Items items (10,000 without) with the small module
// and with the Go plugin, and the memory of the process at its highest.
func FanOut(ctx context.Context, o Options) (Report, error) {
	o = o.withSlots()
	o.Items = cmp.Or(o.Items, 10_000)
	r := o.report("fanout")
	r.Settings["items"] = o.Items
	for _, executor := range []string{sandboxSmall, sandbox} {
		forget()
		err := withRig(ctx, o, executor, func(ctx context.Context, b *rig) error {
			fan, err := b.fanOut(ctx, o.Items)
			if err != nil {
				return err
			}
			fan.RSSMiB = status("VmHWM")
			o.note("%s, %s: a run of %d items in %.2f s, %.0f steps/s, %.0f MiB at its highest", o.Store, executor, o.Items, fan.Seconds, fan.StepsPerSecond, fan.RSSMiB)
			r.Results = append(r.Results, fan)
			r.finish(b)
			return nil
		})
		if err != nil {
			return r, fmt.Errorf("benchmark on %s, %s: %w", o.Store, executor, err)
		}
	}
	last := r.Results[len(r.Results)-1]
	r.add("seconds", last.Seconds)
	r.add("steps_per_s", last.StepsPerSecond)
	r.add("peak_rss_mib", math.Max(r.Results[0].RSSMiB, last.RSSMiB))
	return r, nil
}
