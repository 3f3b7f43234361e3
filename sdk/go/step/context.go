package step

import (
	"errors"

	"opsconductor.dev/sdk/go/internal/wire"
)

// Raw is one JSON value, kept as it is written.
type Raw = wire.Raw

// Context says what an action is called for, and has the host functions as
// methods. It lives as long as the call.
type Context struct {
	Run      string // the run's id
	Workflow string // the workflow's name
	Step     string // the step's id
	Item     int    // the item's index within the step's fan-out, from 0
	Attempt  int    // which try at the item this is, from 1
	// Target is the item's target; nil for a step without one.
	Target *Target

	with Raw
	host Host
}

// Target is a machine that an item acts on. Which credential is used for it is
// the host's business: a plugin never sees one.
type Target struct {
	Name     string
	Address  string
	Port     int    // 0: the protocol's own
	Protocol string // ssh, winrm or none
	OS       string // linux, windows …; "": not known
	Tags     []string
	// Vars are the asset's own variables: nil, bool, float64, string, []any or
	// map[string]any.
	Vars map[string]any
}

// Host answers the calls of host functions outside the sandbox: steptest has
// one. In the sandbox it is nil and the imports are called.
type Host interface {
	// Call takes a request and returns an envelope, {"ok":…} or {"error":…},
	// both JSON by the function's schema in schemas/hostfuncs.
	Call(function string, request []byte) (envelope []byte)
}

var errInput = errors.New("the host's input is not what the plugin ABI says")

// newContext reads the document that the host calls an action with.
func newContext(input []byte, host Host) (*Context, error) {
	members, err := wire.Members(input)
	if err != nil {
		return nil, errors.Join(errInput, err)
	}
	c := &Context{host: host, with: Raw("{}")}
	for _, m := range members {
		if err := c.set(m); err != nil {
			return nil, errors.New(m.Name + ": " + err.Error())
		}
	}
	return c, nil
}

// set leaves out what it doesn't know, so that a plugin goes on to work when
// later hosts say more.
func (c *Context) set(m wire.Member) (err error) {
	switch m.Name {
	case "with":
		c.with = m.Value
	case "step":
		c.Step, err = wire.String(m.Value)
	case "item":
		c.Item, err = integer(m.Value)
	case "attempt":
		c.Attempt, err = integer(m.Value)
	case "target":
		c.Target, err = newTarget(m.Value)
	case "run":
		err = c.setRun(m.Value)
	}
	return err
}

func (c *Context) setRun(raw Raw) error {
	members, err := wire.Members(raw)
	if err != nil {
		return err
	}
	for _, m := range members {
		switch m.Name {
		case "id":
			c.Run, err = wire.String(m.Value)
		case "workflow":
			c.Workflow, err = wire.String(m.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func newTarget(raw Raw) (*Target, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	members, err := wire.Members(raw)
	if err != nil {
		return nil, err
	}
	t := &Target{}
	for _, m := range members {
		if err := t.set(m); err != nil {
			return nil, errors.New(m.Name + ": " + err.Error())
		}
	}
	return t, nil
}

func (t *Target) set(m wire.Member) (err error) {
	if string(m.Value) == "null" {
		return nil
	}
	switch m.Name {
	case "name":
		t.Name, err = wire.String(m.Value)
	case "address":
		t.Address, err = wire.String(m.Value)
	case "port":
		t.Port, err = integer(m.Value)
	case "protocol":
		t.Protocol, err = wire.String(m.Value)
	case "os":
		t.OS, err = wire.String(m.Value)
	case "tags":
		t.Tags, err = wire.Strings(m.Value)
	case "vars":
		var v any
		v, err = wire.Any(m.Value)
		t.Vars, _ = v.(map[string]any)
	}
	return err
}

// Debugf writes a line to the attempt's log, through the host function log, which
// the manifest has to list. Formats as Failf does. Like all four of its kind it
// does not report that the log could not be written.
func (c *Context) Debugf(format string, args ...any) { c.logf("debug", format, args) }

// Infof is Debugf at the level info.
func (c *Context) Infof(format string, args ...any) { c.logf("info", format, args) }

// Warnf is Debugf at the level warn.
func (c *Context) Warnf(format string, args ...any) { c.logf("warn", format, args) }

// Errorf is Debugf at the level error. It does not fail the action.
func (c *Context) Errorf(format string, args ...any) { c.logf("error", format, args) }

func (c *Context) logf(level, format string, args []any) {
	_, _ = c.Log(LogRequest{Level: level, Message: sprintf(format, args)})
}

func integer(raw Raw) (int, error) {
	n, err := wire.Int(raw)
	return int(n), err
}
