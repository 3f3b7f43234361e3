package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/client"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// The tags of the assets that the benchmark of SSH makes, and the credential's name.
const (
	tagReal, tagFake = "bench-real", "bench-fake"
	benchCredential  = "bench"
)

// onTargets runs a command on every asset with a tag.
const onTargets = `{"schema": "opsconductor/v1", "name": "bench-ssh", "targets": {"select": "'TAG' in asset.tags"},
"steps": [{"id": "run", "uses": "linux.command@1", "with": {"argv": ["true"]}, "timeout": "60s", "for_each": {"in": "targets"}}]}`

// SSH measures one run of `true` on Targets real SSH servers (50 without), over
// connections that have to be opened and over those that stand, Times times (6 without)
// in turn with a bare loop over x/crypto/ssh; the same by Ansible, where that is there; and
// one run on Fakes servers in process (10,000 without). The host is a process of its
// own, and its memory is that process's.
func SSH(ctx context.Context, o Options) (Report, error) {
	o = o.withSlots()
	o.Targets, o.Fakes, o.Times = cmp.Or(o.Targets, 50), cmp.Or(o.Fakes, 10_000), cmp.Or(o.Times, 6)
	r := o.report("ssh")
	r.Settings["targets"], r.Settings["fakes"], r.Settings["times"] = o.Targets, o.Fakes, o.Times
	err := o.deploy(ctx, func(ctx context.Context, d *deployment) (err error) {
		host, err := d.start(ctx, "bench", "--slots", strconv.Itoa(o.Slots))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, host.kill()) }()
		s := &sshBench{process: host, options: o, dir: d.dir, report: &r}
		if err := s.real(ctx); err != nil {
			return err
		}
		return s.fakes(ctx)
	})
	if err != nil {
		return r, fmt.Errorf("benchmark of SSH on %s: %w", o.Store, err)
	}
	r.Database, r.LoadAfter = o.Store, load()
	return r, nil
}

// sshBench is one under way.
type sshBench struct {
	*process
	options Options
	dir     string
	report  *Report
}

// real measures real servers.
func (s *sshBench) real(ctx context.Context) error {
	key := sshtest.NewKey()
	servers, endpoints, err := s.servers(ctx, key)
	defer func() {
		for _, srv := range servers {
			_ = srv.Stop()
		}
	}()
	if err != nil {
		return err
	}
	if err := s.register(ctx, tagReal, endpoints); err != nil {
		return err
	}
	plan, err := s.planOn(ctx, tagReal)
	if err != nil {
		return err
	}
	if _, err := s.once(ctx, plan, len(endpoints)); err != nil { // plugins are compiled, pages are there
		return err
	}
	var cold, warm, bareCold, bareWarm []time.Duration
	ours := func() error {
		for _, to := range []*[]time.Duration{&cold, &warm} {
			took, err := s.once(ctx, plan, len(endpoints))
			if err != nil {
				return err
			}
			*to = append(*to, took)
		}
		return nil
	}
	bare := func() error {
		b, err := bareLoop(ctx, endpoints)
		bareCold, bareWarm = append(bareCold, b.cold), append(bareWarm, b.warm)
		return err
	}
	for k := range s.options.Times { // each is the first in every other round
		for _, measure := range [][]func() error{{bare, ours}, {ours, bare}}[k%2] {
			if err := errors.Join(hangUp(ctx, servers), measure()); err != nil {
				return err
			}
		}
		s.options.note("%d servers: cold %.3f s, bare %.3f s; warm %.3f s, bare %.3f s", len(endpoints),
			cold[k].Seconds(), bareCold[k].Seconds(), warm[k].Seconds(), bareWarm[k].Seconds())
	}
	r := s.report
	r.add("cold_s", middle(cold))
	r.add("bare_cold_s", middle(bareCold))
	r.add("cold_ratio", middle(cold)/middle(bareCold))
	r.add("warm_s", middle(warm))
	r.add("bare_warm_s", middle(bareWarm))
	if !s.options.Ansible {
		return nil
	}
	return s.ansible(ctx, key, endpoints, middle(cold), middle(warm))
}

// settles is how long both sides get to put away connections that were ended.
const settles = 200 * time.Millisecond

// hangUp ends all connections of the servers and returns when these have put them
// away: what that takes of the processors, about 2.5 ms a connection, is no part of
// opening the next ones.
func hangUp(ctx context.Context, servers []*sshtest.Server) error {
	for _, srv := range servers {
		if err := srv.HangUp(ctx); err != nil {
			return err
		}
	}
	select {
	case <-time.After(settles):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// servers starts the real servers, and returns those that run also with an error.
func (s *sshBench) servers(ctx context.Context, key string) (all []*sshtest.Server, endpoints []ssh.Endpoint, err error) {
	public, err := sshtest.PublicKey(key)
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(s.dir, "sshd")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make a folder: %w", err)
	}
	port := 0
	for i := range s.options.Targets {
		srv, err := sshtest.Start(ctx, sshtest.Config{
			Dir: dir, Name: strconv.Itoa(i), Host: fmt.Sprintf("127.0.%d.%d", 1+i/250, 1+i%250), Port: port, Authorized: []string{public}, Options: []string{"LogLevel INFO"},
		})
		if err != nil {
			return all, nil, err
		}
		all, port = append(all, srv), srv.Port
		e := srv.Endpoint(fmt.Sprintf("%s-%d", tagReal, i))
		e.Credential.PrivateKey = sshtest.Plain(key)
		endpoints = append(endpoints, e)
	}
	return all, endpoints, nil
}

// registering is how many assets are created at the same time.
const registering = 32

// register makes assets of endpoints, with their credential.
func (s *sshBench) register(ctx context.Context, tag string, endpoints []ssh.Endpoint) error {
	name, c := benchCredential, endpoints[0].Credential
	if tag == tagFake {
		name += "-fake"
	}
	req := client.CredentialRequest{
		Name: name, Kind: automation.CredentialKind(c.Kind), Username: c.Username,
		Scope: client.CredentialScope{Protocols: []client.Protocol{automation.ProtocolSSH}, Tags: []string{tag}},
	}
	if c.PrivateKey != nil {
		req.PrivateKey = automation.NewSecret(c.PrivateKey.Reveal())
	}
	if c.Password != nil {
		req.Password = automation.NewSecret(c.Password.Reveal())
	}
	if _, err := s.CreateCredential(ctx, req, ""); err != nil {
		return fmt.Errorf("make a credential: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(registering)
	for i := range endpoints {
		e := &endpoints[i]
		group.Go(func() error {
			_, err := s.CreateAsset(ctx, client.AssetRequest{
				Name: e.Name, Address: e.Host, Port: e.Port, Protocol: automation.ProtocolSSH, OS: "linux", Tags: []string{tag}, HostKeys: e.HostKeys, Credential: name,
			}, "")
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("make assets: %w", err)
	}
	return nil
}

// lone is a loop over x/crypto/ssh: how long it took over new connections, and over
// those that stood then.
type lone struct{ cold, warm time.Duration }

// bareLoop runs the program true on all endpoints at once, twice, without anything
// of this product.
func bareLoop(ctx context.Context, endpoints []ssh.Endpoint) (took lone, err error) {
	conns := make([]*sshtest.Bare, len(endpoints))
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	took.cold, err = timed(ctx, len(endpoints), len(endpoints), func(ctx context.Context, i int) (err error) {
		if conns[i], err = sshtest.DialBare(ctx, endpoints[i]); err != nil {
			return err
		}
		return conns[i].Run("/bin/true")
	})
	if err != nil {
		return took, err
	}
	took.warm, err = timed(ctx, len(endpoints), len(endpoints), func(_ context.Context, i int) error { return conns[i].Run("/bin/true") })
	return took, err
}

// bareOnce runs the program true on all endpoints, some at a time, and keeps no
// connection.
func bareOnce(ctx context.Context, endpoints []ssh.Endpoint, parallel int) (time.Duration, error) {
	return timed(ctx, len(endpoints), parallel, func(ctx context.Context, i int) error {
		c, err := sshtest.DialBare(ctx, endpoints[i])
		if err != nil {
			return err
		}
		return errors.Join(c.Run("/bin/true"), c.Close())
	})
}

// timed calls do for 0 to n-1, some at a time.
func timed(ctx context.Context, n, parallel int, do func(ctx context.Context, i int) error) (time.Duration, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	began := time.Now()
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("loop over x/crypto/ssh: %w", err)
	}
	return time.Since(began), nil
}

// middle is the median of durations, in seconds; it sorts them.
func middle(d []time.Duration) float64 {
	slices.Sort(d)
	return d[len(d)/2].Seconds()
}
