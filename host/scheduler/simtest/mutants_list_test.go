package simtest_test

// The checks that mutants are put to.
const (
	bySim      = "sim"      // the simulation
	byWalk     = "walk"     // the machine's walk and its tests
	byLoop     = "loop"     // the tests of the loop, on both stores
	bySQLite   = "sqlite"   // the store suite on SQLite
	byPostgres = "postgres" // the store suite on PostgreSQL
)

// mutant takes one rule out of the product: text of a file that is there once, and
// what stands in its place.
type mutant struct {
	name, by, file, old, new string
}

func mutants() []mutant {
	const (
		loop    = "host/scheduler/"
		machine = "host/scheduler/machine/"
		lite    = "host/store/sqlite/"
		pg      = "host/store/postgres/"
	)
	return []mutant{
		// Epochs, leases and the order of commits and acts, in the loop.
		{"an attempt begins before its grant is committed", bySim, loop + "turn.go", "	if news(&b) {\n", "	l.worker.Start(ctx, own)\n	own = nil\n	if news(&b) {\n"},
		{"an intent is answered before its commit", bySim, loop + "turn.go", "			waiting = append(waiting, in)\n", "			t.tell(&in, nil)\n"},
		{"the worker asks for no leave to act", bySim, "host/worker/worker.go", "err := w.cfg.Intend(ctx, a, command)", "err := ctx.Err()"},
		{"outcomes of a turn that failed are dropped", bySim, loop + "turn.go", "	l.inbox.giveBack(h.results[:h.own])\n", ""},
		{"a commit whose answer is lost is taken for not made", bySim, loop + "turn.go", "t.doubt = t.doubt || len(own) > 0 && !errors.Is(err, store.ErrFenced)", "t.doubt = false"},
		{"runs that were read are read again", bySim, loop + "read.go", "		t.seq = entries[i].Seq\n", ""},
		{"a plan that can't be read now fails its run", bySim, loop + "read.go", " || automation.CodeOf(err) == automation.CodeUnavailable", ""},
		{"half a machine decides", bySim, loop + "loop.go", "if !t.fresh && !t.others() {", "if !t.others() {"},
		{"rates are forgotten by a new leader", bySim, loop + "recover.go", "	t.m.SetBuckets(buckets)\n", "	_ = buckets\n"},
		{"a new leader leaves what was delivered to it", bySim, loop + "recover.go", "if err := t.me.take(ctx); err != nil {", "if err := ctx.Err(); err != nil {"},
		{"hosts are reaped while their lease holds", bySim, loop + "peers.go", "p.host.Age > 2*ttl && now.Sub(p.since) > ttl/2", "p.host.Age > ttl/3"},
		{"hosts are never reaped", bySim, loop + "peers.go", "p.host.Age > 2*ttl && now.Sub(p.since) > ttl/2", "ttl < 0"},
		{"a host's new epoch goes unseen", bySim, loop + "peers.go", "	if p.host.Epoch != h.Epoch {\n", "	if false {\n"},
		{"attempts of an epoch that is over are kept", bySim, loop + "peers.go", "		case p == nil || p.host.Epoch != epoch:\n", "		case p == nil:\n"},
		{"lost grants are not found after a replay", bySim, loop + "peers.go", "			if mine != nil && !mine[key] {\n", "			if false {\n"},
		{"a host is reaped without its epoch being raised", bySim, loop + "peers.go", "if err := l.cfg.Store.ReapHost(ctx, h.ID, h.Epoch, automation.HostLost); err != nil {", "if err := ctx.Err(); err != nil {"},
		{"attempts are delivered to the epoch before", bySim, loop + "turn.go", "store.Delivery{Host: a.Host, Epoch: a.HostEpoch, Kind: store.DeliverAttempt", "store.Delivery{Host: a.Host, Epoch: a.HostEpoch - 1, Kind: store.DeliverAttempt"},
		{"reports that were not stored are dropped", bySim, loop + "member.go", "			return fmt.Errorf(\"report to the leader: %w\", err)", "			m.pending = nil\n			return nil"},
		{"a host that comes to lead drops its reports", bySim, loop + "loop.go", "	m.unsend()\n", "	m.pending = nil\n"},
		{"slots are not counted", bySim, loop + "peers.go", "if r.used++; r.used >= r.slots ||", "if r.used++;"},
		{"rates stand still when a clock is set back", byLoop, loop + "turn.go", "	t.setBack(now)\n", ""},

		// The way of an attempt's lines while it is at work.
		{"lines whose answer was lost go again with more beside them", bySim, loop + "lines.go", "	if s.sent == 0 {\n		s.sent = fit(news, *left)\n	}\n", "	s.sent = fit(news, *left)\n"},
		{"lines whose answer was lost go again under another number", bySim, loop + "lines.go", "chunks); err != nil {\n", "chunks); err != nil {\n		for i := range chunks {\n			l.stored[chunks[i].Attempt].chunk++\n		}\n"},
		{"lines that could not be stored are taken for stored", bySim, loop + "lines.go", "	if err := l.store.PutLiveLogs(ctx, host.ID, host.Epoch, chunks); err != nil {\n		return err\n	}\n", "	_ = l.store.PutLiveLogs(ctx, host.ID, host.Epoch, chunks)\n"},
		{"lines stay beside the whole log", bySim, loop + "loop.go", "	r.Live = l.lines.over(r.Attempt.AttemptKey)\n", "	l.lines.over(r.Attempt.AttemptKey)\n"},
		{"lines stay beside a whole log that a leader of another host commits", bySim, loop + "peers.go", ", Live: r.Live}", "}"},
		{"lines of an outcome that is reported to another host are not in it", bySim, loop + "member.go", "	results, intents := m.loop.inbox.take()\n", "	results, intents := m.loop.inbox.take()\n	for i := range results {\n		results[i].Outcome.Logs = nil\n	}\n"},
		{"lines of attempts are joined with those of others", bySim, "host/store/live.go", "i > 0 && chunks[i-1].Attempt == c.Attempt", "i > 0"},
		{"lines are read again", bySim, "host/store/live.go", "all[last].Lines, all[last].Chunk = append(all[last].Lines, c.Lines...), c.Chunk", "all[last].Lines = append(all[last].Lines, c.Lines...)"},

		// The rules of the machine.
		{"the outcome of any attempt counts", bySim, machine + "apply.go", "if f.Attempt != it.attempt || f.Host != it.host || f.HostEpoch != it.epoch {", "if false {"},
		{"an attempt that acted is granted again", bySim, machine + "retry.go", "return it.intent && e != automation.EffectPure && e != automation.EffectIdempotent", "return it.intent && e == \"\""},
		{"limits let one too many in", bySim, machine + "limit.go", "l.max > 0 && l.used >= l.max", "l.max > 0 && l.used > l.max"},
		{"rates bound nothing", bySim, machine + "limit.go", "return l.gap > 0 && l.tat-now.UnixNano() > l.window", "return false"},
		{"an unknown item gives its slot back", bySim, machine + "tell.go", "	it.outcome = o\n	if it.step.run.stopping == \"\" {\n", "	it.outcome = o\n	if it.step.run.stopping == \"\" {\n		m.release(it, at)\n"},
		{"a step does not wait for all that it needs", bySim, machine + "step.go", "		if next.blocks == 0 && next.state == automation.ItemBlocked && r.stopping == \"\" {", "		if next.state == automation.ItemBlocked && r.stopping == \"\" {"},
		{"a paused run goes on", byWalk, machine + "offer.go", "	case f.above == nil && f.step.run.state == automation.RunPaused:", "	case f.above != nil && f.step.run.state == automation.RunPaused:"},

		// The fences of the stores.
		{"SQLite: a leader whose epoch is over commits", bySQLite, lite + "log.go", "AND leader = ? AND leader_epoch = ? RETURNING", "AND leader = ? AND leader_epoch >= ? - 1000000 RETURNING"},
		{"SQLite: a lease that holds is taken", bySQLite, lite + "leases.go", "leader_until <= ` + clock + `) AND facts_format", "leader_until <= ` + clock + ` OR true) AND facts_format"},
		{"SQLite: a take leaves the epoch as it is", bySQLite, lite + "leases.go", "leader_epoch = leader_epoch + (leader <> @host OR leader_epoch <> @epoch)", "leader_epoch = leader_epoch + (@epoch < 0)"},
		{"SQLite: a host whose epoch is over reports", bySQLite, lite + "post.go", "SELECT 1 FROM hosts WHERE id = ? AND epoch = ?", "SELECT 1 FROM hosts WHERE id = ? AND ? > 0"},
		{"SQLite: a host whose epoch is over renews its lease", bySQLite, lite + "leases.go", "state = ?, at_work = ? WHERE id = ? AND epoch = ?", "state = ?, at_work = ? WHERE id = ? AND epoch >= ?"},
		{"SQLite: a reaped host keeps its epoch", bySQLite, lite + "leases.go", "UPDATE hosts SET epoch = epoch + 1, state = ?", "UPDATE hosts SET epoch = epoch, state = ?"},
		{"SQLite: deliveries outlive their epoch", bySQLite, lite + "leases.go", "host_id = @host AND epoch < (", "host_id = @host AND epoch < 0 * ("},
		{"PostgreSQL: a leader whose epoch is over commits", byPostgres, pg + "log.go", "`SELECT take_numbers($1, $2, $3, $4)`", "`SELECT take_numbers($1, $2, $3, (SELECT leader_epoch FROM shards WHERE shard = $1 AND $4::bigint IS NOT NULL))`"},
		{"PostgreSQL: a lease that holds is taken", byPostgres, pg + "leases.go", "leader_until <= clock_timestamp()) AND facts_format", "leader_until <= clock_timestamp() OR true) AND facts_format"},
		{"PostgreSQL: a host whose epoch is over reports", byPostgres, pg + "post.go", "`SELECT hold_host($1, $2)`", "`SELECT hold_host($1, (SELECT epoch FROM hosts WHERE id = $1 AND $2::bigint IS NOT NULL))`"},
		{"PostgreSQL: a host whose epoch is over renews its lease", byPostgres, pg + "leases.go", "state = $3, at_work = $4 WHERE id = $1 AND epoch = $2", "state = $3, at_work = $4 WHERE id = $1 AND epoch >= $2"},
		{"PostgreSQL: a reaped host keeps its epoch", byPostgres, pg + "leases.go", "UPDATE hosts SET epoch = epoch + 1, state = $3, at_work = 0", "UPDATE hosts SET epoch = epoch, state = $3, at_work = 0"},
	}
}
