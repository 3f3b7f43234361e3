package inventory_test

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
)

func keyLine(algorithm, inner string, tail int) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(inner)))
	b = append(append(b, inner...), make([]byte, tail)...)
	return algorithm + " " + base64.StdEncoding.EncodeToString(b)
}

func asset() automation.Asset {
	return automation.Asset{
		Name: "web-1", Address: "10.0.0.1", Port: 22, Protocol: automation.ProtocolSSH, OS: "linux",
		Tags: []string{"web", "env:prod", "a/b=c"}, Vars: map[string]any{"role": "front", "n": 1.5, "l": []any{map[string]any{"x": nil}}},
		HostKeys: []string{keyLine("ssh-ed25519", "ssh-ed25519", 36), keyLine("ssh-rsa", "ssh-rsa", 300)},
	}
}

func deep(n int) map[string]any {
	out := map[string]any{"leaf": 1}
	for range n - 1 {
		out = map[string]any{"x": out}
	}
	return out
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if got := inventory.Validate(asset()); got != nil {
		t.Fatalf("a good asset: got %v; want nothing", got)
	}
	type edit = func(*automation.Asset)
	for name, c := range map[string]struct {
		edit    edit
		pointer string // "": it is good
		code    automation.Code
	}{
		"no name":             {func(a *automation.Asset) { a.Name = "" }, "/name", automation.CodeMissing},
		"upper case name":     {func(a *automation.Asset) { a.Name = "Web" }, "/name", automation.CodeInvalid},
		"blank in name":       {func(a *automation.Asset) { a.Name = "a b" }, "/name", automation.CodeInvalid},
		"name begins with .":  {func(a *automation.Asset) { a.Name = "..a" }, "/name", automation.CodeInvalid},
		"name ends with -":    {func(a *automation.Asset) { a.Name = "a-" }, "/name", automation.CodeInvalid},
		"path in name":        {func(a *automation.Asset) { a.Name = "a/../b" }, "/name", automation.CodeInvalid},
		"star as a name":      {func(a *automation.Asset) { a.Name = "*" }, "/name", automation.CodeInvalid},
		"64 characters":       {func(a *automation.Asset) { a.Name = strings.Repeat("a", 64) }, "/name", automation.CodeInvalid},
		"63 characters":       {func(a *automation.Asset) { a.Name = strings.Repeat("a", 63) }, "", ""},
		"identifier as name":  {func(a *automation.Asset) { a.Name = "0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b" }, "/name", automation.CodeInvalid},
		"no address":          {func(a *automation.Asset) { a.Address = "" }, "/address", automation.CodeMissing},
		"host name":           {func(a *automation.Asset) { a.Address = "web-1.example.org." }, "", ""},
		"one label":           {func(a *automation.Asset) { a.Address = "localhost" }, "", ""},
		"IPv6":                {func(a *automation.Asset) { a.Address = "2001:db8::1" }, "", ""},
		"IPv6 with a zone":    {func(a *automation.Asset) { a.Address = "fe80::1%eth0" }, "", ""},
		"shell in the zone":   {func(a *automation.Asset) { a.Address = "fe80::1%$(id)" }, "/address", automation.CodeInvalid},
		"URL":                 {func(a *automation.Asset) { a.Address = "ssh://web" }, "/address", automation.CodeInvalid},
		"with a port":         {func(a *automation.Asset) { a.Address = "web:22" }, "/address", automation.CodeInvalid},
		"brackets":            {func(a *automation.Asset) { a.Address = "[::1]" }, "/address", automation.CodeInvalid},
		"user":                {func(a *automation.Asset) { a.Address = "root@web" }, "/address", automation.CodeInvalid},
		"short IPv4":          {func(a *automation.Asset) { a.Address = "127.1" }, "/address", automation.CodeInvalid},
		"decimal IPv4":        {func(a *automation.Asset) { a.Address = "2852039166" }, "/address", automation.CodeInvalid},
		"hex IPv4":            {func(a *automation.Asset) { a.Address = "0xa9fea9fe" }, "/address", automation.CodeInvalid},
		"octal IPv4":          {func(a *automation.Asset) { a.Address = "0251.0376.0251.0376" }, "/address", automation.CodeInvalid},
		"any address":         {func(a *automation.Asset) { a.Address = "0.0.0.0" }, "/address", automation.CodeInvalid},
		"multicast":           {func(a *automation.Asset) { a.Address = "224.0.0.1" }, "/address", automation.CodeInvalid},
		"label begins with -": {func(a *automation.Asset) { a.Address = "-oProxyCommand=x" }, "/address", automation.CodeInvalid},
		"newline":             {func(a *automation.Asset) { a.Address = "web\n" }, "/address", automation.CodeInvalid},
		"long label":          {func(a *automation.Asset) { a.Address = strings.Repeat("a", 64) + ".org" }, "/address", automation.CodeInvalid},
		"long address":        {func(a *automation.Asset) { a.Address = strings.Repeat("a.", 127) + "b" }, "/address", automation.CodeInvalid},
		"port 0":              {func(a *automation.Asset) { a.Port = 0 }, "/port", automation.CodeInvalid},
		"port -1":             {func(a *automation.Asset) { a.Port = -1 }, "/port", automation.CodeInvalid},
		"port 65536":          {func(a *automation.Asset) { a.Port = 65536 }, "/port", automation.CodeInvalid},
		"port 65535":          {func(a *automation.Asset) { a.Port = 65535 }, "", ""},
		"probed, no port":     {func(a *automation.Asset) { a.Port, a.Protocol = 0, automation.ProtocolNone }, "", ""},
		"no protocol":         {func(a *automation.Asset) { a.Protocol = "" }, "/protocol", automation.CodeMissing},
		"telnet":              {func(a *automation.Asset) { a.Protocol = "telnet" }, "/protocol", automation.CodeInvalid},
		"no os":               {func(a *automation.Asset) { a.OS = "" }, "", ""},
		"beos":                {func(a *automation.Asset) { a.OS = "beos" }, "/os", automation.CodeInvalid},
		"empty tag":           {func(a *automation.Asset) { a.Tags = []string{"a", ""} }, "/tags/1", automation.CodeInvalid},
		"blank in a tag":      {func(a *automation.Asset) { a.Tags = []string{"a b"} }, "/tags/0", automation.CodeInvalid},
		"star as a tag":       {func(a *automation.Asset) { a.Tags = []string{"*"} }, "/tags/0", automation.CodeInvalid},
		"101 tags":            {func(a *automation.Asset) { a.Tags = make([]string, 101) }, "/tags", automation.CodeLimit},
		"deep vars":           {func(a *automation.Asset) { a.Vars = deep(6) }, "/vars", automation.CodeLimit},
		"not so deep vars":    {func(a *automation.Asset) { a.Vars = deep(5) }, "", ""},
		"very deep vars":      {func(a *automation.Asset) { a.Vars = deep(100_000) }, "/vars", automation.CodeLimit},
		"big vars":            {func(a *automation.Asset) { a.Vars = map[string]any{"x": strings.Repeat("a", 16<<10)} }, "/vars", automation.CodeLimit},
		"empty var name":      {func(a *automation.Asset) { a.Vars = map[string]any{"a/b": map[string]any{"": 1}} }, "/vars/a~1b", automation.CodeInvalid},
		"no JSON in vars":     {func(a *automation.Asset) { a.Vars = map[string]any{"x": func() {}} }, "/vars", automation.CodeWrongType},
		"21 host keys":        {func(a *automation.Asset) { a.HostKeys = make([]string, 21) }, "/host_keys", automation.CodeLimit},
		"dss":                 {func(a *automation.Asset) { a.HostKeys = []string{keyLine("ssh-dss", "ssh-dss", 40)} }, "/host_keys/0", automation.CodeInvalid},
		"another inner name":  {func(a *automation.Asset) { a.HostKeys[1] = keyLine("ssh-ed25519", "ssh-rsa", 40) }, "/host_keys/1", automation.CodeInvalid},
		"no key after name":   {func(a *automation.Asset) { a.HostKeys[1] = keyLine("ssh-rsa", "ssh-rsa", 0) }, "/host_keys/1", automation.CodeInvalid},
		"length lies":         {func(a *automation.Asset) { a.HostKeys[0] = "ssh-rsa /////w==" }, "/host_keys/0", automation.CodeInvalid},
		"three bytes":         {func(a *automation.Asset) { a.HostKeys[0] = "ssh-rsa AAAA" }, "/host_keys/0", automation.CodeInvalid},
		"no base64":           {func(a *automation.Asset) { a.HostKeys[0] = "ssh-rsa !!!!" }, "/host_keys/0", automation.CodeInvalid},
		"one word":            {func(a *automation.Asset) { a.HostKeys[0] = "ssh-rsa" }, "/host_keys/0", automation.CodeInvalid},
		"two lines":           {func(a *automation.Asset) { a.HostKeys[0] += "\n" + a.HostKeys[1] }, "/host_keys/0", automation.CodeInvalid},
		"private key":         {func(a *automation.Asset) { a.HostKeys[0] = "-----BEGIN OPENSSH PRIVATE KEY-----" }, "/host_keys/0", automation.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := asset()
			c.edit(&a)
			got := inventory.Validate(a)
			if c.pointer == "" {
				if got != nil {
					t.Errorf("got %v; want nothing", got)
				}
				return
			}
			if len(got) != 1 || got[0].Pointer != c.pointer || got[0].Code != c.code || got[0].Message == "" {
				t.Errorf("got %v; want one %s at %s", got, c.code, c.pointer)
			}
		})
	}
}

func TestValidateFindsAllAndShowsNoValue(t *testing.T) {
	t.Parallel()
	const canary = "CANARY value"
	a := automation.Asset{
		Name: canary, Address: canary, Port: 70000, Protocol: canary, OS: canary, Tags: []string{canary}, HostKeys: []string{canary},
		Vars: map[string]any{"x": map[string]any{"": canary}},
	}
	got := inventory.Validate(a)
	var at []string
	for _, e := range got {
		at = append(at, e.Pointer)
	}
	want := []string{"/name", "/address", "/protocol", "/port", "/os", "/tags/0", "/vars/x", "/host_keys/0"}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	if strings.Contains(got.Error(), canary) {
		t.Errorf("an error shows the value: %v", got)
	}
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(*automation.Asset)
		want string
	}{
		"name":         {func(a *automation.Asset) { a.Name = "Web Server_1" }, "web-server_1"},
		"os ubuntu":    {func(a *automation.Asset) { a.OS = "Ubuntu" }, "linux"},
		"os darwin":    {func(a *automation.Asset) { a.OS = "darwin" }, "macos"},
		"port in name": {func(a *automation.Asset) { a.Address = "web:2222" }, "the port has a field of its own"},
		"ssh-keyscan":  {func(a *automation.Asset) { a.HostKeys[0] = "web " + a.HostKeys[0] }, "ssh-keyscan"},
	} {
		a := asset()
		c.edit(&a)
		got := inventory.Validate(a)
		if len(got) != 1 || !strings.Contains(got[0].Suggestion, c.want) {
			t.Errorf("%s: got %v; want a suggestion with %q", name, got, c.want)
		}
	}
}

func TestNormalise(t *testing.T) {
	t.Parallel()
	line := keyLine("ssh-ed25519", "ssh-ed25519", 36)
	in := automation.Asset{Protocol: automation.ProtocolSSH, Tags: []string{"b", "a", "b"}, HostKeys: []string{"  " + line + "  root@web "}}
	got := inventory.Normalise(in)
	want := automation.Asset{Protocol: automation.ProtocolSSH, Port: 22, Tags: []string{"a", "b"}, HostKeys: []string{line}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if in.Tags[0] != "b" || !strings.HasPrefix(in.HostKeys[0], " ") {
		t.Error("Normalise changed its argument's lists")
	}
	if got := inventory.Normalise(automation.Asset{Protocol: automation.ProtocolWinRM}).Port; got != 5986 {
		t.Errorf("winrm: got port %d; want 5986", got)
	}
	if got := inventory.Normalise(automation.Asset{Protocol: automation.ProtocolNone}).Port; got != 0 {
		t.Errorf("none: got port %d; want 0", got)
	}
}

func FuzzCheckHostKey(f *testing.F) {
	f.Add(keyLine("ssh-ed25519", "ssh-ed25519", 36))
	f.Add("ssh-rsa AAAA")
	f.Fuzz(func(t *testing.T, line string) {
		if e := inventory.CheckHostKey("/x", line); e == nil && len(strings.Fields(line)) != 2 {
			t.Errorf("%q passed", line)
		}
	})
}

func FuzzIsAddress(f *testing.F) {
	f.Add("web.example.org")
	f.Add("::ffff:169.254.169.254")
	f.Fuzz(func(t *testing.T, s string) {
		if inventory.IsAddress(s) && strings.ContainsAny(s, " \t\r\n/@[]\\\"'`$;&|<>") {
			t.Errorf("%q passed", s)
		}
	})
}
