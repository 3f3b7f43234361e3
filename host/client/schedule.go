package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"opsconductor.dev/host/automation"
)

// Schedule submits runs of a definition at the times of a cron expression or an interval.
type Schedule = automation.Schedule

// ScheduleRequest is what is said of a schedule; an update says all of it.
// Exactly one of Cron and Interval is set.
type ScheduleRequest struct {
	Name       string             `json:"name"`
	Definition string             `json:"definition"` // YAML or JSON
	Inputs     json.RawMessage    `json:"inputs,omitempty"`
	Cron       string             `json:"cron,omitempty"`
	Interval   string             `json:"interval,omitempty"`
	TimeZone   string             `json:"time_zone,omitempty"`
	CatchUp    automation.CatchUp `json:"catch_up,omitempty"`
	Overlap    automation.Overlap `json:"overlap,omitempty"`
	Jitter     string             `json:"jitter,omitempty"`
}

// Schedules lists schedules by name.
func (c *Client) Schedules(ctx context.Context, page Page) (List[Schedule], error) {
	var out List[Schedule]
	err := c.send(ctx, get("v1", "schedules").page(page), &out)
	return out, err
}

// Schedule returns the schedule that ref names: an identifier or a name.
func (c *Client) Schedule(ctx context.Context, ref string) (Schedule, error) {
	var out Schedule
	err := c.send(ctx, get("v1", "schedules", segment(ref)), &out)
	return out, err
}

// CreateSchedule creates a schedule. key is the Idempotency-Key; "": one is made.
func (c *Client) CreateSchedule(ctx context.Context, r ScheduleRequest, key string) (Schedule, error) {
	var out Schedule
	err := c.send(ctx, post(key, "v1", "schedules").json(r), &out)
	return out, err
}

// UpdateSchedule replaces what is known of a schedule; version is as for UpdateAsset.
func (c *Client) UpdateSchedule(ctx context.Context, ref string, r ScheduleRequest, version int64) (Schedule, error) {
	var out Schedule
	err := c.send(ctx, match(http.MethodPut, version, "v1", "schedules", segment(ref)).json(r), &out)
	return out, err
}

// DeleteSchedule deletes a schedule; version is as for UpdateAsset.
func (c *Client) DeleteSchedule(ctx context.Context, ref string, version int64) error {
	return c.send(ctx, match(http.MethodDelete, version, "v1", "schedules", segment(ref)), nil)
}

// PauseSchedule stops a schedule from firing; version is as for UpdateAsset.
func (c *Client) PauseSchedule(ctx context.Context, ref string, version int64) (Schedule, error) {
	var out Schedule
	err := c.send(ctx, match(http.MethodPost, version, "v1", "schedules", segment(ref), "pause"), &out)
	return out, err
}

// ResumeSchedule lets a paused schedule fire again; version is as for UpdateAsset.
func (c *Client) ResumeSchedule(ctx context.Context, ref string, version int64) (Schedule, error) {
	var out Schedule
	err := c.send(ctx, match(http.MethodPost, version, "v1", "schedules", segment(ref), "resume"), &out)
	return out, err
}

// NextTimes returns the next times of a schedule, 1 to 1000 of them.
func (c *Client) NextTimes(ctx context.Context, ref string, count int) ([]time.Time, error) {
	var out struct {
		Items []time.Time `json:"items"`
	}
	r := get("v1", "schedules", segment(ref), "next")
	r.query = url.Values{"count": {strconv.Itoa(count)}}
	err := c.send(ctx, r, &out)
	return out.Items, err
}
