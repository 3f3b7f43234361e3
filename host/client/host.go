package client

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
)

// Host is a process that executes attempts.
type Host struct {
	ID        automation.HostID    `json:"id"`
	Name      string               `json:"name"`
	State     automation.HostState `json:"state"` // live, draining, stopped or lost
	Leader    bool                 `json:"leader"`
	Version   string               `json:"version"`
	Queues    []string             `json:"queues"`
	Slots     int                  `json:"slots"`
	AtWork    int                  `json:"at_work"` // attempts, by its last heartbeat
	Heartbeat time.Time            `json:"heartbeat_at"`
	AgeMS     int64                `json:"heartbeat_age_ms"`
}

// Queue is a task queue.
type Queue struct {
	Name    string `json:"name"`
	Hosts   int    `json:"hosts"`   // live ones that serve it
	Slots   int    `json:"slots"`   // of those hosts
	Waiting int    `json:"waiting"` // items that are ready or parked
}

// Hosts returns the hosts of the deployment.
func (c *Client) Hosts(ctx context.Context) ([]Host, error) {
	var out List[Host]
	err := c.send(ctx, get("v1", "hosts"), &out)
	return out.Items, err
}

// Queues returns the task queues that a host serves or in which something waits.
func (c *Client) Queues(ctx context.Context) ([]Queue, error) {
	var out List[Queue]
	err := c.send(ctx, get("v1", "queues"), &out)
	return out.Items, err
}
