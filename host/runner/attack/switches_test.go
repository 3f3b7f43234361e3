package attack_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/runner/engine"
)

// defence is one thing that stands between a hostile module and the host, with the
// switch that takes it out and an attack that it stops.
type defence struct {
	name string
	// bound is the setting that is raised to off: limits.X of an attempt, module.X of
	// what is accepted, engine.X; "": without does it.
	bound   string
	off     int64
	without func(s *settings, a *attack)
	attack  string // family/name
	budget  time.Duration
}

// most is a bound that nothing reaches.
const most = 1 << 40

// defences are all that can be taken out. A bound without a row fails
// TestEveryBoundHasASwitch. What they leave to run ends with the budget of the
// call, and with the fuel where the budget is what is taken out.
func defences() []defence {
	return []defence{
		{name: "fuel", bound: "limits.Fuel", off: most, attack: "loop without a deadline/br"},
		{name: "wall time", attack: "loop in call/br", budget: time.Hour, without: func(s *settings, _ *attack) { s.limits.Fuel = 50_000_000 }},
		{name: "wall time of an initialisation", attack: "loop in _initialize/br", budget: time.Hour, without: func(s *settings, _ *attack) { s.limits.Fuel = 50_000_000 }},
		{name: "call depth", bound: "engine.StackBytes", off: 1 << 30, attack: "recursion/bare"},
		{name: "memory", bound: "limits.MemoryBytes", off: 128 << 20, attack: "memory/all of the limit at the start"},
		{name: "memory of a deployment", bound: "engine.MaxMemoryBytes", off: 1 << 30, attack: "memory/grow by 4096 and trap"},
		{name: "growth of tables", bound: "engine.TableElements", off: 2 << 20, attack: "table/grow by 1048576"},
		{name: "host calls", bound: "limits.HostCalls", off: most, attack: "quota/host calls"},
		{name: "input", bound: "limits.InputBytes", off: most, attack: "quota/input"},
		{name: "output", bound: "limits.OutputBytes", off: most, attack: "quota/output"},
		{name: "a host function's request", bound: "limits.HostCallBytes", off: most, attack: "quota/a request of 13 MB"},
		{name: "a host function's answer", bound: "limits.HostCallBytes", off: most, attack: "quota/an answer of 2 MB"},
		{name: "bytes moved by host functions", bound: "limits.RemoteBytes", off: most, attack: "quota/bytes moved by host functions"},
		{name: "a sleep", bound: "limits.Sleep", off: int64(time.Hour), attack: "WASI/a sleep past the cap"},
		{name: "log", bound: "logBytes", off: 1 << 30, attack: "quota/log lines"},
		{name: "time to compile", bound: "engine.CompileTimeout", off: int64(time.Minute), attack: "compile bomb/past the time for it"},

		{name: "bytes of a file", bound: "module.Bytes", off: most, attack: "too many/a file of 25 MB"},
		{name: "types", bound: "module.Types", off: most, attack: "too many/5000 types"},
		{name: "imports", bound: "module.Imports", off: most, attack: "foreign import/257 of them"},
		{name: "functions", bound: "module.Functions", off: most, attack: "compile bomb/65537 functions"},
		{name: "bytes of a function", bound: "module.FunctionBytes", off: most, attack: "compile bomb/a body of 132096 bytes"},
		{name: "locals", bound: "module.Locals", off: most, attack: "compile bomb/1025 locals"},
		{name: "blocks", bound: "module.Blocks", off: most, attack: "compile bomb/2049 loops"},
		{name: "nesting", bound: "module.Nesting", off: most, attack: "compile bomb/2049 nested blocks", without: func(s *settings, _ *attack) { setBound(s, "module.Blocks", most) }},
		{name: "compile cost", bound: "module.CompileCost", off: most, attack: "compile bomb/blocks times blocks, a little"},
		{name: "globals", bound: "module.Globals", off: most, attack: "too many/5000 globals"},
		{name: "exports", bound: "module.Exports", off: most, attack: "too many/10000 exports"},
		{name: "tables", bound: "module.Tables", off: most, attack: "table/nine"},
		{name: "size of a table", bound: "module.TableElements", off: 1 << 20, attack: "table/100001 elements at the start"},
		{name: "size of the memory", bound: "module.MemoryPages", off: 65536, attack: "memory/513 pages at the start"},
		{name: "segments", bound: "module.Segments", off: most, attack: "too many/65537 data segments"},
		{name: "size of a manifest", bound: "module.CustomBytes", off: most, attack: "manifest/of 2 MB"},

		{name: "the registry's look at a start function", attack: "start function/br", without: past},
		{name: "the registry's look at host functions", attack: "foreign import/extism:host/user rm_rf I>I", without: past},
		{name: "the registry's look at the manifest", attack: "manifest/none", without: past},
		{name: "the engine's look at imports", attack: "foreign import/extism:host/env http_request II>I", without: func(s *settings, a *attack) {
			past(s, a)
			s.engine.Undefended.Imports = true
		}},
		{name: "no files", attack: "WASI/fd_prestat_get", without: func(s *settings, _ *attack) {
			s.engine.Undefended.Files = fstest.MapFS{"secret": {Data: []byte("x")}}
		}},
		{name: "the edge of the host's buffers", attack: "host's buffers/store at into nothing", without: func(s *settings, _ *attack) {
			s.engine.Undefended.Edges = true
		}},
	}
}

// past goes by the registry.
func past(_ *settings, a *attack) { a.direct = true }

// setBound sets a bound wherever it is looked at.
func setBound(s *settings, name string, v int64) {
	room, field, _ := strings.Cut(name, ".")
	switch room {
	case "limits":
		number(&s.limits, field).SetInt(v)
	case "module":
		number(&s.registry, field).SetInt(v)
		number(&s.engine.Module, field).SetInt(v)
	case "engine":
		if f := number(&s.engine, field); f.CanInt() {
			f.SetInt(v)
		} else {
			f.SetUint(uint64(v))
		}
	case "logBytes":
		s.logBytes = int(v)
	}
}

func number(of any, field string) reflect.Value { return reflect.ValueOf(of).Elem().FieldByName(field) }

// TestSwitches: an attack that a defence stops is not stopped so without that one
// defence, all others being in place. A defence that can be taken out without a
// change would be none.
func TestSwitches(t *testing.T) {
	t.Parallel()
	all := map[string]attack{}
	for _, a := range corpus() {
		all[a.family+"/"+a.name] = a
	}
	for _, d := range defences() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			a, ok := all[d.attack]
			if !ok {
				t.Fatalf("there is no attack %q", d.attack)
			}
			with, without := d.both(t, a)
			if with != stoppedAs(a.want, "") {
				t.Errorf("with it: %s, want %s", with, stoppedAs(a.want, ""))
			}
			if without == with {
				t.Errorf("without it the attack is stopped all the same: %s", without)
			}
			t.Logf("%s: %s with it, %s without", d.attack, with, without)
		})
	}
}

// both carries the attack out with the defence and without.
func (d defence) both(t *testing.T, a attack) (with, without string) {
	t.Helper()
	s := defaults()
	if a.tune != nil {
		a.tune(&s)
	}
	with = ended(t, a, s, budget)
	time := budget
	if d.budget != 0 {
		time = d.budget
	}
	if d.without != nil {
		d.without(&s, &a)
	}
	setBound(&s, d.bound, d.off)
	return with, ended(t, a, s, time)
}

// ended says how the attack ended on a host with these settings.
func ended(t *testing.T, a attack, s settings, budget time.Duration) string {
	t.Helper()
	h := newHost(t, engine.NameNative, s)
	e := h.assault(t, a, a.bytes(), budget)
	if err := h.close(); err != nil {
		t.Errorf("something still runs: %v", err)
	}
	harm := ""
	if a.check != nil && e.code == contained {
		if a.check(e.outcome) != nil {
			harm = ", with harm"
		}
	}
	return stoppedAs(e.code, harm)
}

func stoppedAs(code any, harm string) string { return fmt.Sprint(code, harm) }

// TestEveryBoundHasASwitch: whoever adds a bound shows what it stops.
func TestEveryBoundHasASwitch(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	for _, d := range defences() {
		have[d.bound] = true
	}
	for room, bounds := range map[string]reflect.Type{"limits": reflect.TypeFor[engine.Limits](), "module": reflect.TypeFor[wasmfile.Limits]()} {
		for f := range bounds.Fields() {
			if name := room + "." + f.Name; !have[name] {
				t.Errorf("no defence has the bound %s", name)
			}
		}
	}
	hooks := reflect.TypeFor[engine.Undefended]()
	for f := range hooks.Fields() {
		var used bool
		for _, d := range defences() {
			s := defaults()
			if d.without != nil {
				d.without(&s, &attack{})
			}
			used = used || !reflect.ValueOf(s.engine.Undefended).FieldByName(f.Name).IsZero()
		}
		if !used {
			t.Errorf("no defence is taken out by %s", f.Name)
		}
	}
}
