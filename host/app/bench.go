package app

import (
	"context"
	"io"

	"opsconductor.dev/host/app/bench"
)

// BenchOptions say what a benchmark does.
type BenchOptions = bench.Options

// BenchReport is what a benchmark measured.
type BenchReport = bench.Report

// BenchSteps measures whole steps per second.
func BenchSteps(ctx context.Context, o BenchOptions) (BenchReport, error) { return bench.Steps(ctx, o) }

// BenchChain measures the added latency of sequential steps.
func BenchChain(ctx context.Context, o BenchOptions) (BenchReport, error) { return bench.Chain(ctx, o) }

// BenchFanOut measures one run of many items, and the memory that it takes.
func BenchFanOut(ctx context.Context, o BenchOptions) (BenchReport, error) {
	return bench.FanOut(ctx, o)
}

// BenchBacklog measures what a backlog costs the rate of grants.
func BenchBacklog(ctx context.Context, o BenchOptions) (BenchReport, error) {
	return bench.Backlog(ctx, o)
}

// BenchRestart measures how soon a killed host with open runs works again.
func BenchRestart(ctx context.Context, o BenchOptions) (BenchReport, error) {
	return bench.Restart(ctx, o)
}

// BenchTakeover measures how soon another host works on when the leader is killed.
func BenchTakeover(ctx context.Context, o BenchOptions) (BenchReport, error) {
	return bench.Takeover(ctx, o)
}

// BenchSoak measures whether a third of the top rate holds for long.
func BenchSoak(ctx context.Context, o BenchOptions) (BenchReport, error) { return bench.Soak(ctx, o) }

// BenchSSH measures commands on SSH servers, beside a bare loop and Ansible.
func BenchSSH(ctx context.Context, o BenchOptions) (BenchReport, error) { return bench.SSH(ctx, o) }

// BenchHalf is a part of BenchBacklog, in a process of its own, until in ends.
func BenchHalf(ctx context.Context, o BenchOptions, in io.Reader, out io.Writer) error {
	return bench.Half(ctx, o, in, out)
}

// BenchPostgres runs the benchmarks' PostgreSQL server until in ends.
func BenchPostgres(ctx context.Context, in io.Reader, out io.Writer) error {
	return bench.Postgres(ctx, in, out)
}

// BenchSandboxReport is what an attempt costs in the sandbox.
type BenchSandboxReport = bench.SandboxReport

// BenchSandbox measures the sandbox without scheduler and store.
func BenchSandbox(ctx context.Context, o BenchOptions) (BenchSandboxReport, error) {
	return bench.Sandbox(ctx, o)
}
