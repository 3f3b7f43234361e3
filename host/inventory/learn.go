package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// Keys is what learning host keys reads and writes; store.Assets has it.
type Keys interface {
	Asset(ctx context.Context, tenant automation.TenantID, id automation.AssetID) (automation.Asset, error)
	UpdateAsset(ctx context.Context, a automation.Asset, act automation.Act) (automation.Asset, error)
}

// Learner pins host keys that assets have shown in runs, where they allow it. It
// is safe for concurrent use, also over many hosts: of two first keys one wins.
type Learner struct {
	store    Keys
	firstUse automation.FirstUse
	now      func() time.Time
}

// NewLearner returns a learner over a store. firstUse is for assets that do not say
// it; now nil is time.Now.
func NewLearner(st Keys, firstUse automation.FirstUse, now func() time.Time) *Learner {
	if now == nil {
		now = time.Now
	}
	return &Learner{st, firstUse, now}
}

// learnTries is how often a change that somebody else's was faster than is tried.
const learnTries = 5

// LearnHostKeys pins keys and returns what is pinned from then on. denied when the
// asset does not allow it. The change is an entry of the audit log, by the run.
func (l *Learner) LearnHostKeys(ctx context.Context, tenant automation.TenantID, k automation.LearnedKeys) ([]string, error) {
	for try := 1; ; try++ {
		a, err := l.store.Asset(ctx, tenant, k.Asset)
		if err != nil {
			return nil, fmt.Errorf("read the asset: %w", err)
		}
		fresh, err := l.learnable(a, k)
		if err != nil || len(fresh) == 0 {
			return a.HostKeys, err
		}
		now, err := l.pin(ctx, a, k, fresh)
		if err == nil {
			return now.HostKeys, nil
		}
		if automation.AsError(err).Code != automation.CodeConflict || try == learnTries {
			return nil, fmt.Errorf("pin the host key: %w", err)
		}
	}
}

// learnable returns the keys that are to be pinned; none when nothing changes.
func (l *Learner) learnable(a automation.Asset, k automation.LearnedKeys) ([]string, error) {
	allowed := a.SSH.Rotate
	if k.First {
		allowed = a.SSH.TakesFirst(l.firstUse) && len(a.SSH.Authorities) == 0
	}
	if k.First && len(a.HostKeys) > 0 {
		return nil, nil // somebody was faster
	}
	if !allowed {
		return nil, &automation.Error{
			Code: automation.CodeDenied, Phase: automation.PhaseBefore, Message: fmt.Sprintf("asset %q does not allow that this host pins its host keys by itself", a.Name),
			Suggestion: "pin them, or allow it by its settings of SSH: first_use, rotate; serve --ssh-first-use is for assets that do not say it",
		}
	}
	var fresh []string
	for _, key := range plainKeys(k.Keys) {
		if CheckHostKey("", key) == nil && !slices.Contains(a.HostKeys, key) && !slices.Contains(a.SSH.Revoked, key) && len(a.HostKeys)+len(fresh) < maxHostKeys {
			fresh = append(fresh, key)
		}
	}
	return fresh, nil
}

func (l *Learner) pin(ctx context.Context, a automation.Asset, k automation.LearnedKeys, fresh []string) (automation.Asset, error) {
	a.HostKeys = append(slices.Clone(a.HostKeys), fresh...)
	a.Updated = l.now().UTC()
	action := "asset.rotate_host_key"
	said := map[string]any{"name": a.Name, "pinned": fresh}
	if k.First {
		action, said["allowed_by"] = "asset.first_host_key", "asset"
		if a.SSH.FirstUse == nil {
			said["allowed_by"] = "deployment"
		}
	}
	detail, err := json.Marshal(said)
	if err != nil {
		return a, fmt.Errorf("write the audit entry: %w", err)
	}
	return l.store.UpdateAsset(ctx, a, automation.Act{
		Tenant: a.Tenant, By: "run " + string(k.Run), Action: action, Object: string(a.ID), At: a.Updated, Detail: detail,
	})
}
