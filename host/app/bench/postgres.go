package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"opsconductor.dev/host/store/postgres/privatepg"
)

// others is how many empty databases there are for programs to be measured on.
const others = 9

// Postgres runs a private PostgreSQL server with the settings of all benchmarks, says
// on out where it and some empty databases are, as one line of JSON, and stops it when
// in ends. Others are measured on it, side by side with this program.
func Postgres(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	cluster, err := privatepg.Start(ctx, privatepg.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	look, err := privatepg.Look(ctx, cluster.URL("postgres"))
	if err != nil {
		return err
	}
	where := struct {
		Version string   `json:"version"`
		URL     string   `json:"url"`
		Empty   []string `json:"empty"`
	}{Version: look.Version, URL: cluster.URL("postgres")}
	for i := range others {
		url, err := cluster.CreateDatabase(ctx, fmt.Sprintf("other_%d", i+1))
		if err != nil {
			return fmt.Errorf("make an empty database: %w", err)
		}
		where.Empty = append(where.Empty, url)
	}
	if err := json.NewEncoder(out).Encode(where); err != nil {
		return fmt.Errorf("say where the server is: %w", err)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return fmt.Errorf("wait for the end of standard input: %w", err)
	}
	return nil
}
