package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
)

// Setting is one setting as flags and the environment set it.
type Setting struct {
	Flag  string // "key-file"
	Env   string // "OPSCONDUCTOR_KEY_FILE"
	Usage string
	// List: the flag may be repeated; its values are joined by commas.
	List bool
	// Get returns the setting as text, without secrets.
	Get func(Config) string
	// Set reads the setting from text.
	Set func(*Config, string) error
}

// Settings lists every setting.
func Settings() []Setting {
	return []Setting{
		text("dir", "folder of the host: identity, first admin token; for dev also key, database and cache", func(c *Config) *string { return &c.Dir }),
		text("listen", "address of the API; port 0 takes a free one", func(c *Config) *string { return &c.Listen }),
		{
			Flag: "database-url", Env: envName("database-url"),
			Usage: "store: postgres://user@host/database or the path of a SQLite file; a password goes into the environment variable or PGPASSFILE",
			Get:   func(c Config) string { return c.Database.String() },
			Set:   func(c *Config, s string) error { c.Database = DSN(s); return nil },
		},
		{
			Flag: "direct-url", Env: envName("direct-url"),
			Usage: "the same PostgreSQL database without the pooler that database-url leads through, for its notifications",
			Get:   func(c Config) string { return c.Direct.String() },
			Set:   func(c *Config, s string) error { c.Direct = DSN(s); return nil },
		},
		text("key-file", "file with the vault's key", func(c *Config) *string { return &c.KeyFile }),
		text("cache-dir", "folder that keeps compiled plugins", func(c *Config) *string { return &c.CacheDir }),
		text("name", "name of this host; the machine's name without one", func(c *Config) *string { return &c.Name }),
		number("slots", "attempts that run at the same time", func(c *Config) *int { return &c.Slots }),
		{
			Flag: "queue", Env: envName("queue"), List: true, Usage: "task queue that this host serves (repeat it for more)",
			Get: func(c Config) string { return strings.Join(c.Queues, ",") },
			Set: func(c *Config, s string) error {
				c.Queues = slices.Compact(slices.Sorted(strings.SplitSeq(s, ",")))
				return nil
			},
		},
		number("per-target", "attempts that run on one asset at the same time, of all runs; 0: no limit", func(c *Config) *int { return &c.PerTarget }),
		number("per-network-device", "the same on an asset whose OS is network; 0: no limit", func(c *Config) *int { return &c.PerNetworkDevice }),
		number("plugin-memory", "most memory of a plugin's attempt, in MiB", func(c *Config) *int { return &c.PluginMemory }),
		text("engine", "what runs plugins: native, or extism, the reference, which is slower", func(c *Config) *string { return &c.Engine }),
		text("sandbox", "where plugins run: inline, in the host's process, or process, in child processes without keys, files and network (Linux)",
			func(c *Config) *string { return &c.Sandbox }),
		number("sandbox-processes", "most sandbox processes at the same time, with --sandbox process", func(c *Config) *int { return &c.SandboxProcesses }),
		text("ssh-agent", "socket of the SSH agent whose keys credentials of kind ssh_agent log in with", func(c *Config) *string { return &c.SSHAgent }),
		text("ssh-first-use", "what is done with the host key that an asset shows first, where the asset does not say it: refuse, or allow: it is pinned", func(c *Config) *string { return &c.SSHFirstUse }),
		number("max-output", "most output that one host call returns, in bytes", func(c *Config) *int { return &c.MaxOutput }),
		{
			Flag: "retain", Env: envName("retain"), Usage: "how long runs are kept after the day they were made on, like 30d; 0: for ever",
			Get: func(c Config) string { return spelledDays(c.Retain) },
			Set: func(c *Config, s string) (err error) {
				c.Retain, err = parseDays(s)
				return err
			},
		},
		{
			Flag: "shutdown-timeout", Env: envName("shutdown-timeout"), Usage: "how long a stop waits for what runs",
			Get: func(c Config) string { return c.ShutdownTimeout.String() },
			Set: func(c *Config, s string) error {
				d, err := time.ParseDuration(s)
				if err != nil {
					return errors.New("is no duration, like 20s")
				}
				c.ShutdownTimeout = d
				return nil
			},
		},
		text("log-level", "debug, info, warn or error", func(c *Config) *string { return &c.LogLevel }),
		text("log-format", "text, json, or auto: text on a terminal", func(c *Config) *string { return &c.LogFormat }),
	}
}

// FromEnv sets what the environment has, and returns everything that could not be
// read, joined. lookup is os.LookupEnv.
func (c *Config) FromEnv(lookup func(string) (string, bool)) error {
	var errs []error
	for _, s := range Settings() {
		v, ok := lookup(s.Env)
		if !ok || v == "" {
			continue
		}
		if err := s.Set(c, v); err != nil {
			errs = append(errs, &automation.Error{Code: automation.CodeInvalid, Message: fmt.Sprintf("%s %v", s.Env, err)})
		}
	}
	return errors.Join(errs...)
}

// FromFlag sets one setting from its flag. A database URL with a password is
// refused there.
func (c *Config) FromFlag(flag, value string) error {
	for _, s := range Settings() {
		if s.Flag != flag {
			continue
		}
		if err := s.Set(c, value); err != nil {
			return &automation.Error{Code: automation.CodeInvalid, Message: fmt.Sprintf("--%s %v", flag, err)}
		}
		if secret := map[string]*DSN{"database-url": &c.Database, "direct-url": &c.Direct}[flag]; secret != nil && secret.Password() {
			*secret = ""
			return &automation.Error{
				Code: automation.CodeInvalid, Message: "--" + flag + " has a password in it, which every user of this machine could read",
				Suggestion: "set " + s.Env + " instead, or leave the password to PGPASSFILE",
			}
		}
		return nil
	}
	return &automation.Error{Code: automation.CodeUnknownName, Message: fmt.Sprintf("there is no setting --%s", flag)}
}

func envName(flag string) string {
	return "OPSCONDUCTOR_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func text(flag, usage string, field func(*Config) *string) Setting {
	return Setting{
		Flag: flag, Env: envName(flag), Usage: usage,
		Get: func(c Config) string { return *field(&c) },
		Set: func(c *Config, s string) error { *field(c) = s; return nil },
	}
}

func number(flag, usage string, field func(*Config) *int) Setting {
	return Setting{
		Flag: flag, Env: envName(flag), Usage: usage,
		Get: func(c Config) string { return strconv.Itoa(*field(&c)) },
		Set: func(c *Config, s string) error {
			n, err := strconv.Atoi(s)
			if err != nil {
				return errors.New("is no whole number")
			}
			*field(c) = n
			return nil
		},
	}
}
