package expr_test

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

// hostile is an environment whose values are as large as they can be: a text and a
// list of objects of a megabyte, of types that are known and not.
func hostile(t testing.TB) (*expr.Env, expr.Vars) {
	t.Helper()
	text := &schema.Type{Kind: schema.KindString}
	number := &schema.Type{Kind: schema.KindInteger}
	env, err := expr.NewEnv(map[string]*schema.Type{
		"big": text, "small": text, "pattern": text, "raw": nil, "ns": {Kind: schema.KindList, Elem: number}, "objects": {Kind: schema.KindList},
	}, expr.Options{Sizes: func([]string) (uint64, bool) { return 1, true }}) // the estimate is of no help
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("aAéb \n,", 150_000)[:1<<20-3]
	var ns, objects []any
	for i := range 10_000 {
		ns = append(ns, i)
		objects = append(objects, map[string]any{"name": "host", "tags": []any{"a", "b", "c"}, "text": strings.Repeat("x", 50)})
	}
	return env, expr.Map{
		"big": expr.Text(big), "small": expr.Text("a,b,c"), "pattern": expr.Text("((abcde){0,30}){0,30}"), "raw": expr.JSON(nil, big),
		"ns": expr.JSON(&schema.Type{Kind: schema.KindList, Elem: number}, ns), "objects": expr.JSON(&schema.Type{Kind: schema.KindList}, objects),
	}
}

// TestHostile: whatever an expression asks for, it ends soon, and holds little.
func TestHostile(t *testing.T) {
	env, vars := hostile(t)
	grow := func(one string, n int) string { return strings.Repeat(one, n) }
	tests := map[string]string{
		"sum":                   "big" + grow("+big", 60),
		"sum of no type":        "raw" + grow("+raw", 60),
		"sum of sums":           "[" + grow("big+small,", 300) + "1]",
		"double":                "[small]" + grow(".map(x, x+x)", 50),
		"double in two":         "[big].map(x, [x+x, x+x+x+x, x+x])" + grow(".map(x, x.map(y, y+y))", 20),
		"sum in a loop":         "ns.map(n, big+small)",
		"replace nothing":       "big.replace('', big)",
		"replace":               "small" + grow(".replace('', small)", 100),
		"replace in a loop":     "ns.map(n, big.replace('a', 'bb'))",
		"replace, many":         "[" + grow("big.replace('a','b'),", 100) + "1]",
		"join":                  "ns.map(n, big).join()",
		"join by much":          "ns.map(n, small).join(big)",
		"join of joins":         "[small, small]" + grow(".map(x, [x, x].join(x))", 40),
		"split":                 "big.split('')",
		"split in a loop":       "ns.map(n, big.split(','))",
		"split short":           "ns.map(n, ns.map(m, small.split(',')))",
		"lower in a loop":       "ns.map(n, big.lowerAscii())",
		"trim in a loop":        "ns.all(n, ns.all(m, big.trim() != ''))",
		"substring":             "ns.all(n, big.substring(500000).size() > 0)",
		"index":                 "ns.all(n, big.indexOf('zz') < 0)",
		"size":                  "ns.all(n, ns.all(m, big.size() > 0))",
		"contains":              "ns.all(n, !big.contains('zz'))",
		"matches":               "ns.all(n, !big.matches('(a|b)+z'))",
		"matches, large":        "big.matches('(a{0,30}){0,30}z')",
		"matches, many":         "[" + grow("big.matches('a+b+z'),", 150) + "1]",
		"pattern":               "small.matches(pattern)",
		"pattern of no type":    "raw.matches(small + pattern)",
		"patterns":              "ns.all(n, ns.all(m, !small.matches(small + 'x(a|b|c|d|e|f|g){0,60}')))",
		"list":                  "ns" + grow("+ns", 60),
		"lists in a loop":       "ns.map(n, objects+objects)",
		"double list":           "[ns]" + grow(".map(x, x+x)", 50),
		"double list, search":   "[[1,2]]" + grow(".map(x, x+x)", 50) + ".exists(x, 3 in x)",
		"double list, size":     "[[1,2]]" + grow(".map(x, x+x)", 50) + "[0].size() > 7",
		"double tree, compare":  "[[1,2]]" + grow(".map(x, [x,x])", 40) + ".exists(x, x == x)",
		"double tree, search":   "[[1,2]]" + grow(".map(x, [x,x])", 40) + ".exists(x, x in [x])",
		"double tree":           "[[1,2]]" + grow(".map(x, [x,x])", 40),
		"double object":         "[{'a': small}]" + grow(".map(x, {'a': x, 'b': x})", 40),
		"compare":               "ns.all(n, ns.all(m, objects == objects))",
		"compare, not":          "ns.all(n, !(objects != objects))",
		"search":                "ns.all(n, !(objects in objects))",
		"much of one":           "[" + grow("big,", 900) + "1]",
		"much of one in a loop": "ns.map(n, big)",
		"product":               "ns.map(n, ns.map(m, ns.map(o, n*m*o)))",
		"objects":               "ns.map(n, ns.map(m, {'a': n, 'b': m}))",
		"bytes":                 "[" + grow("bytes(big),", 300) + "b'']",
		"numbers":               "ns.all(n, ns.all(m, string(m) != big))",
		"conversion":            "ns.all(n, ns.all(m, has(raw.x) || int(raw) > 0))",
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			p, errs := env.Compile(src, nil)
			if errs != nil {
				for _, e := range errs {
					if e.Code != automation.CodeLimit {
						t.Errorf("Compile: %v", e)
					}
				}
				t.Logf("refused: %s", errs[0].Message)
				return
			}
			held, took, err := measure(p, vars)
			if held > 50<<20 {
				t.Errorf("it held %d MB", held>>20)
			}
			if took > time.Minute { // a second on a machine with nothing else to do; without a bound, hours
				t.Errorf("it took %s", took)
			}
			if code := automation.CodeOf(err); err != nil && code != automation.CodeLimit && code != automation.CodeExpression {
				t.Errorf("error: %v", err)
			}
			t.Logf("%d MB, %s: %v", held>>20, took.Round(time.Millisecond), err)
		})
	}
}

// measure evaluates an expression and writes its result; it returns the most bytes
// that the heap held meanwhile, over what it held before.
func measure(p *expr.Program, vars expr.Vars) (held uint64, took time.Duration, err error) {
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	runtime.GC()
	before := heap()
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		most, tick := uint64(0), time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, heap())
			select {
			case <-tick.C:
			case <-done:
				peak <- most
				return
			}
		}
	}()
	start := time.Now()
	v, err := p.Eval(vars)
	if err == nil {
		_, err = v.AppendJSON(nil)
	}
	took = time.Since(start)
	close(done)
	return max(<-peak, before) - before, took, err
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
