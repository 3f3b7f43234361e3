package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// History does `acts` random things to an empty store, the same for the same
// seed, some of which can't be, and returns a line for each with its outcome,
// followed by everything that can be read afterwards. Two backends that keep the
// same promises return the same lines.
func History(ctx context.Context, st store.Store, seed uint64, acts int) ([]string, error) {
	h := &history{ctx: ctx, st: st, rand: rand.New(rand.NewPCG(seed, seed)), now: start()} //nolint:gosec // chance to be repeated
	for _, tn := range []automation.TenantID{tenant, other} {
		if err := st.PutPlan(ctx, tn, digest("plan"), []byte("{}"), h.now); err != nil {
			return nil, err
		}
	}
	moves := []func() (string, any, error){
		h.accept, h.accept, h.append, h.append, h.append, h.command, h.lead, h.resign, h.host,
		h.createAsset, h.updateAsset, h.deleteAsset, h.createCredential, h.updateCredential, h.deleteCredential,
		h.createPlugin, h.updatePlugin, h.createToken, h.revokeToken,
	}
	for range acts {
		h.now = h.now.Add(time.Duration(h.rand.IntN(1e6)) * time.Microsecond)
		name, result, err := moves[h.rand.IntN(len(moves))]()
		if automation.CodeOf(err) == automation.CodeUnavailable {
			return nil, err
		}
		h.line("%s: %s %q", name, encode(result), automation.CodeOf(err))
	}
	return h.lines, h.dump()
}

type history struct {
	ctx   context.Context //nolint:containedctx // one history is one call
	st    store.Store
	rand  *rand.Rand
	now   time.Time
	epoch int64
	lines []string
}

func (h *history) line(format string, args ...any) {
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// pick returns one of a few names, so that they meet again.
func (h *history) pick(kind string, n int) string { return fmt.Sprintf("%s-%d", kind, h.rand.IntN(n)) }

func (h *history) tenant() automation.TenantID {
	if h.rand.IntN(5) == 0 {
		return other
	}
	return tenant
}

func (h *history) act(tn automation.TenantID, action string) automation.Act {
	a := automation.Act{Tenant: tn, By: h.pick("by", 2), Action: action, At: h.now}
	if h.rand.IntN(3) == 0 {
		a.Key, a.Request = h.pick("key", 8), digest(h.pick("request", 2))
	}
	if h.rand.IntN(3) == 0 {
		a.Detail = []byte(fmt.Sprintf(`{"n": %d}`, h.rand.IntN(100)))
	}
	return a
}

func (h *history) accept() (string, any, error) {
	run := newRun(h.tenant(), digest("plan"))
	run.ID, run.Created = automation.RunID(h.pick("run", 60)), h.now
	if h.rand.IntN(10) == 0 {
		run.PlanHash = digest("none")
	}
	got, created, err := h.st.Accept(h.ctx, run, h.act(run.Tenant, "run.submit"))
	return fmt.Sprint("accept ", created), got, err
}

func (h *history) append() (string, any, error) {
	b := store.Batch{Host: automation.HostID(h.pick("host", 2)), Epoch: h.epoch - int64(h.rand.IntN(4)/3)}
	for i := range h.rand.IntN(5) {
		run := automation.RunID(h.pick("run", 60))
		e := granted(run, i)
		b.Entries = append(b.Entries, e)
		if states := automation.RunStates(); h.rand.IntN(2) == 0 {
			u := automation.RunUpdate{Run: run, State: states[h.rand.IntN(len(states))], Started: h.now}
			if u.State.Ended() {
				u.Ended, u.Error = h.now, automation.Errorf(automation.CodeStepFailed, "step %d", i)
			}
			b.Runs = append(b.Runs, u)
		}
		b.Logs = append(b.Logs, store.AttemptLogs{
			Tenant: tenant, Attempt: automation.AttemptKey{Run: run, Item: i, Attempt: 1 + h.rand.IntN(2)},
			Lines: []automation.LogLine{{At: h.now, Level: "info", Message: h.pick("text", 9)}},
		})
	}
	if h.rand.IntN(3) == 0 {
		b.Commands = []automation.CommandID{automation.CommandID(h.pick("command", 20))}
	}
	err := h.st.Append(h.ctx, b)
	if code := automation.CodeOf(err); code == automation.CodeNotFound && !errors.Is(err, store.ErrFenced) {
		// Of two faults in one batch, the backends find another one first.
		err = automation.Errorf(automation.CodeConflict, "refused")
	}
	return "append", b.Entries, err
}

func (h *history) command() (string, any, error) {
	c := automation.Command{
		ID: automation.CommandID(h.pick("command", 20)), Tenant: h.tenant(), Run: automation.RunID(h.pick("run", 60)),
		Kind: automation.FactCancelAsked, By: "ann", Reason: h.pick("reason", 3), At: h.now,
	}
	return "command", nil, h.st.PutCommand(h.ctx, c, h.act(c.Tenant, "run.cancel"))
}

func (h *history) lead() (string, any, error) {
	epoch, err := h.st.Lead(h.ctx, 0, automation.HostID(h.pick("host", 2)), h.epoch-int64(h.rand.IntN(3)/2), time.Hour)
	if err == nil {
		h.epoch = epoch
	}
	return "lead", epoch, err
}

func (h *history) resign() (string, any, error) {
	return "resign", nil, h.st.Resign(h.ctx, 0, automation.HostID(h.pick("host", 2)), h.epoch-int64(h.rand.IntN(2)))
}

func (h *history) host() (string, any, error) {
	id, epoch := automation.HostID(h.pick("host", 3)), int64(h.rand.IntN(4))
	switch h.rand.IntN(3) {
	case 0:
		host, err := h.st.RegisterHost(h.ctx, automation.Host{ID: id, Name: h.pick("name", 3), Slots: h.rand.IntN(9)})
		host.Heartbeat, host.Age = time.Time{}, 0
		return "register", host, err
	case 1:
		return "reap", nil, h.st.ReapHost(h.ctx, id, epoch, automation.HostLost)
	}
	return "heartbeat", nil, h.st.Heartbeat(h.ctx, id, epoch, automation.Beat{State: automation.HostLive})
}

func (h *history) asset() automation.Asset {
	a := newAsset(h.pick("asset", 8))
	a.ID, a.Tenant, a.Created, a.Updated = automation.AssetID(h.pick("a", 10)), h.tenant(), h.now, h.now
	a.Version = 1 + int64(h.rand.IntN(3))
	if h.rand.IntN(3) == 0 {
		a.Credential = automation.CredentialID(h.pick("c", 5))
	}
	if h.rand.IntN(3) == 0 {
		a.Tags, a.Vars = nil, map[string]any{"x": map[string]any{"é": "\x00"}}
	}
	return a
}

func (h *history) createAsset() (string, any, error) {
	a := h.asset()
	got, created, err := h.st.CreateAsset(h.ctx, a, h.act(a.Tenant, "asset.create"))
	return fmt.Sprint("create asset ", created), got, err
}

func (h *history) updateAsset() (string, any, error) {
	a := h.asset()
	got, err := h.st.UpdateAsset(h.ctx, a, h.act(a.Tenant, "asset.update"))
	return "update asset", got, err
}

func (h *history) deleteAsset() (string, any, error) {
	a := h.asset()
	return "delete asset", nil, h.st.DeleteAsset(h.ctx, a.Tenant, a.ID, h.act(a.Tenant, "asset.delete"))
}

func (h *history) credential() automation.Credential {
	c := newCredential(h.pick("credential", 4))
	c.ID, c.Tenant, c.Created, c.Updated = automation.CredentialID(h.pick("c", 5)), h.tenant(), h.now, h.now
	c.Version = 1 + int64(h.rand.IntN(3))
	return c
}

func (h *history) createCredential() (string, any, error) {
	c := h.credential()
	got, created, err := h.st.CreateCredential(h.ctx, c, h.act(c.Tenant, "credential.create"))
	return fmt.Sprint("create credential ", created), got, err
}

func (h *history) updateCredential() (string, any, error) {
	c := h.credential()
	got, err := h.st.UpdateCredential(h.ctx, c, h.act(c.Tenant, "credential.update"))
	return "update credential", got, err
}

func (h *history) deleteCredential() (string, any, error) {
	c := h.credential()
	return "delete credential", nil, h.st.DeleteCredential(h.ctx, c.Tenant, c.ID, h.act(c.Tenant, "credential.delete"))
}

func (h *history) plugin() (automation.Plugin, []byte) {
	p, wasm := newPlugin(h.pick("plugin", 2), h.pick("1.0", 2), h.pick("content", 4))
	p.ID, p.Tenant, p.Created, p.Updated = automation.PluginID(h.pick("p", 9)), h.tenant(), h.now, h.now
	p.RowNumber = 1 + int64(h.rand.IntN(2))
	return p, wasm
}

func (h *history) createPlugin() (string, any, error) {
	p, wasm := h.plugin()
	got, created, err := h.st.CreatePlugin(h.ctx, p, wasm, h.act(p.Tenant, "plugin.upload"))
	return fmt.Sprint("create plugin ", created), got, err
}

func (h *history) updatePlugin() (string, any, error) {
	p, _ := h.plugin()
	p.State = automation.PluginActive
	got, err := h.st.UpdatePlugin(h.ctx, p, h.act(p.Tenant, "plugin.activate"))
	return "update plugin", got, err
}

func (h *history) createToken() (string, any, error) {
	t := newToken(h.pick("token", 6))
	t.ID, t.Tenant, t.Created = automation.TokenID(h.pick("t", 6)), h.tenant(), h.now
	got, created, err := h.st.CreateToken(h.ctx, t, h.act(t.Tenant, "token.create"))
	return fmt.Sprint("create token ", created), got, err
}

func (h *history) revokeToken() (string, any, error) {
	tn := h.tenant()
	return "revoke token", nil, h.st.RevokeToken(h.ctx, tn, automation.TokenID(h.pick("t", 6)), h.act(tn, "token.revoke"))
}

// dump adds a line for everything that can be read.
func (h *history) dump() error {
	var err error
	add := func(what string, v any, e error) {
		h.line("%s: %s", what, encode(v))
		if err == nil {
			err = e
		}
	}
	last, e := h.st.Replay(h.ctx, 0, func(e automation.Entry) error { add("replay", e, nil); return nil })
	add("last number", last, e)
	accepted, e := h.st.Accepted(h.ctx, 0, 0, 1000)
	add("accepted", accepted, e)
	waiting, e := h.st.Commands(h.ctx, 0, 1000)
	add("commands", waiting, e)
	all, e := h.st.Hosts(h.ctx)
	for i := range all {
		all[i].Heartbeat, all[i].Age = time.Time{}, 0
	}
	add("hosts", all, e)
	for _, tn := range []automation.TenantID{tenant, other} {
		h.dumpTenant(tn, add)
	}
	return err
}

func (h *history) dumpTenant(tn automation.TenantID, add func(string, any, error)) {
	page := automation.Page{Limit: 1000}
	runs, err := h.st.ListRuns(h.ctx, tn, store.RunQuery{}, page)
	add("runs", runs, err)
	for _, r := range runs {
		entries, err := h.st.RunEntries(h.ctx, tn, r.ID, 0, 1000)
		add("entries", entries, err)
		logs, err := h.st.RunLogs(h.ctx, tn, r.ID, automation.AttemptKey{}, 1000)
		add("logs", logs, err)
	}
	assets, err := h.st.ListAssets(h.ctx, tn, page)
	add("assets", assets, err)
	creds, err := h.st.ListCredentials(h.ctx, tn, page)
	add("credentials", creds, err)
	plugins, err := h.st.ListPlugins(h.ctx, tn)
	add("plugins", plugins, err)
	tokens, err := h.st.ListTokens(h.ctx, tn, page)
	add("tokens", tokens, err)
	audit, err := h.st.Audit(h.ctx, tn, 0, 10000)
	add("audit", audit, err)
	n, err := store.VerifyAudit(h.ctx, h.st, tn)
	add("audit entries found good", n, err)
}
