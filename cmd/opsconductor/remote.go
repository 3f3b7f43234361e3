package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"opsconductor.dev/host/client"
)

const (
	defaultURL = "http://127.0.0.1:8420"
	defaultDir = "./opsconductor-data"
	maxToken   = 4096
)

// remote returns a client of the host that flags, environment or the dev folder name.
func (c *cli) remote() (*client.Client, error) {
	where, local, err := c.findURL()
	if err != nil {
		return nil, err
	}
	token, err := c.findToken(local)
	if err != nil {
		return nil, err
	}
	if u, err := url.Parse(where); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		fmt.Fprintf(c.err, "warning: %s is plain HTTP to another machine: whoever is in between can read the token\n", clean(where))
	}
	cl, err := client.New(client.Config{URL: where, Token: client.NewSecret([]byte(token)), UserAgent: "opsconductor/" + c.version})
	if err != nil {
		return nil, usage("%w", err)
	}
	return cl, nil
}

// folder is the dev folder that the command line looks into.
func (c *cli) folder() string {
	if dir, ok := c.env("OPSCONDUCTOR_DIR"); ok && dir != "" {
		return dir
	}
	return defaultDir
}

// findURL returns the host's URL, and whether it is that of the dev folder.
func (c *cli) findURL() (string, bool, error) {
	own := ""
	if b, err := os.ReadFile(filepath.Join(c.folder(), "url")); err == nil {
		own = strings.TrimSpace(string(b))
	}
	where := c.url
	if where == "" {
		where, _ = c.env("OPSCONDUCTOR_URL")
	}
	if where == "" {
		where = own
	}
	if where == "" {
		where = defaultURL
	}
	if _, err := url.Parse(where); err != nil {
		return "", false, usage("the URL of the host is not a URL; it looks like %s", defaultURL)
	}
	// The dev folder's token goes to the dev folder's host and nowhere else.
	return where, own != "" && strings.TrimRight(where, "/") == own, nil
}

// findToken returns the API token.
func (c *cli) findToken(local bool) (string, error) {
	name := c.tokenFile
	if name == "" {
		if token, ok := c.env("OPSCONDUCTOR_TOKEN"); ok && token != "" {
			return strings.TrimSpace(token), nil
		}
		if !local {
			return "", &exitErr{code: exitUnauthorised, err: fmt.Errorf(
				"no token: set OPSCONDUCTOR_TOKEN or --token-file, or run where `opsconductor dev` keeps its folder (OPSCONDUCTOR_DIR, else %s)", defaultDir)}
		}
		name = filepath.Join(c.folder(), "admin.token")
	}
	b, err := c.readInput(name, maxToken)
	if err != nil {
		return "", &exitErr{code: exitUnauthorised, err: fmt.Errorf("read the token: %w", err)}
	}
	return strings.TrimSpace(string(b)), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
