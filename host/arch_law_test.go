package host_test

// law is what each room may import. A folder with Go files that is no key of
// rooms breaks it, and so does a third-party module that is no key of modules.
type law struct {
	// module is the path of the Go module.
	module string
	// rooms: folder → what its files may import of this module.
	rooms map[string]room
	// modules: import prefix of a third-party module → the rooms that may import it.
	// One room each, with its test helpers; "*" is every room.
	modules map[string][]string
	// testModules may be imported by test files anywhere.
	testModules []string
}

// room is one row of the law. Names are folders; a trailing "/..." takes the
// folders below it too.
type room struct {
	// may is what all files may import.
	may []string
	// tests is what test files may import on top: an integration test of a room
	// may stand on the real rooms around it.
	tests []string
	// pure: no clock, no chance, no I/O, no log. Not applied to test files.
	pure bool
	// noHTTP: no net/http. Not applied to test files.
	noHTTP bool
}

// wide is what an integration test in a room under host/ may stand on: real
// rooms, real protocols, the built-in plugins' artifacts.
func wide() []string {
	return []string{"host/...", "hostfuncs/...", "sdk/...", "plugins/...", "schemas"}
}

// theLaw is the law of this repository (DESIGN.md section 3). Rooms that have no
// files yet are listed, so that the first file in them has its place.
func theLaw() law {
	return law{
		module:      "opsconductor.dev",
		rooms:       rooms(),
		modules:     modules(),
		testModules: []string{"github.com/google/go-cmp", "go.uber.org/goleak"},
	}
}

func rooms() map[string]room {
	t := wide()
	nouns := "host/automation"
	return map[string]room{
		"cmd/opsconductor": {may: []string{"host/app", "host/client"}, tests: t},

		"host":            {tests: t},
		"host/automation": {noHTTP: true, tests: []string{"schemas"}},

		"host/workflow":               {may: []string{nouns, "host/workflow/expr", "host/registry/schema", "schemas"}, tests: t, pure: true, noHTTP: true},
		"host/workflow/expr":          {may: []string{nouns, "host/registry/schema"}, tests: t, pure: true, noHTTP: true},
		"host/scheduler/machine":      {may: []string{nouns, "host/workflow"}, tests: t, pure: true, noHTTP: true},
		"host/scheduler":              {may: []string{nouns, "host/scheduler/calendar", "host/scheduler/machine", "host/store", "host/worker", "host/workflow"}, tests: t, noHTTP: true},
		"host/scheduler/calendar":     {may: []string{nouns, "host/scheduler/cron"}, tests: t, pure: true, noHTTP: true},
		"host/scheduler/cron":         {may: []string{nouns}, tests: t, pure: true, noHTTP: true},
		"host/scheduler/cron/zonegen": {}, // a generator

		"host/scheduler/simtest": {may: []string{nouns, "host/scheduler", "host/scheduler/machine", "host/store/...", "host/worker", "host/workflow"}, tests: t, noHTTP: true},

		"host/store":                    {may: []string{nouns}, tests: t},
		"host/store/sqlite":             {may: []string{nouns, "host/store"}, tests: t},
		"host/store/memory":             {may: []string{nouns, "host/store"}, tests: t},
		"host/store/postgres":           {may: []string{nouns, "host/store"}, tests: t},
		"host/store/postgres/privatepg": {tests: t},
		"host/store/storetest":          {may: []string{nouns, "host/store"}, tests: t},

		"host/worker":                     {may: []string{nouns}, tests: t},
		"host/runner":                     {may: []string{nouns, "host/worker", "host/store", "host/registry", "host/registry/schema", "host/runner/engine", "host/vault", "host/inventory", "hostfuncs"}, tests: t},
		"host/runner/attack":              {tests: t},
		"host/runner/engine":              {may: []string{nouns, "hostfuncs", "host/registry/wasmfile"}, tests: t},
		"host/registry":                   {may: []string{nouns, "host/store", "host/registry/schema", "host/registry/wasmfile", "host/runner/engine", "schemas"}, tests: t},
		"host/registry/wasmfile":          {may: []string{nouns}, tests: t, noHTTP: true},
		"host/registry/wasmfile/wasmtest": {may: []string{"host/registry/wasmfile"}, tests: t},
		"host/registry/schema":            {may: []string{nouns, "schemas"}, tests: t, noHTTP: true},
		"host/vault":                      {may: []string{nouns}, tests: t},
		"host/inventory":                  {may: []string{nouns, "host/store", "host/workflow/expr", "hostfuncs/ssh/krl"}, tests: t},
		"host/policy":                     {may: []string{nouns, "host/workflow", "host/workflow/expr"}, tests: t, pure: true, noHTTP: true},

		"host/service": {
			may: []string{
				nouns, "host/store", "host/workflow", "host/workflow/expr", "host/scheduler/machine", "host/scheduler/cron",
				"host/registry", "host/registry/schema", "host/vault", "host/inventory", "host/policy",
			},
			tests: t, noHTTP: true,
		},
		"host/api":    {may: []string{nouns, "host/service", "schemas"}, tests: t},
		"host/mcp":    {may: []string{nouns, "host/service", "schemas"}, tests: t},
		"host/web":    {tests: t},
		"host/legacy": {may: []string{nouns, "host/service", "host/workflow"}, tests: t},
		"host/client": {may: []string{nouns}, tests: t},

		"host/telemetry": {may: []string{nouns}, tests: t},
		"host/config":    {may: []string{nouns}, tests: t},
		"host/app":       {may: []string{"host/...", "hostfuncs/...", "schemas", "plugins"}, tests: t},
		// What the tests of real faults hold against each other.
		"host/chaos":          {may: []string{nouns}, tests: t, noHTTP: true},
		"host/chaos/recorder": {may: []string{"host/chaos"}, tests: t},

		"host/app/bench": {may: []string{"host/...", "hostfuncs/...", "schemas", "plugins"}, tests: t},

		// A test in hostfuncs holds its words equal to automation's.
		"hostfuncs":              {tests: []string{nouns, "schemas", "hostfuncs/..."}},
		"hostfuncs/ssh":          {may: []string{"hostfuncs", "hostfuncs/ssh/krl"}, tests: []string{"schemas", "hostfuncs/..."}},
		"hostfuncs/ssh/krl":      {},
		"hostfuncs/ssh/interop":  {tests: []string{"hostfuncs/..."}},
		"hostfuncs/ssh/sshtest":  {may: []string{"hostfuncs", "hostfuncs/ssh"}, tests: []string{"hostfuncs/..."}},
		"hostfuncs/winrm":        {may: []string{"hostfuncs"}, tests: []string{"schemas", "hostfuncs/..."}},
		"hostfuncs/probe":        {may: []string{"hostfuncs"}, tests: []string{"schemas", "hostfuncs/..."}},
		"hostfuncs/httpreq":      {may: []string{"hostfuncs", "hostfuncs/probe"}, tests: []string{"schemas", "hostfuncs/..."}},
		"hostfuncs/standard":     {may: []string{"hostfuncs/..."}, tests: []string{"schemas"}},
		"hostfuncs/hostfunctest": {may: []string{"hostfuncs", "schemas"}, tests: []string{"hostfuncs/..."}},

		"sdk/go":          {tests: []string{"sdk/..."}},
		"sdk/go/step":     {may: []string{"sdk/go", "sdk/go/internal/wire"}, tests: []string{"sdk/...", "schemas"}},
		"sdk/go/steptest": {may: []string{"sdk/go", "sdk/go/step", "sdk/go/internal/wire"}, tests: []string{"sdk/...", "schemas"}},

		"sdk/go/internal/wire": {tests: []string{"sdk/..."}},

		"sdk/artifact":  {tests: []string{"sdk/..."}},
		"sdk/gen":       {may: []string{"schemas"}, tests: []string{"sdk/...", "schemas"}},
		"plugins/build": {may: []string{"sdk/..."}, tests: []string{"sdk/..."}},
		"plugins":       {tests: t}, // embeds the built artifacts
		"plugins/core":  {may: []string{"sdk/..."}, tests: []string{"sdk/..."}},
		"plugins/linux": {may: []string{"sdk/..."}, tests: []string{"sdk/..."}},
		"plugins/files": {may: []string{"sdk/..."}, tests: []string{"sdk/..."}},
		"plugins/net":   {may: []string{"sdk/..."}, tests: []string{"sdk/..."}},

		"plugins/network": {may: []string{"sdk/..."}, tests: []string{"sdk/..."}},

		"schemas": {tests: t},
	}
}

func modules() map[string][]string {
	return map[string][]string{
		"github.com/extism/go-sdk":                 {"host/runner/engine"},
		"github.com/tetratelabs/wazero":            {"host/runner/engine"},
		"cel.dev/cel-go":                           {"host/workflow/expr"},
		"cel.dev/expr":                             {"host/workflow/expr"},
		"github.com/google/cel-go":                 {"host/workflow/expr"},
		"github.com/goccy/go-yaml":                 {"host/workflow"},
		"github.com/santhosh-tekuri/jsonschema/v6": {"host/registry/schema"},
		"github.com/jackc/pgx/v5":                  {"host/store/postgres", "host/store/postgres/privatepg"},
		"modernc.org/sqlite":                       {"host/store/sqlite"},
		"github.com/danielgtaylor/huma/v2":         {"host/api"},
		"github.com/go-chi/chi/v5":                 {"host/api"},
		"github.com/anishathalye/porcupine":        {"cmd/opsconductor"}, // tests alone
		"github.com/spf13/cobra":                   {"cmd/opsconductor"},
		"golang.org/x/term":                        {"cmd/opsconductor"},
		"github.com/prometheus/client_golang":      {"host/telemetry"},
		"golang.org/x/crypto":                      {"hostfuncs/ssh", "hostfuncs/ssh/sshtest", "hostfuncs/ssh/interop"},
		"github.com/pkg/sftp":                      {"hostfuncs/ssh", "hostfuncs/ssh/sshtest"},
		"github.com/miekg/dns":                     {"hostfuncs/probe"},
		"golang.org/x/sync":                        {"*"},
		"golang.org/x/sys":                         {"host/runner/engine"},
		"github.com/hashicorp/golang-lru/v2":       {"*"},
	}
}
