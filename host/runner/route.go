package runner

import (
	"context"

	"opsconductor.dev/hostfuncs"
)

// Route implements hostfuncs.Broker.
func (b *Broker) Route(context.Context, *hostfuncs.Session, hostfuncs.Target) ([]hostfuncs.Hop, error) {
	return nil, nil
}

// LearnHostKeys implements hostfuncs.Broker: the inventory lets no target learn
// its keys.
func (b *Broker) LearnHostKeys(context.Context, *hostfuncs.Session, hostfuncs.Target, hostfuncs.HostKeys) ([]string, error) {
	return nil, hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "the asset does not allow that its host keys are learned")
}
