package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

// assetSSHFlags say how an asset is reached over SSH.
type assetSSHFlags struct {
	settings       client.AssetSSH
	jump           string
	authorityFiles []string
	knownHosts     string
	krl            string
	firstUse       string
}

func (f *assetSSHFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.settings.Profile, "ssh-profile", "", "SSH algorithms: modern, compatible (the default) or legacy")
	flags.StringVar(&f.jump, "jump", "", "name of the asset that it is reached through; \"\": straight")
	flags.StringArrayVar(&f.settings.Authorities, "host-ca", nil, `public key of an authority whose host certificates are taken: "TYPE BASE64"`)
	flags.StringArrayVar(&f.authorityFiles, "host-ca-file", nil, "file with such keys, a line each")
	flags.StringArrayVar(&f.settings.Revoked, "revoke", nil, `a host key or authority that is never taken: "TYPE BASE64", SHA256:…, or serial:N of a certificate`)
	flags.StringVar(&f.krl, "revoke-krl", "", "file with a key revocation list of OpenSSH (ssh-keygen -k), - for standard input: what it revokes is never taken or offered; \"\": none")
	flags.StringVar(&f.firstUse, "first-use", "", "take and pin the host key that it shows first, while none is pinned; =false: never, =default: as the deployment has it")
	flags.Lookup("first-use").NoOptDefVal = "true"
	flags.BoolVar(&f.settings.Rotate, "rotate", false, "pin host keys too that it proves to have beside a pinned one")
	flags.StringVar(&f.knownHosts, "known-hosts", "", "file in the format of known_hosts, - for standard input: what it says of the address is added to what is trusted")
}

// read finishes the settings from files.
func (f *assetSSHFlags) read(c *cli, r *client.AssetRequest) error {
	for _, file := range f.authorityFiles {
		b, err := c.readInput(file, maxDefinition)
		if err != nil {
			return err
		}
		f.settings.Authorities = append(f.settings.Authorities, hostKeys(string(b))...)
	}
	if f.knownHosts != "" {
		b, err := c.readInput(f.knownHosts, maxDefinition)
		if err != nil {
			return err
		}
		r.KnownHosts = string(b)
	}
	if f.firstUse != "" && f.firstUse != "default" {
		on, err := strconv.ParseBool(f.firstUse)
		if err != nil {
			return usage("--first-use is none of true, false and default")
		}
		f.settings.FirstUse = &on
	}
	if f.krl != "" {
		b, err := c.readInput(f.krl, maxDefinition)
		if err != nil {
			return err
		}
		f.settings.KRL = b
	}
	f.settings.Jump = client.AssetID(f.jump)
	r.SSH = f.settings
	return nil
}

// mergeSSH takes over the settings whose flags were given.
func mergeSSH(r *client.AssetRequest, given client.AssetRequest, changed func(string) bool) {
	for flag, take := range map[string]func(){
		"ssh-profile": func() { r.SSH.Profile = given.SSH.Profile }, "jump": func() { r.SSH.Jump = given.SSH.Jump },
		"host-ca": func() { r.SSH.Authorities = given.SSH.Authorities }, "host-ca-file": func() { r.SSH.Authorities = given.SSH.Authorities },
		"revoke": func() { r.SSH.Revoked = given.SSH.Revoked }, "revoke-krl": func() { r.SSH.KRL = given.SSH.KRL },
		"first-use": func() { r.SSH.FirstUse = given.SSH.FirstUse },
		"rotate":    func() { r.SSH.Rotate = given.SSH.Rotate },
	} {
		if changed(flag) {
			take()
		}
	}
}

// sshPairs shows the settings that are not the defaults.
func sshPairs(s client.AssetSSH) []pair {
	var out []pair
	add := func(name, value string) {
		if value != "" && value != "false" {
			out = append(out, pair{name, value})
		}
	}
	add("ssh profile", s.Profile)
	add("jump", string(s.Jump))
	for _, key := range s.Authorities {
		add("host authority", key)
	}
	for _, key := range s.Revoked {
		add("revoked", key)
	}
	if len(s.KRL) > 0 {
		add("revocation list", strconv.Itoa(len(s.KRL))+" bytes")
	}
	if s.FirstUse != nil {
		out = append(out, pair{"first use", strconv.FormatBool(*s.FirstUse)})
	}
	add("rotate", strconv.FormatBool(s.Rotate))
	return out
}
