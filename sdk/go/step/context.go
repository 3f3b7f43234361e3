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
	members, err := objectOf(input)
	if err != nil {
		return nil, errors.Join(errInput, err)
	}
	c := &Context{host: host}
	for members.Next() {
		if err := c.set(string(members.Name), members.Value); err != nil {
			return nil, errors.New(string(members.Name) + ": " + err.Error())
		}
	}
	if c.with == nil {
		c.with = Raw("{}")
	}
	return c, nil
}

// objectOf reads a document that has to be an object.
func objectOf(document []byte) (wire.Object, error) {
	v, err := wire.Parse(document)
	if err != nil {
		return wire.Object{}, err
	}
	return v.Object()
}

// set leaves out what it doesn't know, so that a plugin goes on to work when
// later hosts say more.
func (c *Context) set(name string, value wire.Value) (err error) {
	switch name {
	case "with":
		c.with = Raw(value)
	case "step":
		c.Step, err = value.Text()
	case "item":
		c.Item, err = integer(value)
	case "attempt":
		c.Attempt, err = integer(value)
	case "target":
		c.Target, err = newTarget(value)
	case "run":
		err = c.setRun(value)
	}
	return err
}

func (c *Context) setRun(run wire.Value) error {
	members, err := run.Object()
	if err != nil {
		return err
	}
	for members.Next() {
		switch string(members.Name) {
		case "id":
			c.Run, err = members.Value.Text()
		case "workflow":
			c.Workflow, err = members.Value.Text()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func newTarget(target wire.Value) (*Target, error) {
	if target.IsNull() {
		return nil, nil
	}
	members, err := target.Object()
	if err != nil {
		return nil, err
	}
	t := &Target{}
	for members.Next() {
		if err := t.set(string(members.Name), members.Value); err != nil {
			return nil, errors.New(string(members.Name) + ": " + err.Error())
		}
	}
	return t, nil
}

func (t *Target) set(name string, value wire.Value) (err error) {
	if value.IsNull() {
		return nil
	}
	switch name {
	case "name":
		t.Name, err = value.Text()
	case "address":
		t.Address, err = value.Text()
	case "port":
		t.Port, err = integer(value)
	case "protocol":
		t.Protocol, err = value.Text()
	case "os":
		t.OS, err = value.Text()
	case "tags":
		t.Tags, err = value.Texts()
	case "vars":
		var v any
		v, err = value.Any()
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

func integer(v wire.Value) (int, error) {
	n, err := v.Int()
	return int(n), err
}
