package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"opsconductor.dev/host/client"
)

// reviewPlugin shows a plugin version with what was found in it, and how it differs
// from the active one.
func (c *cli) reviewPlugin(ctx context.Context, host *client.Client, p client.Plugin) error {
	r, err := host.ReviewPlugin(ctx, string(p.Digest))
	if err != nil {
		return err
	}
	if c.format != formatTable {
		return c.show(struct {
			client.Plugin
			Review client.PluginReview `json:"review"`
		}{p, r})
	}
	if err := c.showPlugin(p); err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	if err := c.show(r, findingPairs(r)...); err != nil || r.Changes.Against == "" {
		return err
	}
	fmt.Fprintln(c.out)
	return c.show(r, changePairs(r)...)
}

func findingPairs(r client.PluginReview) []pair {
	f := r.Findings
	out := []pair{
		{"calls", listed(f.HostFunctions)},
		{"imports", strconv.Itoa(len(f.Imports))},
		{"sections", strconv.Itoa(f.Sections)},
		{"functions", strconv.Itoa(f.Functions)},
		{"code bytes", strconv.Itoa(f.CodeBytes)},
		{"data bytes", strconv.Itoa(f.DataBytes)},
		{"memory", fmt.Sprintf("%d KiB at the start", f.MemoryBytes>>10)},
		{"checked in", fmt.Sprintf("%d ms", f.VetMillis)},
	}
	for _, w := range f.Warnings {
		out = append(out, pair{"warning", w})
	}
	return out
}

func changePairs(r client.PluginReview) []pair {
	d := r.Changes
	out := []pair{{"against", d.Against}}
	for _, part := range []struct {
		name string
		list []string
	}{
		{"functions added", d.AddedFunctions},
		{"functions removed", d.RemovedFunctions},
		{"actions added", d.AddedActions},
		{"actions removed", d.RemovedActions},
	} {
		if len(part.list) > 0 {
			out = append(out, pair{part.name, listed(part.list)})
		}
	}
	for _, a := range d.ChangedActions {
		out = append(out, pair{"action " + a.Action, listed(a.What)})
	}
	if d.NeedApproval {
		out = append(out, pair{"approval", "activating it takes --approve-changes"})
	}
	return out
}

// listed joins names; "none" without one.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
