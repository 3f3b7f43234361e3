package runner

import (
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/vault"
	"opsconductor.dev/hostfuncs"
)

// opened is a credential in the words of host functions: an empty secret is nil.
func opened(c vault.Opened) hostfuncs.Credential {
	out := hostfuncs.Credential{
		Name: c.Name, Version: c.Version, Kind: string(c.Kind), Username: c.Username, Certificate: c.Certificate, PublicKey: c.PublicKey,
	}
	for _, part := range []struct {
		from automation.Secret
		to   *hostfuncs.Secret
	}{{c.Password, &out.Password}, {c.PrivateKey, &out.PrivateKey}, {c.Passphrase, &out.Passphrase}, {c.OneTimeSeed, &out.OneTimeSeed}} {
		if !part.from.Empty() {
			*part.to = part.from
		}
	}
	for _, a := range c.Answers {
		answer := hostfuncs.Answer{Prompt: a.Prompt, Visible: a.Visible}
		if !a.Text.Empty() {
			answer.Text = a.Text
		}
		out.Answers = append(out.Answers, answer)
	}
	return out
}
