package chaos_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/app"
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/chaos"
	"opsconductor.dev/host/client"
	"opsconductor.dev/host/config"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/postgres/privatepg"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// The sizes of a deployment.
const (
	servers = 3  // hosts on PostgreSQL
	sshds   = 3  // SSH servers
	targets = 12 // assets, spread over them
	slots   = 8  // of a host
	crowd   = 5  // attempts of the concurrency key
)

// sender asks hosts; one that is cut off must not hold up the tests.
var sender = &http.Client{Timeout: 8 * time.Second, Transport: &http.Transport{
	DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, DisableKeepAlives: true,
}}

// plan is what a deployment is made of beside what every one has.
type plan struct {
	postgres bool
	// wires: every host has a network of its own.
	wires bool
	// pg is how the database runs; disk is the folder of a SQLite database.
	pg   privatepg.Config
	disk string
	// standby: a second database server follows the first.
	standby bool
	// overlay: the hosts' binary is built with it; env is added to their environment.
	overlay string
	env     []string
	clock   string // a file that says by how much a clock was moved
	hosts   int    // 0: servers with PostgreSQL, else one
	// flags are added to the hosts' own; site gives settings of an SSH server, by its
	// number.
	flags []string
	site  func(n int) []string
}

// deployment is hosts, their database, and targets that keep ledgers.
type deployment struct {
	t        *testing.T
	plan     plan
	dir      string
	ledgers  string
	pg       *privatepg.Cluster
	standby  *privatepg.Cluster
	hosts    []*host
	sites    []*link // to the SSH servers
	token    string
	database string // for whoever reads the store beside the hosts
	recorder string
	places   map[*host][]string // the sockets that a host's links lead to
}

// deploy starts everything and registers the targets.
func deploy(t *testing.T, p plan) *deployment {
	t.Helper()
	d := &deployment{t: t, plan: p, places: map[*host][]string{}, dir: t.TempDir(), recorder: compiled(t, "opsconductor.dev/host/chaos/recorder", "")}
	d.ledgers = filepath.Join(d.dir, "ledgers")
	if err := os.Mkdir(d.ledgers, 0o700); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(d.dir, "vault.key")
	if err := os.WriteFile(key, []byte("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program := compiled(t, "opsconductor.dev/cmd/opsconductor", p.overlay)
	n := p.hosts
	if n == 0 && p.postgres {
		n = servers
	}
	if p.postgres {
		d.startDatabase()
	} else {
		disk := p.disk
		if disk == "" {
			disk = d.dir
		}
		d.database = filepath.Join(disk, "host.db")
	}
	for i := range max(n, 1) {
		h := &host{
			t: t, name: fmt.Sprintf("h%d", i+1), dir: filepath.Join(d.dir, fmt.Sprintf("h%d", i+1)), env: p.env, program: program,
			args: []string{"--key-file", key, "--cache-dir", filepath.Join(programs.dir, "cache"), "--slots", fmt.Sprint(slots), "--shutdown-timeout", "20s"},
		}
		if p.overlay != "" {
			h.clock = fmt.Sprintf("%s-%d", p.clock, i)
			h.env = append(slices.Clone(p.env), hostClock+"="+h.clock)
		}
		if p.wires {
			h.wire = newWire(t)
		}
		h.args = append(append(h.args, p.flags...), "--database-url", d.connect(h))
		t.Cleanup(h.kill)
		h.start()
		if i == 0 {
			b, err := os.ReadFile(filepath.Join(h.dir, "admin.token"))
			if err != nil {
				t.Fatal(err)
			}
			d.token = strings.TrimSpace(string(b))
		}
		d.hosts = append(d.hosts, h)
	}
	d.addTargets()
	eventually(t, "a host leads and all are live", func() bool { return d.live() == len(d.hosts) && d.leader() != nil })
	return d
}

func (d *deployment) startDatabase() {
	d.t.Helper()
	conf := d.plan.pg
	if d.plan.standby {
		conf.Settings = map[string]string{"hot_standby": "on", "wal_sender_timeout": "5s"}
	}
	var err error
	if d.pg, err = privatepg.Start(context.WithoutCancel(d.t.Context()), conf); err != nil {
		d.t.Fatalf("start PostgreSQL: %v", err)
	}
	d.t.Cleanup(func() {
		_ = d.pg.Stop()
		if d.standby != nil {
			_ = d.standby.Stop()
		}
	})
	if d.database, err = d.pg.CreateDatabase(d.t.Context(), "chaos"); err != nil {
		d.t.Fatal(err)
	}
	if d.plan.standby {
		d.follow()
	}
}

// follow gives the database a standby, without which nothing commits from here on.
func (d *deployment) follow() {
	d.t.Helper()
	var err error
	if d.standby, err = d.pg.StartStandby(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// connect returns the database's URL for a host: through links of its own.
func (d *deployment) connect(h *host) string {
	d.t.Helper()
	if !d.plan.postgres {
		return d.database
	}
	places := []string{d.pg.Socket()}
	if d.standby != nil {
		places = append(places, d.standby.Socket())
	}
	d.places[h] = places
	var names, ports []string
	for _, socket := range places {
		k := newLink(d.t, dialTo("unix", socket))
		h.links = append(h.links, k)
		names, ports = append(names, address), append(ports, fmt.Sprint(k.port))
	}
	url := fmt.Sprintf("postgres:///chaos?user=postgres&sslmode=disable&host=%s&port=%s", strings.Join(names, ","), strings.Join(ports, ","))
	if len(places) > 1 {
		url += "&target_session_attrs=read-write"
	}
	return url
}

func (d *deployment) addTargets() {
	d.t.Helper()
	ctx, cl := d.t.Context(), d.hosts[0].client(d.token)
	for i := range sshds {
		options := []string{"MaxStartups 200", "MaxSessions 100"}
		if d.plan.site != nil {
			options = append(options, d.plan.site(i)...)
		}
		srv, err := sshtest.Start(context.WithoutCancel(ctx), sshtest.Config{Dir: d.t.TempDir(), Options: options})
		if err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(func() { _ = srv.Stop() })
		site := newLink(d.t, dialTo("tcp", srv.Addr))
		d.sites = append(d.sites, site)
		name := fmt.Sprintf("key%d", i)
		_, err = cl.CreateCredential(ctx, client.CredentialRequest{
			Name: name, Kind: automation.CredentialSSHKey, Username: srv.User, PrivateKey: client.NewSecret([]byte(srv.ClientKey)),
			Scope: client.CredentialScope{Protocols: []client.Protocol{automation.ProtocolSSH}, Assets: []string{"*"}},
		}, "")
		if err != nil {
			d.t.Fatal(err)
		}
		for j := i; j < targets; j += sshds {
			asset := client.AssetRequest{
				Name: fmt.Sprintf("t%02d", j), Address: address, Port: site.port, Protocol: automation.ProtocolSSH, OS: "linux",
				Tags: []string{"chaos"}, HostKeys: srv.HostKeys, Credential: name,
			}
			if _, err := cl.CreateAsset(ctx, asset, ""); err != nil {
				d.t.Fatal(err)
			}
		}
	}
	if _, err := cl.CreateLimit(ctx, client.LimitRequest{Kind: automation.LimitConcurrency, Match: "crowd", Max: crowd}, ""); err != nil {
		d.t.Fatal(err)
	}
}

// ask asks hosts one after the other, until one answers.
func (d *deployment) ask(question func(cl *client.Client) error) error {
	var err error
	for _, h := range d.hosts {
		if err = question(h.client(d.token)); err == nil {
			return nil
		}
	}
	return err
}

func (d *deployment) rows() []client.Host {
	var rows []client.Host
	_ = d.ask(func(cl *client.Client) error {
		got, err := cl.Hosts(d.t.Context())
		rows = got
		return err
	})
	return rows
}

// live counts the hosts that take attempts.
func (d *deployment) live() int {
	n := 0
	for _, r := range d.rows() {
		if r.State == automation.HostLive && r.AgeMS < 4000 {
			n++
		}
	}
	return n
}

// leader returns the host that leads; nil when none is known.
func (d *deployment) leader() *host {
	for _, r := range d.rows() {
		if !r.Leader {
			continue
		}
		for _, h := range d.hosts {
			if h.name == r.Name {
				return h
			}
		}
	}
	return nil
}

// lead waits until a host leads, and returns it.
func (d *deployment) lead() *host {
	d.t.Helper()
	var h *host
	eventually(d.t, "a host leads", func() bool { h = d.leader(); return h != nil })
	return h
}

// another waits until a host leads that is not h.
func (d *deployment) another(h *host) {
	d.t.Helper()
	eventually(d.t, "another host leads", func() bool {
		now := d.leader()
		return now != nil && now != h
	})
}

// other returns a host that is not h.
func (d *deployment) other(h *host) *host {
	for _, o := range d.hosts {
		if o != h {
			return o
		}
	}
	return h
}

// links are all the hosts' links to the database.
func (d *deployment) links() []*link {
	var out []*link
	for _, h := range d.hosts {
		out = append(out, h.links...)
	}
	return out
}

// ledger reads what all targets wrote down.
func (d *deployment) ledger() []chaos.Line {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.ledgers, "*"))
	if err != nil {
		d.t.Fatal(err)
	}
	var out []chaos.Line
	for _, f := range files {
		lines, err := chaos.ReadLedger(f)
		if err != nil {
			d.t.Fatal(err)
		}
		out = append(out, lines...)
	}
	return out
}

// stop stops all hosts, so that nobody but the test has the store open.
func (d *deployment) stop() {
	d.t.Helper()
	var all sync.WaitGroup
	for _, h := range d.hosts {
		all.Go(h.kill)
	}
	all.Wait()
}

// entries reads the facts of runs from the store.
func (d *deployment) entries(runs []string) map[string][]automation.Entry {
	d.t.Helper()
	url := d.database
	if d.pg != nil {
		url = d.pg.URL("chaos")
	}
	ctx := d.t.Context()
	var opened store.Store
	opened, err := app.OpenStore(ctx, config.DSN(url), "")
	if err != nil {
		d.t.Fatal(err)
	}
	defer opened.Close()
	out := map[string][]automation.Entry{}
	for _, id := range runs {
		for after := int64(0); ; {
			list, err := opened.RunEntries(ctx, automation.DefaultTenant, automation.RunID(id), after, 1000)
			if err != nil {
				d.t.Errorf("the facts of run %s: %v", id, err)
				break
			}
			out[id] = append(out[id], list...)
			if len(list) < 1000 {
				break
			}
			after = list[len(list)-1].Seq
		}
	}
	return out
}
