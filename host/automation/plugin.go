package automation

import (
	"encoding/json"
	"time"
)

// PluginState is the state of one uploaded version of a plugin.
type PluginState string

// The states of a plugin version.
const (
	PluginVetted   PluginState = "vetted"   // checked and stored; may not be used yet
	PluginActive   PluginState = "active"   // plans may pin it
	PluginDisabled PluginState = "disabled" // no new plan pins it, no new attempt starts it
)

// Manifest is what a plugin says of itself, in the custom section
// opsconductor.plugin of its artifact (schemas/plugin.schema.json).
type Manifest struct {
	ABI           int            `json:"abi"`     // 1
	Name          string         `json:"name"`    // [a-z][a-z0-9-]*
	Version       string         `json:"version"` // semantic version
	Description   string         `json:"description"`
	License       string         `json:"license,omitempty"`
	Source        string         `json:"source,omitempty"`
	HostFunctions []HostFunction `json:"host_functions,omitempty"`
	Actions       []Action       `json:"actions"`
}

// HostFunction is a host function that a plugin wants, and why.
type HostFunction struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Action is one function of a plugin that a step can use.
type Action struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Input       json.RawMessage `json:"input"`  // JSON Schema of the step's `with`
	Output      json.RawMessage `json:"output"` // JSON Schema of the step's outputs
	Effect      Effect          `json:"effect"`
	Timeout     string          `json:"timeout,omitempty"` // default timeout of an attempt, like "30s"
	Target      bool            `json:"target,omitempty"`  // it acts on the item's target
	// Scheduler is true for actions of the core plugin that the scheduler carries
	// out itself, without a worker (core.wait).
	Scheduler bool `json:"scheduler,omitempty"`
}

// Plugin is one version of a plugin as it is stored and listed.
type Plugin struct {
	ID        PluginID    `json:"id"`
	Tenant    TenantID    `json:"tenant"`
	Name      string      `json:"name"`
	Version   string      `json:"version"`
	Digest    Digest      `json:"digest"`
	Size      int64       `json:"size"` // bytes of the artifact
	State     PluginState `json:"state"`
	Manifest  Manifest    `json:"manifest"`
	Grants    []Grant     `json:"grants"`
	Created   time.Time   `json:"created_at"`
	Updated   time.Time   `json:"updated_at"`
	RowNumber int64       `json:"row_version"` // 1, 2, 3 …; the ETag
}

// Grant is an operator's leave for a plugin to call a host function.
type Grant struct {
	Function string `json:"function"`
	// Targets: names of assets that it may be called for; "*" is all.
	Targets []string `json:"targets,omitempty"`
	// Tags: assets with one of them may be called for too.
	Tags []string `json:"tags,omitempty"`
	// Addresses: hosts, address prefixes ("10.0.0.0/8") or "*" that a probe may
	// reach apart from the targets.
	Addresses []string `json:"addresses,omitempty"`
	// Credentials: names of credentials that it may use beside the target's own; "*" is all.
	Credentials []string `json:"credentials,omitempty"`
}
