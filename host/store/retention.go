package store

import (
	"context"
	"time"
)

// Sweep says what a store may forget.
type Sweep struct {
	// Now is the day that room is made ahead of.
	Now time.Time
	// Before: runs of the days before this moment's (UTC) are removed, once they have
	// ended; zero: none. The day of a run is the one in its identifier.
	Before time.Time
	// Keys: idempotency keys from before it are removed; zero: none.
	Keys time.Time
	// Gone: hosts that have been stopped or lost for longer are removed; 0: none.
	Gone time.Duration
	// Days is how many days one partition has, where there are partitions; 0 is 1.
	Days int
}

// Swept is what a sweep did.
type Swept struct {
	// Runs, with all that is stored of them; Plans that no run has any more;
	// idempotency Keys; Hosts: how many were removed.
	Runs, Plans, Keys, Hosts int64
	// Pinned is how many runs that have not ended keep runs of days that are over: on
	// SQLite themselves, on PostgreSQL their whole days.
	Pinned int64
	// Misplaced is how many runs stand in no day's partition, counted to 1000.
	Misplaced int64
	// PutOff: a part waited for somebody's lock for too long, and is to be tried again.
	PutOff bool
}

// Retention is how a store forgets.
type Retention interface {
	// Sweep removes what is over, in transactions that are short or, where a lock has
	// to be waited for, give up soon: nobody's commit waits for it for long. Plans
	// without a run go when they are older than Before. Two at the same time do no
	// harm. What it removed before an error stays removed.
	Sweep(ctx context.Context, s Sweep) (Swept, error)
}

// DayOf returns the beginning of a moment's day, in UTC.
func DayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
