// Package host is the map of the host's rooms. It holds no code; arch_test.go
// beside it is the law that every import in the repository is checked against.
//
// Data flows one way, and results come back as facts in the store:
//
//	cmd/opsconductor, api → service → workflow → scheduler → store → worker → runner → hostfuncs → target
//
// The rooms, from the inside out:
//
//   - automation: the nouns, the states and their one transition table, facts, the
//     Error type, Secret. Standard library only; everybody imports it.
//   - workflow, workflow/expr: bytes become a plan, and a plan's expressions are
//     evaluated while its run goes on. Pure. expr is the one importer of CEL.
//   - scheduler/machine: the pure fold over facts that decides what runs next.
//   - scheduler: the loop around the machine: takes leadership, replays, commits
//     batches, hands attempts to the worker.
//   - scheduler/cron: when schedules fire, in any time zone; pure.
//   - scheduler/simtest: the machine and the loop under seeded fault schedules.
//   - store: the role interfaces. store/sqlite and store/postgres implement them,
//     store/storetest is the suite that both pass.
//   - worker: a leased attempt goes to the Executor and comes back as an outcome.
//   - runner: the Executor that runs plugins, and the broker that decides what their
//     host calls may reach. runner/engine is the one importer of Extism and wazero.
//   - registry: plugin artifacts, their manifests, digests, vetting.
//     registry/schema compiles and checks JSON Schemas.
//   - vault: sealed credentials. inventory: assets and selectors. policy: rules.
//   - service: the use cases: authorise, validate, act, audit. No net/http.
//   - api, mcp, web, legacy: the edges. client: the REST client of the CLI.
//   - telemetry: logs and metrics. config: settings. app: the composition root;
//     app/bench: the figures of `opsconductor bench`.
//
// Beside host/: hostfuncs (the functions that plugins call, never importing
// host/), sdk (what plugins import), plugins (the built-in ones), schemas
// (JSON Schemas, importing nothing).
package host
