package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
)

// Config is the settings of a host.
type Config struct {
	// Dir is the folder of the host: its identity and the first admin token; for
	// `dev` also key, database and cache.
	Dir string
	// Listen is the address of the API: host:port; port 0 takes a free one.
	Listen string
	// Database is where the store is.
	Database DSN
	// Direct is the same PostgreSQL database without the pooler that Database leads
	// through, to listen for notifications at; "": none.
	Direct DSN
	// KeyFile holds the vault's key.
	KeyFile string
	// CacheDir keeps compiled plugins between starts; "" keeps them in memory only.
	CacheDir string
	// Name of the host in the list of hosts.
	Name string
	// Slots is how many attempts the host runs at the same time.
	Slots int
	// Queues are the task queues that the host serves.
	Queues []string
	// PerTarget is how many attempts, of all runs, run on one asset at the same time;
	// 0: no limit.
	PerTarget int
	// PerNetworkDevice is the same for assets whose OS is network.
	PerNetworkDevice int
	// PluginMemory is the most memory an attempt's plugin may have, in MiB.
	PluginMemory int
	// Engine runs plugins: native, or extism, the reference.
	Engine string
	// Sandbox is where plugins run: inline, in the host's process, or process, in child
	// processes without keys, files and network.
	Sandbox string
	// SandboxProcesses is how many sandbox processes there may be at the same time.
	SandboxProcesses int
	// SSHAgent is the socket of the SSH agent that credentials of kind ssh_agent use;
	// "": there is none.
	SSHAgent string
	// SSHFirstUse is what is done with the host key that an asset shows first, where the
	// asset does not say it: refuse or allow.
	SSHFirstUse string
	// MaxOutput is the most that one host call may return of a remote side's
	// output, in bytes.
	MaxOutput int
	// Retain is how long runs are kept after the day of their creation, with all that
	// is stored of them, once they have ended; 0: for ever.
	Retain time.Duration
	// ShutdownTimeout is how long a stop waits for what runs.
	ShutdownTimeout time.Duration
	// LogLevel: debug, info, warn or error.
	LogLevel string
	// LogFormat: text, json, or auto (text on a terminal).
	LogFormat string
}

// maxQueues is how many task queues a host serves at most.
const maxQueues = 64

// Defaults returns the settings of `dev` in the folder ./opsconductor-data.
func Defaults() Config {
	return Config{
		Dir:              "./opsconductor-data",
		Listen:           "127.0.0.1:8420",
		Slots:            64 * runtime.GOMAXPROCS(0),
		Queues:           []string{automation.DefaultQueue},
		PerTarget:        10,
		PerNetworkDevice: 1,
		PluginMemory:     64,
		Engine:           "native",
		SSHFirstUse:      string(automation.FirstUseRefuse),
		Sandbox:          "inline",
		SandboxProcesses: 64,
		MaxOutput:        1 << 20,
		Retain:           30 * Day,
		ShutdownTimeout:  20 * time.Second,
		LogLevel:         "info",
		LogFormat:        "auto",
	}
}

// Dev fills in what follows from the folder of `dev`, where it is not set.
func (c Config) Dev() Config {
	if c.Database == "" {
		c.Database = DSN(filepath.Join(c.Dir, "opsconductor.db"))
	}
	if c.KeyFile == "" {
		c.KeyFile = filepath.Join(c.Dir, "vault.key")
	}
	if c.CacheDir == "" {
		c.CacheDir = filepath.Join(c.Dir, "cache")
	}
	return c
}

// Validate returns everything that is wrong with the settings, joined.
func (c Config) Validate() error {
	var errs []error
	bad := func(flag, format string, args ...any) {
		errs = append(errs, invalid(flag, fmt.Sprintf(format, args...)))
	}
	if err := checkListen(c.Listen); err != nil {
		bad("listen", "%v", err)
	}
	if c.Database == "" {
		bad("database-url", "is not set: name a SQLite file or postgres://user@host/database")
	} else if err := c.Database.check(); err != nil {
		bad("database-url", "%v", err)
	}
	if c.Direct != "" {
		if err := c.Direct.check(); err != nil {
			bad("direct-url", "%v", err)
		} else if !c.Direct.Postgres() || !c.Database.Postgres() {
			bad("direct-url", "is for PostgreSQL alone")
		}
	}
	if c.KeyFile == "" {
		bad("key-file", "is not set: credentials are sealed under the key in it, and the host does not start without one")
	}
	between := func(flag string, got, low, high int) {
		if got < low || got > high {
			bad(flag, "is %d; it may be %d to %d", got, low, high)
		}
	}
	between("slots", c.Slots, 1, 100_000)
	if len(c.Queues) == 0 || len(c.Queues) > maxQueues {
		bad("queue", "names %d task queues; it may name 1 to %d", len(c.Queues), maxQueues)
	}
	for _, q := range c.Queues {
		if !automation.IsQueue(q) {
			bad("queue", "is no name of a task queue: %s", automation.QueueRule)
		}
	}
	between("per-target", c.PerTarget, 0, 100_000)
	between("per-network-device", c.PerNetworkDevice, 0, 100_000)
	between("plugin-memory", c.PluginMemory, 1, 4096)
	if c.Engine != "native" && c.Engine != "extism" {
		bad("engine", "is none of native and extism")
	}
	switch {
	case c.Sandbox != "inline" && c.Sandbox != "process":
		bad("sandbox", "is none of inline and process")
	case c.Sandbox == "process" && c.Engine == "extism":
		bad("sandbox", "is process, which the engine extism does not run in: leave engine at native")
	}
	between("sandbox-processes", c.SandboxProcesses, 1, 4096)
	if c.SSHAgent != "" && !filepath.IsAbs(c.SSHAgent) {
		bad("ssh-agent", "is no absolute path of a socket")
	}
	if c.SSHFirstUse != string(automation.FirstUseRefuse) && c.SSHFirstUse != string(automation.FirstUseAllow) {
		bad("ssh-first-use", "is none of refuse and allow")
	}
	between("max-output", c.MaxOutput, 1024, 64<<20)
	if c.Retain != 0 && (c.Retain < Day || c.Retain > mostRetained) {
		bad("retain", "is %s; it may be 1d to 3650d, or 0: for ever", spelledDays(c.Retain))
	}
	if c.ShutdownTimeout <= 0 || c.ShutdownTimeout > time.Hour {
		bad("shutdown-timeout", "is %s; it may be more than 0s, up to 1h", c.ShutdownTimeout)
	}
	if _, err := c.Level(); err != nil {
		bad("log-level", "is none of debug, info, warn and error")
	}
	if c.LogFormat != "auto" && c.LogFormat != "text" && c.LogFormat != "json" {
		bad("log-format", "is none of auto, text and json")
	}
	return errors.Join(errs...)
}

// Loopback reports whether the API listens on this machine alone.
func (c Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Level returns LogLevel for slog.
func (c Config) Level() (slog.Level, error) {
	var l slog.Level
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		return l, errors.New("not a level")
	}
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return l, fmt.Errorf("read the log level: %w", err)
	}
	return l, nil
}

func checkListen(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("is not host:port, like 127.0.0.1:8420")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("has a port that is no number from 0 to 65535")
	}
	if strings.ContainsAny(host, " /") {
		return errors.New("has a host that is no name or address")
	}
	return nil
}

func invalid(flag, message string) error {
	return &automation.Error{
		Code: automation.CodeInvalid, Message: "--" + flag + " " + message,
		Suggestion: fmt.Sprintf("set --%s or %s", flag, envName(flag)),
	}
}

// DSN says where a store is: postgres://… or the path of a SQLite file. It may
// hold a password, so it prints without.
type DSN string

// Postgres reports whether it names a PostgreSQL database.
func (d DSN) Postgres() bool {
	return strings.HasPrefix(string(d), "postgres://") || strings.HasPrefix(string(d), "postgresql://")
}

// Path returns the path of the SQLite file.
func (d DSN) Path() string { return strings.TrimPrefix(string(d), "sqlite://") }

// Password reports whether a password stands in it.
func (d DSN) Password() bool {
	if !d.Postgres() {
		return false
	}
	u, err := url.Parse(string(d))
	if err != nil {
		return true // it can't be told: be careful
	}
	_, user := u.User.Password()
	return user || u.Query().Has("password")
}

// String returns the DSN without a password.
func (d DSN) String() string {
	if !d.Postgres() {
		return d.Path()
	}
	u, err := url.Parse(string(d))
	if err != nil {
		return "postgres://(not a URL)"
	}
	q := u.Query()
	for _, secret := range []string{"password", "sslpassword"} {
		if q.Has(secret) {
			q.Set(secret, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}

// LogValue returns what String does.
func (d DSN) LogValue() slog.Value { return slog.StringValue(d.String()) }

func (d DSN) check() error {
	if !d.Postgres() {
		if scheme, _, ok := strings.Cut(string(d), "://"); ok && scheme != "sqlite" {
			return fmt.Errorf("has the scheme %q; there are postgres:// and sqlite:// (or a plain path)", scheme)
		}
		if d.Path() == "" {
			return errors.New("names no file")
		}
		return nil
	}
	if _, err := url.Parse(string(d)); err != nil {
		return errors.New("is not a URL: postgres://user@host:port/database")
	}
	return nil
}
