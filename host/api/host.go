package api

import (
	"context"
	"net/http"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// Hosts is the use cases of hosts and task queues.
type Hosts interface {
	Hosts(ctx context.Context, p automation.Principal) ([]service.Host, error)
	Queues(ctx context.Context, p automation.Principal) ([]service.Queue, error)
}

// HostList is the hosts of a deployment.
type HostList struct {
	Items []service.Host `json:"items" nullable:"false" doc:"By identifier."`
}

// QueueList is the task queues of a deployment.
type QueueList struct {
	Items []service.Queue `json:"items" nullable:"false" doc:"By name."`
}

type hostsOut struct{ Body HostList }

type queuesOut struct{ Body QueueList }

func addHosts(a *API) {
	const tag = "hosts"
	register(a, operation{
		id: "list-hosts", method: http.MethodGet, path: "/v1/hosts", tag: tag, access: adminToken, summary: "List the hosts that take part",
		about: "And those that left or were lost in the last day.",
	}, func(ctx context.Context, _ *struct{}) (*hostsOut, error) {
		items, err := a.config.Service.Hosts(ctx, Principal(ctx))
		return &hostsOut{Body: HostList{Items: items}}, err
	})
	register(a, operation{
		id: "list-queues", method: http.MethodGet, path: "/v1/queues", tag: tag, access: adminToken, summary: "List the task queues",
		about: "Those that a live host serves, and those in which items wait. A queue with waiting items and no host needs a host that serves it.",
	}, func(ctx context.Context, _ *struct{}) (*queuesOut, error) {
		items, err := a.config.Service.Queues(ctx, Principal(ctx))
		return &queuesOut{Body: QueueList{Items: items}}, err
	})
}
