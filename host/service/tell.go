package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"opsconductor.dev/host/automation"
)

// effectWithin is how long a request waits for its effect before it answers
// that the scheduler has not come to it yet.
const effectWithin = 2 * time.Second

// EventRequest sends an event to a run.
type EventRequest struct {
	Run  automation.RunID
	Name string
	// Payload is a JSON object; nil: an empty one.
	Payload json.RawMessage
	Key     string
}

// EventReceipt says what became of an event.
type EventReceipt struct {
	Name string `json:"name"`
	// State is one of the EventXxx states.
	State string `json:"state"`
	// Items that had waited for the event, and have it.
	Items int `json:"items"`
}

// The states of an event that was sent.
const (
	EventDelivered = "delivered" // to the items that waited for it
	EventKept      = "kept"      // nothing waits for it yet
	EventPending   = "pending"   // the scheduler has not come to it yet
)

// SendEvent sends an event to a run: every item that waits for its name at that
// moment gets it; when none does, the run keeps it for the first that will. A run
// that has ended, or that keeps as many as it may, refuses it.
func (s *Service) SendEvent(ctx context.Context, p automation.Principal, r EventRequest) (EventReceipt, error) {
	if err := s.authorise(p, opRunEvent); err != nil {
		return EventReceipt{}, err
	}
	if err := refused(checkKey(r.Key), checkEventName(r.Name), checkPayload(r.Payload)); err != nil {
		return EventReceipt{}, err
	}
	run, err := s.findRun(ctx, p.Tenant, r.Run)
	if err != nil {
		return EventReceipt{}, err
	}
	c := automation.Command{
		Run: r.Run, Shard: run.Shard, Kind: automation.FactEventReceived,
		Told: &automation.Told{Event: r.Name, Payload: r.Payload},
	}
	got, err := s.tell(ctx, p, opRunEvent, run, c, r.Key)
	out := EventReceipt{Name: r.Name, State: EventPending, Items: got.items}
	switch {
	case got.taken && got.items > 0:
		out.State = EventDelivered
	case got.taken:
		out.State = EventKept
	}
	return out, err
}

func checkEventName(name string) *automation.Error {
	if automation.ValidEventName(name) {
		return nil
	}
	return &automation.Error{
		Code: automation.CodeBadRequest, Pointer: "/name", Message: "that is no name of an event", Allowed: automation.EventNames,
	}
}

func checkPayload(payload json.RawMessage) *automation.Error {
	if len(payload) == 0 {
		return nil
	}
	if len(payload) > automation.MaxEventPayload {
		return &automation.Error{
			Code: automation.CodeLimit, Pointer: "/payload", Message: "the event's payload is too large",
			Allowed: fmt.Sprintf("up to %d bytes", automation.MaxEventPayload), Suggestion: "send a reference to the data",
		}
	}
	return checkObject(payload, "/payload")
}

func checkObject(raw json.RawMessage, pointer string) *automation.Error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil || !utf8.Valid(raw) {
		return &automation.Error{Code: automation.CodeBadRequest, Pointer: pointer, Message: "that is not a JSON object", Allowed: "a JSON object"}
	}
	return nil
}

// effect is what became of a command.
type effect struct {
	taken bool // the run has it in its log; else the leader has not come to it yet
	items int  // that it was given to
}

// tell leaves a command that says something to a run, unless the run as it is now
// would refuse it, and waits a moment for what becomes of it. A command that came
// too late after all is an error that says why.
func (s *Service) tell(ctx context.Context, p automation.Principal, op operation, run automation.Run, c automation.Command, key string) (effect, error) {
	c.ID = commandID(s.act(p, op, string(c.Run), key))
	if err := s.fits(ctx, p, run, c); err != nil {
		return effect{}, err
	}
	if _, err := s.command(ctx, p, op, c, key); err != nil {
		return effect{}, err
	}
	tick := newTicker(s.store.Wake)
	defer tick.stop()
	limit, cancel := context.WithTimeoutCause(ctx, effectWithin, errWaited)
	defer cancel()
	for {
		got, waits, err := s.effectOf(ctx, p, run, c)
		if err != nil || !waits {
			return got, err
		}
		if err := tick.wait(limit, false); err != nil {
			if errors.Is(err, errWaited) {
				return effect{}, nil
			}
			return effect{}, err
		}
	}
}

// factOf is the fact that a command would become now.
func (s *Service) factOf(p automation.Principal, c automation.Command) automation.Fact {
	return automation.Fact{Kind: c.Kind, At: s.now().UTC(), Step: c.Step, Item: c.Item, Told: c.Told, By: p.Name, Reason: c.Reason}
}

// fits asks the run as it is now whether it would take a command. One that it has
// taken already fits: the store says whether it is the same request.
func (s *Service) fits(ctx context.Context, p automation.Principal, run automation.Run, c automation.Command) error {
	var refusal error
	err := s.look(ctx, run, func(v *view) {
		if _, taken := v.fold.Taken(c.ID); !taken {
			refusal = v.fold.Check(s.factOf(p, c))
		}
	})
	if err == nil {
		err = fault(refusal)
	}
	return err
}

// effectOf looks for what became of a command; waits says that nothing has yet.
func (s *Service) effectOf(ctx context.Context, p automation.Principal, run automation.Run, c automation.Command) (got effect, waits bool, err error) {
	waiting, err := s.store.Commands(ctx, run.Shard, maxPage) // before the log: what is gone from here is there
	if err != nil {
		return effect{}, false, fault(err)
	}
	waits = len(waiting) == maxPage // there may be more
	for i := range waiting {
		waits = waits || waiting[i].ID == c.ID
	}
	var refusal error
	err = s.look(ctx, run, func(v *view) {
		if got.items, got.taken = v.fold.Taken(c.ID); !got.taken {
			refusal = v.fold.Check(s.factOf(p, c))
		}
	})
	switch {
	case err != nil || got.taken || waits:
		return got, !got.taken, err
	case refusal == nil:
		refusal = &automation.Error{
			Code: automation.CodeConflict, Message: "the run had changed when the scheduler came to it", Suggestion: "look at the run, and try again",
		}
	}
	return effect{}, false, fault(refusal)
}
