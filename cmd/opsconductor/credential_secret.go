package main

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/spf13/cobra"

	"opsconductor.dev/host/client"
)

// secretFlags say where the secrets of a credential are read from.
type secretFlags struct {
	passwordStdin                                                 bool
	password, key, passphrase, certificate, seed, answers, public string
}

func (f *secretFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input")
	flags.StringVar(&f.password, "password-file", "", "file with the password")
	flags.StringVar(&f.key, "key-file", "", "file with the private key (PEM), - for standard input")
	flags.StringVar(&f.passphrase, "passphrase-file", "", "file with the private key's passphrase")
	flags.StringVar(&f.certificate, "certificate-file", "", "file with the user certificate of the key (KEY-cert.pub)")
	flags.StringVar(&f.public, "public-key", "", "which key of the host's SSH agent: its fingerprint (SHA256:…), or type and base64")
	flags.StringVar(&f.seed, "one-time-seed-file", "", "file with the seed of one-time codes: base32, or an otpauth URI")
	flags.StringVar(&f.answers, "answers-file", "", `file with answers to prompts: [{"prompt": "*pin*", "text": "…"}], without text the one-time code`)
}

// given reports whether any of the flags was.
func (f *secretFlags) given() bool { return *f != secretFlags{} }

// kind is the kind of credential that the flags stand for.
func (f *secretFlags) kind() client.CredentialKind {
	switch {
	case f.key != "":
		return "ssh_key"
	case f.public != "":
		return "ssh_agent"
	}
	return "password"
}

func (f *secretFlags) check() error {
	files := []string{f.password, f.key, f.passphrase, f.certificate, f.seed, f.answers}
	stdin := 0
	for _, name := range files {
		if name == "-" {
			stdin++
		}
	}
	switch {
	case f.passwordStdin && f.password != "":
		return usage("give the password by either --password-stdin or --password-file")
	case f.passwordStdin && stdin > 0 || stdin > 1:
		return usage("standard input has one secret: give the others by files")
	}
	return nil
}

// read reads the secrets from where the flags say.
func (f *secretFlags) read(c *cli, r *client.CredentialRequest) error {
	password := f.password
	if f.passwordStdin {
		password = "-"
	}
	var certificate, answers []byte
	for _, s := range []struct {
		file string
		take func([]byte)
	}{
		{password, func(b []byte) { r.Password = client.NewSecret(bytes.TrimRight(b, "\r\n")) }},
		{f.key, func(b []byte) { r.PrivateKey = client.NewSecret(b) }},
		{f.passphrase, func(b []byte) { r.Passphrase = client.NewSecret(bytes.TrimRight(b, "\r\n")) }},
		{f.certificate, func(b []byte) { certificate = b }},
		{f.seed, func(b []byte) { r.OneTimeSeed = client.NewSecret(bytes.TrimSpace(b)) }},
		{f.answers, func(b []byte) { answers = b }},
	} {
		if s.file == "" {
			continue
		}
		b, err := c.readInput(s.file, maxSecret)
		if err != nil {
			return err
		}
		s.take(slices.Clone(b))
	}
	r.Certificate, r.PublicKey = string(bytes.TrimSpace(certificate)), f.public
	return readAnswers(answers, r)
}

// readAnswers reads answers to prompts. Its error does not show what was read.
func readAnswers(b []byte, r *client.CredentialRequest) error {
	if b == nil {
		return nil
	}
	var list []struct {
		Prompt  string `json:"prompt"`
		Visible bool   `json:"visible"`
		Text    string `json:"text"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if d.Decode(&list) != nil || d.More() {
		return usage(`the file of --answers-file is not a JSON list like [{"prompt": "*pin*", "text": "…"}], with prompt, text and visible`)
	}
	for _, a := range list {
		r.Answers = append(r.Answers, client.PromptAnswer{Prompt: a.Prompt, Visible: a.Visible, Text: client.NewSecret([]byte(a.Text))})
	}
	return nil
}
