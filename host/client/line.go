package client

import "context"

// Lines calls yield with every line that a run's attempts log, of one step or ("") of
// all, each once and those of an attempt in order, until the run has ended, and
// returns how it ended. When the connection breaks or falls silent it is opened again.
// yield's error ends it, and is returned as it is.
func (c *Client) Lines(ctx context.Context, id RunID, step string, yield func(Line) error) (End, error) {
	type attempt struct {
		step          string
		item, attempt int
	}
	seen := map[attempt]int{}
	f := &follower{client: c, path: []string{"v1", "runs", segment(string(id)), "logs", "stream"}, step: step}
	f.take = func(m message) error {
		if m.event != "line" {
			return nil
		}
		var l Line
		if err := f.decode(m, &l); err != nil {
			return err
		}
		of := attempt{l.Step, l.Item, l.Attempt}
		if l.N <= seen[of] { // the stream has begun anew
			return nil
		}
		if err := f.given(yield(l)); err != nil {
			return err
		}
		seen[of] = l.N
		return nil
	}
	return f.run(ctx)
}
